"""Settings: which source wins, what is refused and how it is said."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from forestflow.domain.ids import Contract
from forestflow.settings.config import ConfigError, Endpoint, Settings, flag_of, load
from forestflow.settings.row import SettingRow


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("FORESTFLOW_") or name == "RAY_ADDRESS":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def row(settings: Settings, name: str) -> SettingRow:
    return next(r for r in settings.describe() if r.name == name)


def test_defaults(tmp_path: Path) -> None:
    settings = load()
    assert settings.http == "127.0.0.1:8090"
    assert settings.grpc_endpoint == Endpoint("127.0.0.1", 8091)
    assert settings.data_dir == tmp_path / "forestflow-data"
    assert settings.journal_url is None
    assert settings.max_body_bytes == 64 * 2**20
    assert {r.origin for r in settings.describe()} == {"default"}


def test_flags_win_over_environment_over_file_over_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "forestflow.toml").write_text('routers = 2\nmax_connections = 7\nlog_level = "info"\ndrain_seconds = 3')
    monkeypatch.setenv("FORESTFLOW_ROUTERS", "3")
    monkeypatch.setenv("FORESTFLOW_MAX_CONNECTIONS", "8")
    settings = load({"routers": "4", "http": None})
    assert (settings.routers, settings.max_connections, settings.log_level) == (4, 8, "INFO")
    assert [row(settings, name).origin for name in ("routers", "max_connections", "log_level", "http")] == [
        "--routers",
        "FORESTFLOW_MAX_CONNECTIONS",
        "forestflow.toml",
        "default",
    ]


def test_named_file_replaces_the_one_in_the_directory(tmp_path: Path) -> None:
    (tmp_path / "forestflow.toml").write_text("routers = 2")
    other = tmp_path / "other.toml"
    other.write_text('allowed_hosts = ["a.example", "b.example"]\nmax_body_bytes = "2MiB"')
    settings = load(config=other)
    assert settings.routers == 1
    assert settings.allowed_hosts == ("a.example", "b.example")
    assert settings.max_body_bytes == 2 * 2**20


def test_ray_address_counts_below_ours_and_above_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "forestflow.toml").write_text('address = "file:1"')
    assert load().address == "file:1"
    monkeypatch.setenv("RAY_ADDRESS", "ray:1")
    assert load().address == "ray:1"
    assert row(load(), "address").origin == "RAY_ADDRESS"
    monkeypatch.setenv("FORESTFLOW_ADDRESS", "ours:1")
    assert load().address == "ours:1"
    assert load({"address": "flag:1"}).address == "flag:1"


def test_constructing_reads_nothing_but_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORESTFLOW_ROUTERS", "9")
    assert Settings().routers == 1


def test_hosts_are_split_at_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORESTFLOW_ALLOWED_HOSTS", "a.example, *.b.example,")
    assert load().allowed_hosts == ("a.example", "*.b.example")


def test_model_aliases_in_a_variable_and_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    aliases = {"iris": Contract("acme", "iris", 0), "größe": Contract("a.b", "c d", 7)}
    monkeypatch.setenv("FORESTFLOW_MODEL_ALIASES", "iris=acme/iris/0, größe=a.b/c d/7,")
    assert load().model_aliases == aliases
    assert row(load(), "model_aliases").value == "iris=acme/iris/0, größe=a.b/c d/7"
    monkeypatch.delenv("FORESTFLOW_MODEL_ALIASES")
    (tmp_path / "forestflow.toml").write_text('[model_aliases]\niris = "acme/iris/0"\n"größe" = "a.b/c d/7"\n')
    assert load().model_aliases == aliases


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"model_aliases": "iris"}, "model_aliases: iris= is not name=organization/project/contract_number"),
        ({"model_aliases": "iris=acme/iris"}, "is not name=organization/project/contract_number"),
        ({"model_aliases": "iris=acme/iris/-1"}, "is not name=organization/project/contract_number"),
        ({"model_aliases": "a/b=acme/iris/0"}, "the alias 'a/b' holds a slash"),
        ({"model_aliases": "iris=v1/iris/0"}, "iris=v1/iris/0: organization 'v1' is a path of the server itself"),
        ({"http": "8090"}, "http: '8090' is not host:port"),
        ({"http": "::1:80"}, "not host:port"),
        ({"grpc": "127.0.0.1:70000"}, "port 70000 is not in 0..65535"),
        ({"routers": "0"}, "routers: Input should be greater than or equal to 1 (from --routers)"),
        ({"max_body_bytes": "12"}, "max_body_bytes"),
        ({"max_body_bytes": "a lot"}, "max_body_bytes"),
        ({"default_timeout_seconds": "nan"}, "default_timeout_seconds"),
        ({"default_timeout_seconds": "0"}, "default_timeout_seconds"),
        ({"drain_seconds": "31"}, "drain_seconds"),
        ({"log_level": "LOUD"}, "log_level"),
        ({"journal_url": "mysql://u:sesame@h/d"}, "journal_url: must start with sqlite:// or postgresql://"),
        ({"nonsense": "1"}, "nonsense: no such setting (from --nonsense)"),
        ({"http": "0.0.0.0:8090"}, "can be reached from other machines"),
        ({"grpc": "example.org:8091"}, "set allow_public_bind"),
    ],
)
def test_refusals_name_the_setting_and_its_source(flags: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(flags)
    assert said in str(caught.value)
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("http", ["127.0.0.1:0", "localhost:80", "[::1]:8090", "127.8.9.10:1"])
def test_loopback_needs_no_permission(http: str) -> None:
    assert load({"http": http}).http == http


def test_public_bind_when_told() -> None:
    settings = load({"http": "0.0.0.0:8090", "allow_public_bind": "true"})
    assert not settings.http_endpoint.is_loopback


@pytest.mark.parametrize("content", [b"routers = ", b"\xff\xfe"])
def test_damaged_file(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="cannot be read"):
        load(config=file)


def test_missing_file_is_an_error_only_when_named(tmp_path: Path) -> None:
    load()
    with pytest.raises(ConfigError, match="does not exist"):
        load(config=tmp_path / "none.toml")


def test_unknown_key_in_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "forestflow.toml").write_text("rooters = 2")
    with pytest.raises(ConfigError, match=r"rooters: no such setting \(from forestflow.toml\)"):
        load()


@pytest.mark.parametrize(
    "url",
    ["postgresql://me:sesame@h/db", "postgresql://me:se@s/ame@h/db", "postgresql+psycopg://h/db?password=sesame&x=1"],
)
def test_passwords_are_not_shown(url: str) -> None:
    settings = load({"journal_url": url})
    assert settings.journal_url == url
    assert "sesame" not in row(settings, "journal_url").value
    assert "ame" not in row(settings, "journal_url").value.replace("name", "")
    assert "***" in row(settings, "journal_url").value
    assert url not in repr(settings)


def test_every_setting_documents_itself() -> None:
    for described in load().describe():
        assert len(described.description) > 20, described.name
        assert described.flag == flag_of(described.name)
    assert row(load(), "routers").valid == "≥ 1, ≤ 64"
    assert row(load(), "max_body_bytes").valid == "≥ 1.0 KiB, ≤ 2.0 GiB"


def test_settings_are_frozen_and_travel_to_other_processes() -> None:
    settings = load({"routers": 3})
    with pytest.raises(ValueError, match="frozen"):
        settings.routers = 4  # type: ignore[misc]
    copy = pickle.loads(pickle.dumps(settings))
    assert copy == settings
    assert copy.describe() == settings.describe()


def test_a_contract_at_the_root() -> None:
    settings = load({"tf_infer_root": "acme/iris/3", "tf_infer": "127.0.0.1:0"})
    assert settings.tf_infer_root == Contract("acme", "iris", 3)
    assert settings.tf_infer_endpoint == ("127.0.0.1", 0)
    assert load({}).tf_infer_endpoint is None
    assert {row.name: row.value for row in settings.describe()}["tf_infer_root"] == "acme/iris/3"
    for wrong in ({"tf_infer_root": "acme/iris"}, {"tf_infer": "8092"}, {"tf_infer": "0.0.0.0:8092"}):
        with pytest.raises(ConfigError):
            load(wrong)
