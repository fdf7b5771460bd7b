"""The journal's events as JSON documents of the control API's own casing, so that a journal reads like its requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from forestflow._gen.contract_pb2 import FQRV as FqrvMessage  # noqa: N811 - the original's name of the message
from forestflow._gen.contract_pb2 import Contract as ContractMessage
from forestflow._gen.serve_request_pb2 import BasicServeRequest
from forestflow._gen.settings_pb2 import ContractSettings as ContractSettingsMessage
from forestflow._gen.settings_pb2 import ServableSettings as ServableSettingsMessage
from forestflow.codecs.messages import values as messages
from forestflow.codecs.messages import versions
from forestflow.codecs.messages.message_json import read, to_document
from forestflow.domain.errors import Malformed
from forestflow.domain.events import (
    ContractSet,
    Event,
    MetricReported,
    ServableBecameInvalid,
    ServableBecameValid,
    ServableDeployed,
    ServablesDeleted,
    ServableUpdated,
    VersionsForgotten,
    VersionsUnwatched,
    VersionsWatched,
)
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.metrics import MetricReport, Sample
from forestflow.domain.requests import ServeRequest
from forestflow.domain.settings import ContractSettings, ServableSettings

Document = dict[str, Any]


def encode_contract(contract: Contract) -> Document:
    return to_document(messages.contract_to(contract))


def decode_contract(document: object) -> Contract:
    return messages.contract_from(read(document, ContractMessage()))


def encode_fqrv(fqrv: Fqrv) -> Document:
    return to_document(messages.fqrv_to(fqrv))


def decode_fqrv(document: object) -> Fqrv:
    return messages.fqrv_from(read(document, FqrvMessage()))


def encode_serve_request(request: ServeRequest) -> Document:
    return to_document(messages.serve_request_to(request))


def decode_serve_request(document: object) -> ServeRequest:
    return messages.serve_request_from(read(document, BasicServeRequest()))


def encode_contract_settings(settings: ContractSettings) -> Document:
    return to_document(messages.contract_settings_to(settings))


def decode_contract_settings(document: object) -> ContractSettings:
    return messages.contract_settings_from(read(document, ContractSettingsMessage()))


def encode_servable_settings(settings: ServableSettings) -> Document:
    return to_document(messages.servable_settings_to(settings))


def decode_servable_settings(document: object) -> ServableSettings:
    return messages.servable_settings_from(read(document, ServableSettingsMessage()))


def encode_event(event: Event) -> tuple[str, Document]:
    """An event's kind and its document."""
    body: Document
    match event:
        case ContractSet(contract, settings):
            body = {"contract": encode_contract(contract), "contractSettings": encode_contract_settings(settings)}
        case ServableDeployed(request, digest, created_at_ms):
            body = {"serveRequest": encode_serve_request(request), "digest": digest, "createdAtMS": created_at_ms}
        case ServableUpdated(fqrv, servable_settings):
            body = {"fqrv": encode_fqrv(fqrv), "servableSettings": encode_servable_settings(servable_settings)}
        case ServableBecameValid(fqrv, at_ms) | ServableBecameInvalid(fqrv, at_ms):
            body = {"fqrv": encode_fqrv(fqrv), "atMS": at_ms}
        case MetricReported(fqrv, report):
            samples = [{"value": x.value, "timeMS": x.time_ms, "count": x.count} for x in report.samples]
            body = {"fqrv": encode_fqrv(fqrv), "name": report.name, "samples": samples, "replace": report.replace}
        case ServablesDeleted(fqrvs, contracts):
            body = {"fqrv": [encode_fqrv(f) for f in fqrvs], "contract": [encode_contract(c) for c in contracts]}
        case VersionsWatched(watch):
            request_document = to_document(versions.watch_to(watch))
            body = {"contract": encode_contract(watch.contract), "serveRequest": request_document}
        case VersionsUnwatched(contract):
            body = {"contract": encode_contract(contract)}
        case VersionsForgotten(contract, forgotten):
            body = {"contract": encode_contract(contract), "versions": list(forgotten)}
    return type(event).__name__, body


def decode_event(kind: str, body: Mapping[str, Any]) -> Event:
    """Raises Malformed for a kind or a document that this version does not know."""
    try:
        match kind:
            case "ContractSet":
                return ContractSet(
                    decode_contract(body["contract"]), decode_contract_settings(body["contractSettings"])
                )
            case "ServableDeployed":
                return ServableDeployed(
                    decode_serve_request(body["serveRequest"]), str(body["digest"]), int(body["createdAtMS"])
                )
            case "ServableUpdated":
                return ServableUpdated(decode_fqrv(body["fqrv"]), decode_servable_settings(body["servableSettings"]))
            case "ServableBecameValid":
                return ServableBecameValid(decode_fqrv(body["fqrv"]), int(body["atMS"]))
            case "ServableBecameInvalid":
                return ServableBecameInvalid(decode_fqrv(body["fqrv"]), int(body["atMS"]))
            case "MetricReported":
                samples = tuple(Sample(float(x["value"]), int(x["timeMS"]), int(x["count"])) for x in body["samples"])
                report = MetricReport(str(body["name"]), samples, bool(body["replace"]))
                return MetricReported(decode_fqrv(body["fqrv"]), report)
            case "ServablesDeleted":
                return ServablesDeleted(
                    tuple(map(decode_fqrv, body["fqrv"])), tuple(map(decode_contract, body["contract"]))
                )
            case "VersionsWatched":
                request = read(body["serveRequest"], BasicServeRequest())
                return VersionsWatched(versions.watch_from(request, decode_contract(body["contract"])))
            case "VersionsUnwatched":
                return VersionsUnwatched(decode_contract(body["contract"]))
            case "VersionsForgotten":
                return VersionsForgotten(decode_contract(body["contract"]), tuple(map(int, body["versions"])))
    except KeyError as error:
        raise Malformed(f"journal: {kind} without {error}") from None
    except (TypeError, ValueError) as error:  # a field is there, and of another type
        raise Malformed(f"journal: {kind}: {error}") from None
    raise Malformed(f"journal: event kind {kind!r} is unknown; it was written by a later version")
