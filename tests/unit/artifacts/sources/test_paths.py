"""How paths are read: which kind of source, and its parts."""

from __future__ import annotations

import pytest

from forestflow.artifacts.sources import git, s3
from forestflow.artifacts.sources.fetching import scheme_of
from forestflow.domain.errors import ArtifactRejected


@pytest.mark.parametrize(
    ("path", "scheme"),
    [
        ("/models", "file"), ("file:///models", "file"), ("git@github.com:o/p.git#v0.r", "ssh"),
        ("ssh://git@host/o/p.git", "ssh"), ("git+ssh://git@host/o/p", "ssh"), ("https://host/o/p.git#v0.r", "https"),
        ("git+https://host/o/p", "https"), ("http://host/o/p.git", "http"), ("git://host/o/p.git", "git"),
        ("https://host/model.zip", "https"), ("s3::https://host/b bucket=b", "s3"), ("s3://b/k", "s3"),
        ("gs://b/k", "gs"), ("hdfs://host/x", "hdfs"), ("ftp://host/x", "ftp"),
    ],
)  # fmt: skip
def test_kinds(path, scheme):
    assert scheme_of(path) == scheme


@pytest.mark.parametrize("path", ["", "-x", "--upload-pack=x", "ext::sh -c x", "models", "https://h/\nx", "x" * 5000])
def test_paths_of_no_kind(path):
    with pytest.raises(ArtifactRejected, match="supported protocol"):
        scheme_of(path)


def test_git_urls_stay_as_they_are():
    assert git.parse("git@host:o/p.git#v0.r") == git.GitSource("git@host:o/p.git", "ssh", "host", 22, "v0.r")
    expected = git.GitSource("https://host:8443/o/p.git", "https", "host", 8443, None)
    assert git.parse("https://host:8443/o/p.git") == git.parse("git+https://host:8443/o/p.git") == expected
    assert git.parse("https://host/o/p.git/x") is None


@pytest.mark.parametrize(
    "path",
    [
        "ssh://-oProxyCommand=x/o/p.git", "git@-oProxyCommand=x:o/p.git", "git@host:-x/p.git", "-u@host:o/p.git",
        "ssh://host/-x", "git+file:///etc/p.git", "git+ext::sh", "git@host:o/p.git#--upload-pack=x",
        "git@host:o/p.git#", "git@host:o/p.git#a:b", "git@host:o/p.git#+main", "git@host:o/p.git#a..b",
        "git@host:o/p.git#a b", "git@host:o/p.git#refs/*", "https:///p.git", "git@host:o/p.git#@{1}",
    ],
)  # fmt: skip
def test_git_urls_that_git_would_misread(path):
    with pytest.raises(ArtifactRejected):
        git.parse(path)


# The original's three examples, in its documents under "Using S3 storage".
@pytest.mark.parametrize(
    ("path", "endpoint", "bucket", "region", "path_style"),
    [
        (
            "s3::https://s3-us-west-2.amazonaws.com:8082/test1 bucket=test1 region=us-west-1",
            "https://s3-us-west-2.amazonaws.com:8082", "test1", "us-west-1", True,
        ),
        (
            "s3://s3-us-west-2.amazonaws.com/test2 bucket=test2",
            "https://s3-us-west-2.amazonaws.com", "test2", None, True,
        ),
        (
            "s3::http://test3.s3-us-west-1.amazonaws.com bucket=test3 region=us-west-1",
            "http://s3-us-west-1.amazonaws.com", "test3", "us-west-1", False,
        ),
    ],
)  # fmt: skip
def test_s3_in_the_original_form(path, endpoint, bucket, region, path_style):
    location = s3.parse(path)
    assert (location.endpoint, location.bucket, location.region) == (endpoint, bucket, region)
    assert (location.path_style, location.key) == (path_style, "")


def test_s3_keys():
    assert s3.parse("s3::https://host/b/models/1/ bucket=b").key == "models/1"
    assert s3.parse("s3://b/models/1/").key == "models/1"
    assert s3.parse("s3://b region=eu-west-1").region == "eu-west-1"
    for path in ("s3:/b", "s3::ftp://h/b bucket=b", "s3::https://host/b", "s3://b/k bucket=", "s3::https://b bucket=b"):
        with pytest.raises(ArtifactRejected, match="S3 path"):
            s3.parse(path)


def test_s3_credentials_are_named_as_in_the_original():
    """Names and values of the original's first two examples; the most specific level that has both parts counts."""
    location = s3.parse("s3::https://test1.s3-us-west-1.amazonaws.com:8082 bucket=test1")
    service, bucket = "s3_us_west_1_amazonaws_com_8082", "test1_s3_us_west_1_amazonaws_com_8082"
    environment = {}
    assert s3.credentials(location, "model1.zip", {}, environment) is None
    for level in (service, bucket, f"{bucket}_model1_zip"):
        environment |= {f"{level}_aws_access_key_id": f"id {level}", f"{level}_aws_secret_access_key": "s"}
        assert s3.credentials(location, "model1.zip", {}, environment) == (f"id {level}", "s")
    in_file = {f"{bucket}_model1_zip_aws_access_key_id": "file", f"{bucket}_model1_zip_aws_secret_access_key": "f"}
    assert s3.credentials(location, "model1.zip", in_file, environment) == ("file", "f")
    assert s3.credentials(location, "other.zip", in_file, environment) == (f"id {bucket}", "s")
    renamed = {"S3_ACCESS_KEY_ID_POSTFIX_CONFIG": "ID", "S3_SECRET_ACCESS_KEY_POSTFIX_CONFIG": "SECRET"}
    renamed |= {f"{service}_ID": "renamed", f"{service}_SECRET": "r"}
    assert s3.credentials(location, "model1.zip", {}, renamed) == ("renamed", "r")


def test_s3_credentials_of_a_path_style_bucket():
    location = s3.parse("s3::https://host:9000/my-models bucket=my-models")
    assert s3.candidates(location, "deep/model-1.zip") == [
        "host_9000_my_models_deep_model_1_zip",
        "host_9000_my_models",
        "host_9000",
    ]
    assert s3.candidates(s3.parse("s3://b/k"), "model.zip") == []


def test_a_credentials_file_that_cannot_be_read_says_nothing_of_its_content(tmp_path):
    file = tmp_path / "credentials.toml"
    file.write_text("s3cret = = 1")
    with pytest.raises(ArtifactRejected) as refused:
        s3.read_credentials_file(file)
    assert "s3cret" not in str(refused.value)
