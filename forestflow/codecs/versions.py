"""Version directories in the control API: the requests that watch them, and what is told of them."""

from __future__ import annotations

from typing import Any, TypeGuard

from forestflow._gen import versions_pb2 as pb
from forestflow._gen.serve_request_pb2 import BasicServeRequest
from forestflow.codecs import message_json, messages
from forestflow.codecs.flavor_messages import flavor_from, flavor_to
from forestflow.domain.errors import Invalid
from forestflow.domain.ids import Contract
from forestflow.domain.sources import check_length
from forestflow.domain.versions import (
    DEFAULT_POLL_SECONDS,
    AllVersions,
    LatestVersions,
    SpecificVersions,
    VersionPolicy,
    VersionsReport,
    Watch,
    WatchRequest,
)

# A deploy of versions names a contract; the release of its FQRV, which the message asks for, is ignored.
_IGNORED_RELEASE = "versions"


def is_watch(document: object) -> TypeGuard[dict[str, Any]]:
    """Whether a deploy's body is of version directories."""
    return type(document) is dict and "versions" in document


def watch_request_from(document: dict[str, Any], contract: Contract | None = None) -> WatchRequest:
    """A BasicServeRequest with ``versions``; ``contract``, from the path, counts before the body's."""
    fqrv = document.get("fqrv")
    if type(fqrv) is dict and not {"release_version", "releaseVersion"} & fqrv.keys():
        document = {**document, "fqrv": {**fqrv, "releaseVersion": _IGNORED_RELEASE}}
    message = message_json.read(document, BasicServeRequest())
    check_length(message.path)
    message_json.bounded(message)
    if contract is None:
        if not message.HasField("fqrv"):
            raise Invalid("fqrv is missing: give its contract in the body or in the path")
        contract = messages.contract_from(message.fqrv.contract)
    if message.HasField("sha256"):
        raise Invalid("sha256 is of one artifact, and versions are many: leave one of them out")
    settings = (
        messages.contract_settings_from(message.contractSettings) if message.HasField("contractSettings") else None
    )
    return WatchRequest(watch_from(message, contract), settings)


def watch_from(message: BasicServeRequest, contract: Contract) -> Watch:
    return Watch(
        contract,
        message.path,
        flavor_from(message.flavor),
        policy_from(message.versions),
        message.pollSeconds if message.HasField("pollSeconds") else DEFAULT_POLL_SECONDS,
        messages.servable_settings_from(message.servableSettings),
        dict(message.tags),
    )


def watch_to(watch: Watch) -> BasicServeRequest:
    return BasicServeRequest(
        path=watch.path,
        servableSettings=messages.servable_settings_to(watch.servable_settings),
        tags=watch.tags,
        flavor=flavor_to(watch.flavor),
        versions=policy_to(watch.policy),
        pollSeconds=watch.poll_seconds,
    )


def parse_update(body: bytes) -> tuple[VersionPolicy, float | None]:
    """The policy, and the seconds between two looks if given."""
    message = message_json.parse(body, pb.VersionsUpdate())
    return policy_from(message.versions), message.pollSeconds if message.HasField("pollSeconds") else None


def policy_to(policy: VersionPolicy) -> pb.VersionPolicy:
    match policy:
        case LatestVersions(count):
            return pb.VersionPolicy(latest=pb.LatestVersions(count=count))
        case AllVersions():
            return pb.VersionPolicy(all=pb.AllVersions())
        case SpecificVersions(versions):
            return pb.VersionPolicy(specific=pb.SpecificVersions(versions=versions))


def policy_from(message: pb.VersionPolicy) -> VersionPolicy:
    """Raises Invalid for a message that names no policy."""
    match message.WhichOneof("sealed_value"):
        case "latest":
            return LatestVersions(message.latest.count)
        case "all":
            return AllVersions()
        case "specific":
            return SpecificVersions(tuple(message.specific.versions))
        case _:
            raise Invalid("versions names no policy: latest, all or specific")


def report_to(report: VersionsReport) -> pb.VersionsStatus:
    watch = report.watch
    return pb.VersionsStatus(
        contract=messages.contract_to(watch.contract),
        path=watch.path,
        policy=policy_to(watch.policy),
        pollSeconds=watch.poll_seconds,
        versions=[
            pb.VersionsStatus.Version(version=v.version, state=v.state.name, message=v.message) for v in report.versions
        ],
        lookedAtMS=report.looked_at_ms,
        message=report.message,
    )
