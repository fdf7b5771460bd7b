"""The Open Inference Protocol v2 over HTTP, below /v2."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any
from urllib.parse import unquote

import orjson

from forestflow.api.answers import payload_of
from forestflow.api.http.admission import header_of
from forestflow.api.http.errors import Header, HttpRefusal, status_of
from forestflow.api.http.exchange import Answer, Exchange, render
from forestflow.api.http.gate import Direct
from forestflow.api.openinference import OpenInference
from forestflow.codecs import envelope
from forestflow.codecs.table import OIP_REST
from forestflow.dataplane.link import Reply
from forestflow.domain.errors import Code, ForestFlowError, Malformed

LENGTH_HEADER = b"inference-header-content-length"

_INFER = re.compile(rb"/v2/models/([^/]+)/infer")


class OpenInferenceHttp:
    """:class:`forestflow.api.http.exchange.HttpProtocol`."""

    name = "openinference"
    any_origin = False

    def __init__(self, service: OpenInference) -> None:
        self._service = service

    def claims(self, raw_path: bytes) -> bool:
        return raw_path.startswith(b"/v2/") or raw_path == b"/v2"

    async def answer(self, exchange: Exchange) -> Answer:
        service = self._service
        path = exchange.segments[1:]
        if path and not path[-1]:
            path.pop()  # a slash at the end
        match path:
            case []:
                _allow(exchange, "GET")
                return _json(service.server())
            case ["health", "live"]:
                _allow(exchange, "GET")
                return _json({"live": True})
            case ["health", "ready"]:
                _allow(exchange, "GET")
                return _state({}, await service.ready())
            case ["models", name, "versions", version, *rest]:
                return await self._model(exchange, name, version, rest)
            case ["models", name, *rest]:
                return await self._model(exchange, name, None, rest)
        raise _no_path(exchange)

    async def _model(self, exchange: Exchange, name: str, version: str | None, rest: list[str]) -> Answer:
        match rest:
            case []:
                _allow(exchange, "GET")
                return _json(await self._service.model(name, version))
            case ["ready"]:
                _allow(exchange, "GET")
                return _state({"name": name}, self._service.model_ready(name, version))
            case ["infer"]:
                _allow(exchange, "POST")
                return await self._infer(exchange, name, version)
        raise _no_path(exchange)

    async def _infer(self, exchange: Exchange, name: str, version: str | None) -> Answer:
        contract, only = self._service.find(name, version)
        if exchange.header(b"content-encoding") not in (None, b"identity"):
            raise HttpRefusal(415, Code.MALFORMED, (), "compressed bodies are not supported; send it as it is")
        head = _asked(name, version, exchange.header(LENGTH_HEADER))
        return _answer(await exchange.score(contract, OIP_REST, envelope.pack(head, await exchange.body()), only))

    def direct(self, raw_path: bytes, headers: Sequence[Header]) -> Direct | None:
        """For the shortcut: inference by whichever release. Raises UnknownModel, Malformed."""
        asked = _INFER.fullmatch(raw_path)
        if asked is None:
            return None
        name = unquote(asked[1].decode("ascii", "replace"))
        contract, _ = self._service.find(name, None)
        head = envelope.pack(_asked(name, None, header_of(headers, LENGTH_HEADER)), b"")
        return Direct(contract, OIP_REST, head, partial(render, _replied, _refusal), self.name)

    def refuse(self, error: ForestFlowError, exchange: Exchange) -> Answer:
        return _refusal(error)


def _asked(name: str, version: str | None, length: bytes | None) -> dict[str, Any]:
    """What the replica must know of the head. Raises Malformed for a length of the JSON that is none."""
    if length is not None and not (length.isdigit() and len(length) <= 18):
        raise Malformed("Inference-Header-Content-Length is not a length")
    return {"json": None if length is None else int(length), "model": name, "version": version}


def _answer(payload: bytes) -> Answer:
    head, body = envelope.unpack(payload)
    if head["json"] is None:
        return Answer(bytes(body))
    binary = ((b"content-type", b"application/octet-stream"), (LENGTH_HEADER, b"%d" % head["json"]))
    return Answer(bytes(body), headers=binary)


def _replied(reply: Reply) -> Answer:
    return _answer(payload_of(reply))


def _refusal(error: ForestFlowError) -> Answer:
    return Answer(orjson.dumps({"error": error.message}), status_of(error))


def _json(document: dict[str, Any]) -> Answer:
    return Answer(orjson.dumps(document))


def _state(document: dict[str, Any], ready: bool) -> Answer:
    return Answer(orjson.dumps({**document, "ready": ready}), 200 if ready else 503)


def _allow(exchange: Exchange, method: str) -> None:
    if exchange.method != method:
        allow = ((b"allow", method.encode()),)
        raise HttpRefusal(405, Code.MALFORMED, allow, f"{exchange.method} is not allowed here; use {method}")


def _no_path(exchange: Exchange) -> HttpRefusal:
    return HttpRefusal(404, Code.NOT_FOUND, (), f"no such path: {exchange.raw_path.decode('ascii', 'replace')[:200]}")
