"""What paths of deploy requests say by themselves. The tags are those of the original's documents."""

from __future__ import annotations

import pytest

from forestflow.domain.errors import InvalidIdentifier, Malformed
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.sources import MAX_PATH_LENGTH, below, check_length, fqrv_of, refuse_secrets
from tests.growth import assert_linear


@pytest.mark.parametrize(
    "repository",
    [
        "git@github.com:DreamWorks/schedule.git", "ssh://git@github.com/DreamWorks/schedule.git",
        "ssh://git@host:2222/DreamWorks/schedule.git", "https://host/DreamWorks/schedule.git",
        "git+https://host:8443/DreamWorks/schedule.git",
    ],
)  # fmt: skip
def test_a_tag_names_the_release(repository):
    expected = Fqrv(Contract("DreamWorks", "schedule", 0), "h2o_regression_v2")
    assert fqrv_of(f"{repository}#v0.h2o_regression_v2") == expected
    assert fqrv_of(f"{repository}#v12.1.0.3") == Fqrv(Contract("DreamWorks", "schedule", 12), "1.0.3")


@pytest.mark.parametrize(
    "path",
    [
        "git@github.com:org/project.git", "git@github.com:org/project.git#main", "git@github.com:org/project.git#v1",
        "git@github.com:group/sub/project.git#v0.r1", "git@github.com:project.git#v0.r1", "file:///org/project.git#v0.r1",
        "https://host/org/project#v0.r1", "s3://org/project", "",
    ],
)  # fmt: skip
def test_other_paths_name_none(path):
    assert fqrv_of(path) is None


def test_a_tag_that_cannot_be_a_release():
    with pytest.raises(InvalidIdentifier, match="not in 0"):
        fqrv_of("git@github.com:org/project.git#v9999999999.r1")


@pytest.mark.parametrize(
    "path",
    [
        "https://me:s3cret@host/x.zip", "https://s3cret@github.com/org/project.git", "git+https://me:s3cret@host/a/b.git",
        "ssh://git:s3cret@host/org/project.git", "git:s3cret@host:org/project.git", "ftp://me:s3cret@host/x",
        "s3::https://me:s3cret@host/bucket bucket=bucket", "https://me:s3/cret@host/x", "https://host/x?token=s3cret",
        "https://b.s3.amazonaws.com/x.zip?X-Amz-Credential=a&X-Amz-Signature=s3cret", "https://h/x?a=1&sig=s3cret",
        "abfss://me:s3cret@account.dfs.core.windows.net/x", "https://h/x?access_token=s3cret",
    ],
)  # fmt: skip
def test_secrets_are_refused_and_not_repeated(path):
    with pytest.raises(Malformed) as refused:
        refuse_secrets(path)
    assert "s3cret" not in refused.value.message
    assert "cret" not in refused.value.message.replace("secret", "")


@pytest.mark.parametrize(
    "path",
    [
        "git@github.com:org/project.git#v0.r1", "ssh://git@host:2222/org/project.git", "https://host:8443/@scope/x.zip",
        "https://host/x.zip?version=3", "s3::https://host:8082/b bucket=b region=us-west-1", "s3://bucket/key",
        "abfss://container@account.dfs.core.windows.net/x", "file:///models/a@b:c", "/models/a:b@c", "hdfs://me@host/x",
    ],
)  # fmt: skip
def test_what_is_no_secret(path):
    refuse_secrets(path)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("file:///Models/mnist", "file:///Models/mnist/7"),
        ("/Models/two words/", "/Models/two words/7"),
        ("s3://models/mnist/", "s3://models/mnist/7"),
        ("s3://models/mnist region=us-west-1", "s3://models/mnist/7 region=us-west-1"),
        (
            "s3::https://host:9000/models/mnist bucket=models region=us-west-1 ",
            "s3::https://host:9000/models/mnist/7 bucket=models region=us-west-1 ",
        ),
        ("gs://models/bucket=models", "gs://models/bucket=models/7"),
    ],
)
def test_what_lies_below_a_path(path, expected):
    assert below(path, "7") == expected


def test_a_path_has_a_bound():
    check_length("x" * MAX_PATH_LENGTH)
    with pytest.raises(Malformed, match="4097 characters; at most 4096"):
        check_length("x" * (MAX_PATH_LENGTH + 1))


@pytest.mark.parametrize(
    "part",
    ["x", "://", "://:", ":", "://a:", "://a:1", "a://", "@", " ", "/", " bucket=a", " region=a\t", "a@", "#v1.",
     ".git#v", "?", "&sig", "1"],
)  # fmt: skip
@pytest.mark.parametrize("around", ["{}", "s3://b{}!", "://{}", "git@h:a/{}", "://a:{} @"])
def test_a_long_path_is_read_in_time_by_its_length(part, around):
    """100,000 letters took 107 s."""

    def read(path):
        below(path, "7")
        fqrv_of(path)
        try:
            refuse_secrets(path)
        except Malformed:
            return

    assert_linear(lambda n: around.replace("{}", part * (n // len(part))), read, 2000)


def test_a_contract_number_of_many_digits_is_none():
    """Python makes no number of more than 4300 digits."""
    assert fqrv_of(f"git@github.com:org/project.git#v{'1' * 5000}.r1") is None
