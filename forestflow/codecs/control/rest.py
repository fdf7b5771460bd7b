"""The control API's JSON: bodies to domain values, replies and errors to bytes.

Every reply is an object whose one key names what it holds; collections are arrays of such objects. Errors that the
original has a reply for keep it; the others are ``{"error":{"code","message","requestId"}}``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

import orjson
from google.protobuf.message import Message

from forestflow._gen import responses_pb2 as responses
from forestflow._gen.serve_request_pb2 import (
    BasicServeRequest,
    FlavorShim,
    MLFlowServeRequest,
    MLmodelFlavor,
    ServeRequestShim,
)
from forestflow._gen.settings_pb2 import ContractSettings as ContractSettingsMessage
from forestflow._gen.settings_pb2 import LoggingSettings as LoggingSettingsMessage
from forestflow._gen.settings_pb2 import PolicySettings as PolicySettingsMessage
from forestflow._gen.settings_pb2 import ShadowSettings as ShadowSettingsMessage
from forestflow.codecs.control import plans
from forestflow.codecs.json import strict as strict_json
from forestflow.codecs.messages import message_json, reports, versions
from forestflow.codecs.messages import values as messages
from forestflow.domain import refusals
from forestflow.domain.commands import Deploy, WatchVersions
from forestflow.domain.errors import Code, ForestFlowError, Malformed
from forestflow.domain.explain import PlanExplanation
from forestflow.domain.history import HistoryEntry, PlanAt
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.reports import ReplicaStatus, ServableMetadata, ServableMetrics, ServableStatus
from forestflow.domain.requests import ServeRequest
from forestflow.domain.settings import (
    ContractSettings,
    LoggingSettings,
    PolicySettings,
    ServableSettings,
    ShadowSettings,
)
from forestflow.domain.simulate import TimelinePoint
from forestflow.domain.sources import check_length
from forestflow.domain.versions import VersionsReport

# --- requests: raise Malformed if the body is not the message, Invalid and its subclasses if it makes no sense -------


def parse_contract_settings(body: bytes) -> ContractSettings:
    return messages.contract_settings_from(message_json.parse(body, ContractSettingsMessage()))


def parse_policy_settings(body: bytes) -> PolicySettings:
    return messages.policy_settings_from(message_json.parse(body, PolicySettingsMessage()))


def parse_logging_settings(body: bytes) -> LoggingSettings:
    return messages.logging_settings_from(message_json.parse(body, LoggingSettingsMessage()))


def parse_shadow_settings(body: bytes) -> ShadowSettings:
    return messages.shadow_settings_from(message_json.parse(body, ShadowSettingsMessage()))


def parse_deploy(body: bytes, fqrv: Fqrv | None = None) -> Deploy | WatchVersions:
    """Read a deploy of one release, or with ``versions`` of a base directory; ``fqrv`` is the path's."""
    return deploy_from(_read_deploy(body), fqrv)


def parse_serve_request(body: bytes, fqrv: Fqrv | None = None) -> ServeRequest:
    """Read a deploy of one release; ``fqrv``, from the path, counts before the body's."""
    return messages.serve_request_from(_read_deploy(body), fqrv)


def deploy_from(message: BasicServeRequest, fqrv: Fqrv | None = None) -> Deploy | WatchVersions:
    """Return the command that a BasicServeRequest asks for; ``fqrv``, from the path, counts before the message's."""
    check_length(message.path)
    if message.HasField("versions"):
        return WatchVersions(versions.watch_request_from(message, fqrv.contract if fqrv else None))
    return Deploy(messages.serve_request_from(message, fqrv))


def mlflow_from(message: MLFlowServeRequest) -> BasicServeRequest:
    """Return what deploys the MLmodel file that an MLFlowServeRequest leads to, or the folder with that file."""
    basic = BasicServeRequest(
        path=message.path.removesuffix("/MLmodel"),
        servableSettings=message.servableSettings,
        tags=dict(message.tags),
        flavor=FlavorShim(MLmodel=MLmodelFlavor()),
    )
    for name in ("fqrv", "contractSettings"):
        if message.HasField(name):
            getattr(basic, name).CopyFrom(getattr(message, name))
    if message.HasField("sha256"):
        basic.sha256 = message.sha256
    return basic


def _read_deploy(body: bytes) -> BasicServeRequest:
    """Read a BasicServeRequest, or an MLFlowServeRequest, which has no flavor."""
    document = strict_json.loads(body)
    message: BasicServeRequest | None = None
    if type(document) is dict and document.get("flavor") is None and "versions" not in document:
        with contextlib.suppress(Malformed):  # then the errors of the other are the ones to report
            message = mlflow_from(message_json.read(document, MLFlowServeRequest()))
    if message is None:
        message = message_json.read(versions.with_release(document), BasicServeRequest())
    check_length(message.path)
    return message_json.bounded(message)


# --- replies --------------------------------------------------------------------------------------------------------


def contracts(known: Iterable[Contract]) -> bytes:
    listed = [message_json.to_document(messages.contract_to(contract)) for contract in known]
    return orjson.dumps({"Contracts": {"contracts": listed}})


def contract_created(contract: Contract) -> bytes:
    return _reply(responses.ContractCreatedSuccessfully(contract=messages.contract_to(contract)))


def contract_updated(contract: Contract) -> bytes:
    return _reply(responses.ContractUpdatedSuccessfully(contract=messages.contract_to(contract)))


def contract_settings(settings: ContractSettings) -> bytes:
    return _reply(messages.contract_settings_to(settings))


def servable_created(fqrv: Fqrv) -> bytes:
    return _reply(responses.ServableCreatedSuccessfully(fqrv=messages.fqrv_to(fqrv)))


def servables_deleted(deleted: Iterable[Fqrv]) -> bytes:
    return _reply(responses.ServablesDeletedSuccessfully(fqrv=map(messages.fqrv_to, deleted)))


def servable_updated(fqrv: Fqrv) -> bytes:
    return _reply(responses.ServableUpdatedSuccessfully(fqrv=messages.fqrv_to(fqrv)))


def fqrvs(listed: Iterable[Fqrv]) -> bytes:
    return _replies(map(messages.fqrv_to, listed))


def metrics(listed: Iterable[ServableMetrics]) -> bytes:
    return _replies(map(reports.metrics_to, listed))


def servable_settings(settings: ServableSettings) -> bytes:
    return _reply(messages.servable_settings_to(settings))


def servable_settings_list(listed: Iterable[ServableSettings]) -> bytes:
    return _replies(map(messages.servable_settings_to, listed))


def metadata(of: ServableMetadata) -> bytes:
    return _reply(reports.metadata_to(of))


def metadata_list(listed: Iterable[ServableMetadata]) -> bytes:
    return _replies(map(reports.metadata_to, listed))


def status(of: ServableStatus) -> bytes:
    return _reply(reports.status_to(of))


def replicas(listed: Iterable[ReplicaStatus]) -> bytes:
    return _replies(map(reports.replica_to, listed))


def status_list(listed: Iterable[ServableStatus]) -> bytes:
    return _replies(map(reports.status_to, listed))


def versions_status(report: VersionsReport) -> bytes:
    return _reply(versions.report_to(report))


def plan(explained: PlanExplanation) -> bytes:
    return _reply(plans.plan_to(explained))


def simulation(contract: Contract, points: Iterable[TimelinePoint]) -> bytes:
    return _reply(plans.simulation_to(contract, points))


def history(contract: Contract, entries: Iterable[HistoryEntry]) -> bytes:
    return orjson.dumps({"History": plans.history_document(contract, entries)})


def plan_at(found: PlanAt) -> bytes:
    return orjson.dumps({"PlanAt": plans.plan_at_document(found)})


def _wrapped(message: Message) -> dict[str, Any]:
    """The message under its own name, which is that of its field in SuccessResponse or ErrorResponse."""
    return {message.DESCRIPTOR.name: message_json.to_document(message)}


def _reply(message: Message) -> bytes:
    return orjson.dumps(_wrapped(message))


def _replies(listed: Iterable[Message]) -> bytes:
    return orjson.dumps([_wrapped(message) for message in listed])


# --- errors ---------------------------------------------------------------------------------------------------------

# Failures of a score that the original reports as UnknownServableError; others are the server's, not the servable's.
_SCORE_FAILURES = (Code.INVALID, Code.INTERNAL, Code.UNIMPLEMENTED)


def error(failure: ForestFlowError, fqrv: Fqrv | None, request_id: str) -> bytes:
    """The reply of a refused command or score; ``fqrv`` is the release that was scored, if one was chosen."""
    message = _error_message(failure, fqrv)
    if message is not None:
        return _reply(message)
    return orjson.dumps(
        {"error": {"code": failure.code.name, "message": _text(failure.message), "requestId": _text(request_id)}}
    )


def _error_message(failure: ForestFlowError, fqrv: Fqrv | None) -> Message | None:
    match failure:
        case refusals.UnknownContract(contract=contract):
            return responses.UnknownContract(contract=messages.contract_to(contract))
        case refusals.UnknownServable(fqrv=unknown):
            return responses.UnknownServable(fqrv=messages.fqrv_to(unknown))
        case refusals.NoActiveServables(contract=contract):
            return responses.NoActiveServablesForContract(contract=messages.contract_to(contract))
        case refusals.ServableAlreadyExists(fqrv=existing, settings=settings):
            return responses.ServableAlreadyExistsError(
                fqrv=messages.fqrv_to(existing), servableSettings=messages.servable_settings_to(settings)
            )
        case refusals.ContractValidationError(contract=contract):
            return responses.ContractValidationError(
                contract=messages.contract_to(contract), msg=_text(failure.message)
            )
        case refusals.ServeRequestInvalid(request=request):
            return responses.CreateServableRequestInvalidError(
                serveRequest=ServeRequestShim(Basic=messages.serve_request_to(request)),
                errorMessage=_text(failure.message),
            )
    if fqrv is not None and failure.code in _SCORE_FAILURES:
        return responses.UnknownServableError(fqrv=messages.fqrv_to(fqrv), errorMessage=_text(failure.message))
    return None


def _text(text: str) -> str:
    """Without lone surrogates, which neither JSON nor protobuf can hold."""
    return text.encode(errors="replace").decode()
