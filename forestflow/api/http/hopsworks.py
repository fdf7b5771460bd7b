"""Hopsworks' inference path: TensorFlow Serving's bodies below its address of a model, and its own errors.

A Python model takes ``{"inputs": …}`` and answers ``{"predictions": …}``; the verb is the method of its class.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import unquote

from forestflow.api.http.errors import HttpRefusal
from forestflow.api.http.exchange import Answer, Exchange
from forestflow.api.http.tfserving import STATUSES
from forestflow.api.tfserving import Target, TfServing, scored
from forestflow.codecs.envelope import pack
from forestflow.codecs.json import nested
from forestflow.codecs.table import TFSERVING_REST
from forestflow.codecs.tfserving.documents import Spec
from forestflow.codecs.tfserving.rest import PREDICTIONS
from forestflow.domain.errors import Code, ForestFlowError

_PREFIX = b"/hopsworks-api/api/project/"
_PATH = re.compile(
    re.escape(_PREFIX) + rb"[0-9]+/inference/models/([^/:]+)(?:/versions/([^/:]+))?(?:(?::|%3a)([a-zA-Z]*))?",
    re.IGNORECASE,
)
_VERBS = ("predict", "classify", "regress")

_NOT_FOUND, _NOT_RUNNING, _NO_VERB, _FAILED, _BAD_REQUEST = 250000, 250001, 250005, 250007, 250008
_MESSAGES = {
    _NOT_FOUND: "Serving instance not found.",
    _NOT_RUNNING: "Serving instance not running.",
    _NO_VERB: "Verb is missing.",
    _FAILED: "Serving instance internal error.",
    _BAD_REQUEST: "Malformed request.",
}
# The code, and the status where it is not the one that the error has elsewhere.
_CODES: Mapping[Code, tuple[int, int | None]] = {
    Code.NOT_FOUND: (_NOT_FOUND, 404),
    Code.NO_ACTIVE_SERVABLE: (_NOT_RUNNING, 400),
    Code.UNAVAILABLE: (_NOT_RUNNING, 400),
    Code.MALFORMED: (_BAD_REQUEST, 400),
    Code.INVALID: (_BAD_REQUEST, 400),
    Code.TOO_LARGE: (_BAD_REQUEST, None),
    Code.EXHAUSTED: (_FAILED, None),
    Code.DEADLINE: (_FAILED, None),
}


class _Refused(HttpRefusal):
    """``_Refused(status, code, headers, message)`` with one of Hopsworks' codes in ``told``."""

    told = _BAD_REQUEST


class _NoVerb(_Refused):
    told = _NO_VERB


class HopsworksHttp:
    """:class:`forestflow.api.http.exchange.HttpProtocol`"""

    name = "hopsworks"
    any_origin = False

    def __init__(self, serving: TfServing) -> None:
        self._serving = serving

    def claims(self, raw_path: bytes) -> bool:
        return raw_path.startswith(b"/hopsworks-api/")

    async def answer(self, exchange: Exchange) -> Answer:
        asked = _PATH.fullmatch(exchange.raw_path)
        if asked is None:
            raise _Refused(
                404, Code.NOT_FOUND, (), "no such path; models are at …/project/{id}/inference/models/{name}"
            )
        if exchange.method != "POST":
            allow = ((b"allow", b"POST"),)
            raise _Refused(405, Code.UNIMPLEMENTED, allow, f"{exchange.method} is not allowed here; POST a request")
        verb = (asked[3] or b"").decode().lower()
        if verb not in _VERBS:
            raise _NoVerb(400, Code.INVALID, (), f"the path must end in one of :{', :'.join(_VERBS)}")
        spec = Spec(*(unquote((part or b"").decode("ascii", "replace")) for part in asked.groups()[:2]))
        target = self._serving.target(spec)
        payload = pack(await self._head(target, verb), await exchange.body())
        return Answer(await scored(exchange.score, target, TFSERVING_REST, payload))

    async def _head(self, target: Target, verb: str) -> dict[str, str]:
        _, metadata = await self._serving.metadata(target)
        if metadata.default in _VERBS:  # its signatures are the methods of a class
            signature = "" if verb == metadata.default else verb
            return {"verb": verb, "signature": signature, "inputs_key": PREDICTIONS}
        return {"verb": verb, "signature": await self._serving.signature(target, verb)}

    def refuse(self, error: ForestFlowError, exchange: Exchange) -> Answer:
        if isinstance(error, HttpRefusal):
            code, status = (error.told if isinstance(error, _Refused) else _BAD_REQUEST), error.status
        else:
            code, own = _CODES.get(error.code, (_FAILED, None))
            status = own or STATUSES[error.code]
        message = error.message.encode(errors="replace").decode()
        told = {"errorCode": code, "errorMsg": _MESSAGES[code], "usrMsg": message}
        return Answer(nested.dumps(told), HTTPStatus(status))
