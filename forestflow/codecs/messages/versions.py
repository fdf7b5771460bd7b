"""Version directories in the control API: the requests that watch them, and what is told of them."""

from __future__ import annotations

from forestflow._gen import versions_pb2 as pb
from forestflow._gen.serve_request_pb2 import BasicServeRequest
from forestflow.codecs.messages import message_json
from forestflow.codecs.messages import values as messages
from forestflow.codecs.messages.flavors import flavor_from, flavor_to
from forestflow.domain.commands import UpdateVersions
from forestflow.domain.errors import Invalid
from forestflow.domain.ids import Contract
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


def with_release(document: object) -> object:
    """Return the body of a deploy; one of versions gets the release version that the message asks for."""
    if type(document) is dict and "versions" in document:
        fqrv = document.get("fqrv")
        if type(fqrv) is dict and not {"release_version", "releaseVersion"} & fqrv.keys():
            return {**document, "fqrv": {**fqrv, "releaseVersion": _IGNORED_RELEASE}}
    return document


def watch_request_from(message: BasicServeRequest, contract: Contract | None = None) -> WatchRequest:
    """Read a BasicServeRequest with ``versions``; ``contract``, from the path, counts before the message's.

    Raises Invalid when nothing names the contract, or an artifact is pinned.
    """
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


def parse_update(body: bytes, contract: Contract) -> UpdateVersions:
    """Read a VersionsUpdate of a contract. Raises Malformed, Invalid."""
    return update_from(message_json.parse(body, pb.VersionsUpdate()), contract)


def update_from(message: pb.VersionsUpdate, contract: Contract) -> UpdateVersions:
    """Raises Invalid for a message that names no policy."""
    seconds = message.pollSeconds if message.HasField("pollSeconds") else None
    return UpdateVersions(contract, policy_from(message.versions), seconds)


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
