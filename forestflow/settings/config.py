"""What an operator can set, each setting with its default, its range and where its value came from.

``load`` merges four sources, the first that names a setting wins: command-line flags, ``FORESTFLOW_*`` variables, a
TOML file (``--config``, else ``./forestflow.toml``), the defaults below. Constructing ``Settings`` directly reads
nothing but its arguments, so tests and actors are not at the mercy of their environment.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import ByteSize, Field, PrivateAttr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from forestflow.domain.errors import InvalidIdentifier
from forestflow.domain.ids import Contract, check_name
from forestflow.settings.row import SettingRow, range_of, shown

ENV_PREFIX = "FORESTFLOW_"
DEFAULT_CONFIG_FILE = Path("forestflow.toml")

_KIB, _MIB, _GIB = 2**10, 2**20, 2**30


class ConfigError(Exception):
    """A setting that cannot be: ``ConfigError(message)``; the message names the setting and where it came from."""


class Endpoint(NamedTuple):
    """A host name or address, and a port (0: any free one)."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """``host:port`` or ``[v6]:port``; raises ValueError."""
        host, colon, port = text.strip().rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        if bracketed:
            host = host[1:-1]
        if not colon or not host or (":" in host and not bracketed) or not (port.isascii() and port.isdigit()):
            raise ValueError(f"{text!r} is not host:port, such as 127.0.0.1:8090 or [::1]:8090")
        if int(port) > 65535:
            raise ValueError(f"port {port} is not in 0..65535")
        return cls(host, int(port))

    @property
    def is_loopback(self) -> bool:
        """Whether only processes of this machine can connect."""
        if self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


class Settings(BaseSettings):
    """The settings of one server. Use :func:`load` to read flags, environment and file."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_ignore_empty=True, frozen=True, extra="forbid", validate_default=True
    )

    http: str = Field("127.0.0.1:8090", description="host:port of the HTTP API; port 0 takes any free one.")
    grpc: str = Field("127.0.0.1:8091", description="host:port of the gRPC APIs; port 0 takes any free one.")
    data_dir: Path = Field(
        Path("forestflow-data"), description="Directory of the journal and the model artifacts; made when missing."
    )
    routers: int = Field(
        1, ge=1, le=64, description="Router processes per node that share the public ports (SO_REUSEPORT)."
    )
    address: str | None = Field(
        None,
        description="Ray cluster to join, host:port or auto; without one, an embedded Ray starts. "
        "RAY_ADDRESS is read too.",
    )
    cluster_grows: bool = Field(
        False,
        description="The Ray cluster gets nodes on demand (autoscaler, KubeRay): a replica whose resources no node has "
        "waits for one, within load_timeout_seconds; without it, such a deploy is refused at once.",
    )
    max_body_bytes: ByteSize = Field(
        ByteSize(64 * _MIB), ge=_KIB, le=2 * _GIB, description="Largest body of a score request (HTTP and gRPC): 413."
    )
    control_max_body_bytes: ByteSize = Field(
        ByteSize(_MIB), ge=_KIB, le=64 * _MIB, description="Largest body of a control request (deploy, settings): 413."
    )
    default_timeout_seconds: float = Field(
        30.0,
        gt=0,
        le=86_400,
        allow_inf_nan=False,
        description="Deadline of score requests that give none by X-Request-Timeout or in their release's settings.",
    )
    max_queued_per_replica: int = Field(
        1024, ge=1, le=1_000_000, description="User requests that may wait for one replica; over it the answer is 429."
    )
    max_connections: int = Field(
        4096,
        ge=1,
        le=1_000_000,
        description="Connections open at once per router, over HTTP and over gRPC; over it idle ones over HTTP are "
        "closed, and new ones refused when all are busy. Also the calls at once over gRPC.",
    )
    grpc_min_ping_seconds: float = Field(
        5.0,
        ge=0,
        le=86_400,
        allow_inf_nan=False,
        description="Least time between two pings of a gRPC client while no data is sent; a shorter one is a strike.",
    )
    grpc_max_ping_strikes: int = Field(
        2, ge=0, le=1_000_000, description="Strikes over which a gRPC client is hung up on (GOAWAY); 0: never."
    )
    grpc_ping_without_calls: bool = Field(
        True, description="Whether gRPC clients may ping as often while they have no call; otherwise every two hours."
    )
    drain_seconds: float = Field(
        10.0, ge=0, le=30, allow_inf_nan=False, description="How long a stop waits for requests under way."
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Host names, beside localhost and 127.x, that a Host or Origin header may hold; *.example.com for "
        "all below a domain, * for any. Comma-separated in a flag or variable.",
    )
    model_aliases: Annotated[dict[str, Contract], NoDecode] = Field(
        {},
        description="Model names of the TensorFlow Serving and Open Inference protocols, beside "
        "organization.project.contract_number: name=organization/project/contract_number, comma-separated in a flag "
        "or variable, a table in a file.",
    )
    tf_infer_batch_transpose: bool = Field(
        True,
        description="Whether tf-infer's protocol takes one object for each example, or else one object of batches.",
    )
    tf_infer_cors: bool = Field(True, description="Whether web pages of any site may call tf-infer's protocol.")
    tf_infer_max_body_bytes: ByteSize = Field(
        ByteSize(10 * _MIB), ge=_KIB, le=2 * _GIB, description="Largest body of a request to tf-infer's protocol: 413."
    )
    tf_infer_web: Path | None = Field(
        None, description="Folder of static files, served at web/ below tf-infer's path; without one, none."
    )
    url_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description='Hosts from which {"url": …} inputs of tf-infer\'s protocol are fetched, name or name:port, '
        "comma-separated in a flag or variable; without any, urls are refused (403).",
    )
    tf_infer_root: Annotated[Contract | None, NoDecode] = Field(
        None,
        description="Contract, as organization/project/contract_number, that tf-infer's clients find at / of a port "
        "of its own (tf_infer); without one, that port is not opened.",
    )
    tf_infer: str = Field(
        "127.0.0.1:8092", description="HOST:PORT where tf_infer_root answers; port 0 takes a free one."
    )
    allow_public_bind: bool = Field(
        False,
        description="Listen on an address that other machines reach, though anybody who reaches it may deploy "
        "and delete: there are no access tokens yet.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "WARNING", description="Least severe log record written: DEBUG, INFO, WARNING or ERROR."
    )
    log_file: Path | None = Field(
        None, description="File for the log, as JSON lines; without one, logs/forestflow.jsonl in the data directory."
    )
    access_log: Path | None = Field(
        None,
        description="File for the access log, which has a JSON line for each request over HTTP and gRPC that is over: "
        "time, method, path without its query, protocol, contract, release, status, code, bytes of request and answer, "
        "milliseconds, request id. Routers append to one file, and go on in a new one once it is moved away. Without "
        "it, requests are not logged.",
    )
    code_servables: bool = Field(
        True,
        description="Whether models that are code, or may hold some, are run: Python scripts and pickled objects. "
        "Their code can do whatever the server can.",
    )
    artifact_max_bytes: ByteSize = Field(
        ByteSize(4 * _GIB), ge=_KIB, description="Largest model artifact, counted while it is copied."
    )
    source_schemes: Annotated[tuple[str, ...], NoDecode] = Field(
        ("file", "ssh", "https", "s3", "gs", "gcs", "abfs", "abfss", "az"),
        description="Where models may come from: file, ssh (git@…), https (git repositories, too), http, git, ftp, s3, "
        "or a scheme that an fsspec driver knows. Comma-separated in a flag or variable.",
    )
    source_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (
            "github.com", "*.github.com", "*.githubusercontent.com", "gitlab.com", "bitbucket.org",
            "huggingface.co", "*.hf.co", "s3.amazonaws.com", "s3.*.amazonaws.com", "*.s3.amazonaws.com",
            "*.s3.*.amazonaws.com", "storage.googleapis.com",
        ),
        description="Hosts that models may come from, where a path names one; *.example.com for all below a domain, * "
        "for any with public addresses. A listed one may have private addresses. Comma-separated in a flag or "
        "variable.",
    )  # fmt: skip
    fetch_timeout_seconds: float = Field(
        600.0, gt=0, le=86_400, allow_inf_nan=False, description="How long fetching one model may take: 504."
    )
    install_timeout_seconds: float = Field(
        600.0,
        gt=0,
        le=86_400,
        allow_inf_nan=False,
        description="How long pip may take to install the requirements of one model, before it is loaded.",
    )
    s3_credentials_file: Path | None = Field(
        None,
        description="TOML file with S3 credentials, <host>_<bucket>_aws_access_key_id = … and so on; without a line "
        "there, variables of the same name, then AWS's own settings.",
    )
    journal_url: str | None = Field(
        None,
        repr=False,
        description="SQLAlchemy URL of the journal, such as postgresql+psycopg://host/db; without one, "
        "SQLite in the data directory.",
    )
    num_cpus: int | None = Field(
        None, ge=1, le=4096, description="CPUs of the embedded Ray; without it, as many as the machine has."
    )
    host_cpu: float = Field(
        0.0,
        ge=0,
        le=4096,
        allow_inf_nan=False,
        description="CPUs that Ray reserves per replica when a release's settings name none; 0 reserves nothing.",
    )
    replica_memory_share: float = Field(
        0.8,
        gt=0,
        le=1,
        allow_inf_nan=False,
        description="Share of its node's memory that one replica may use; over it the replica is ended and started "
        "again, and the request that it ran is answered with 507. A release's resources.memoryMB may lower it.",
    )
    load_timeout_seconds: float = Field(
        120.0, gt=0, le=86_400, allow_inf_nan=False, description="How long a deploy waits for its model to load."
    )

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)

    @field_validator("http", "grpc", "tf_infer")
    @classmethod
    def _endpoint(cls, value: str) -> str:
        return str(Endpoint.parse(value))

    @field_validator("data_dir", "log_file", "access_log", "tf_infer_web", "s3_credentials_file")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()

    @field_validator("allowed_hosts", "url_hosts", "source_schemes", "source_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("model_aliases", mode="before")
    @classmethod
    def _split_aliases(cls, value: object) -> object:
        if isinstance(value, str):
            pairs = [part.partition("=") for part in value.split(",") if part.strip()]
            value = {name.strip(): contract.strip() for name, _, contract in pairs}
        return {name: _contract(name, text) for name, text in value.items()} if isinstance(value, dict) else value

    @field_validator("tf_infer_root", mode="before")
    @classmethod
    def _root(cls, value: object) -> object:
        return _contract("tf_infer_root", value)

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("journal_url")
    @classmethod
    def _known_database(cls, value: str | None) -> str | None:
        if value is not None and not re.match(r"(sqlite|postgresql)(\+[a-z0-9_]+)?://", value):
            raise ValueError("must start with sqlite:// or postgresql://")
        return value

    @model_validator(mode="after")
    def _private_unless_told(self) -> Settings:
        for name in ("http", "grpc", "tf_infer"):
            endpoint = Endpoint.parse(getattr(self, name))
            if not endpoint.is_loopback and not self.allow_public_bind:
                raise ValueError(
                    f"{name} {endpoint} can be reached from other machines, and there are no access tokens yet; "
                    f"bind 127.0.0.1, or set allow_public_bind if the network is trusted"
                )
        return self

    @property
    def http_endpoint(self) -> Endpoint:
        """``http``, parsed."""
        return Endpoint.parse(self.http)

    @property
    def grpc_endpoint(self) -> Endpoint:
        """``grpc``, parsed."""
        return Endpoint.parse(self.grpc)

    @property
    def tf_infer_endpoint(self) -> Endpoint | None:
        """``tf_infer``, parsed, where a contract is to be found there."""
        return None if self.tf_infer_root is None else Endpoint.parse(self.tf_infer)

    def describe(self) -> list[SettingRow]:
        """Every setting, in the order of declaration, with passwords left out."""
        return [
            SettingRow(
                name=name,
                flag=flag_of(name),
                env=ENV_PREFIX + name.upper(),
                default=default_of(name),
                value=shown(getattr(self, name)),
                origin=self._origins.get(name, "default"),
                valid=range_of(field),
                description=field.description or "",
            )
            for name, field in type(self).model_fields.items()
        ]


def _contract(name: str, text: object) -> object:
    if not isinstance(text, str):
        return text
    parts = text.split("/")
    if not name or len(parts) != 3 or not (parts[2].isascii() and parts[2].isdigit()):
        raise ValueError(f"{name}={text} is not name=organization/project/contract_number, such as iris=acme/iris/0")
    try:
        check_name("the alias", name)
        return Contract(parts[0], parts[1], int(parts[2]))
    except InvalidIdentifier as bad:
        raise ValueError(f"{name}={text}: {bad}") from None


def flag_of(name: str) -> str:
    """The command-line flag of a setting: ``data_dir`` → ``--data-dir``."""
    return "--" + name.replace("_", "-")


def default_of(name: str) -> str:
    """The default of a setting as a user would write it; empty for none."""
    return shown(Settings.model_fields[name].default)


def load(flags: Mapping[str, Any] | None = None, config: Path | None = None) -> Settings:
    """Read all sources. ``flags`` maps setting names to values, ``None`` meaning not given.

    Raises :class:`ConfigError` for a setting or file that cannot be.
    """
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    environment = EnvSettingsSource(Settings)()
    file, in_file = _read_file(config)
    origins = dict.fromkeys(in_file, str(file))
    origins |= {name: ENV_PREFIX + name.upper() for name in environment}
    if "address" not in environment and os.environ.get("RAY_ADDRESS"):
        environment["address"] = os.environ["RAY_ADDRESS"]
        origins["address"] = "RAY_ADDRESS"
    origins |= {name: flag_of(name) for name in given}
    try:
        settings = Settings(**{**in_file, **environment, **given})
    except ValidationError as invalid:
        raise ConfigError(_explain(invalid, origins)) from None
    settings._origins.update(origins)
    return settings


def _read_file(config: Path | None) -> tuple[Path, dict[str, Any]]:
    path = config or DEFAULT_CONFIG_FILE
    try:
        with path.open("rb") as stream:
            return path, tomllib.load(stream)
    except FileNotFoundError:
        if config is None:
            return path, {}
        raise ConfigError(f"configuration file {path} does not exist") from None
    except (OSError, ValueError) as bad:  # ValueError: not TOML, or not UTF-8
        raise ConfigError(f"configuration file {path} cannot be read: {bad}") from None


def _explain(invalid: ValidationError, origins: Mapping[str, str]) -> str:
    lines = []
    for error in invalid.errors(include_url=False, include_context=False):
        name = str(error["loc"][0]) if error["loc"] else ""
        if error["type"] == "extra_forbidden":
            lines.append(f"{name}: no such setting (from {origins.get(name, 'arguments')})")
            continue
        message = error["msg"].removeprefix("Value error, ")
        lines.append(f"{name}: {message} (from {origins.get(name, 'default')})" if name else message)
    return "\n".join(lines)
