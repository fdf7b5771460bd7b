"""TensorFlow Serving's REST API, below /v1/models."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from urllib.parse import unquote

from forestflow.api.answers import HTTP_STATUS, payload_of
from forestflow.api.http.errors import Header, HttpRefusal
from forestflow.api.http.exchange import Answer, Exchange, render
from forestflow.api.http.gate import Direct
from forestflow.api.tfserving import Target, TfServing, in_its_words, scored
from forestflow.codecs.envelope import pack
from forestflow.codecs.json import nested
from forestflow.codecs.table import TFSERVING_REST
from forestflow.codecs.tfserving import documents
from forestflow.codecs.tfserving.documents import Spec
from forestflow.codecs.tfserving.rest import PREDICT
from forestflow.dataplane.link import Reply
from forestflow.domain.errors import Code, ForestFlowError, InvalidInput

# As TensorFlow Serving maps its codes; a release version of any name may stand for a version.
STATUSES: Mapping[Code, int] = {**HTTP_STATUS, Code.INVALID: 400, Code.NO_ACTIVE_SERVABLE: 404}

_MODEL = rb"/v1/models/([^/:]+)(?:/versions/([^/:]+)|/labels/([^/:]+))?"
_SCORED = re.compile(_MODEL + rb"(?::|%3a)(predict|classify|regress)", re.IGNORECASE)
_TOLD = re.compile(_MODEL + rb"(/metadata)?", re.IGNORECASE)


class TfServingHttp:
    """:class:`forestflow.api.http.exchange.HttpProtocol`"""

    name = "tfserving"
    any_origin = False

    def __init__(self, serving: TfServing) -> None:
        self._serving = serving

    def claims(self, raw_path: bytes) -> bool:
        return raw_path[:4].lower() == b"/v1/"

    async def answer(self, exchange: Exchange) -> Answer:
        if exchange.method == "POST" and (asked := _SCORED.fullmatch(exchange.raw_path)):
            return await self._score(_spec(asked), asked[4].decode().lower(), exchange)
        if exchange.method in ("GET", "HEAD") and (asked := _TOLD.fullmatch(exchange.raw_path)):
            if not asked[4]:
                return Answer(documents.status_json(await self._serving.status(_spec(asked))))
            spec = _spec(asked)
            fqrv, metadata = await self._serving.metadata(self._serving.target(spec))
            return Answer(documents.metadata_json(spec.model, fqrv.release_version, metadata))
        if exchange.method in ("GET", "HEAD") and exchange.raw_path.lower() == b"/v1/models":
            raise InvalidInput("Missing model name in request.")
        raise InvalidInput(f"Malformed request: {exchange.method} {exchange.raw_path.decode('ascii', 'replace')}")

    def direct(self, raw_path: bytes, _headers: Sequence[Header]) -> Direct | None:
        """For the shortcut: predictions by whichever release. Raises UnknownModel."""
        asked = _SCORED.fullmatch(raw_path) if raw_path.startswith(b"/v1/") else None
        if asked is None or asked[2] or asked[3] or asked[4] != b"predict":
            return None
        target = self._serving.target(_spec(asked))
        head = pack({"verb": PREDICT, "signature": ""}, b"")
        answer = partial(render, _replied, _refusal, reword=partial(_reworded, target))
        return Direct(target.contract, TFSERVING_REST, head, answer, self.name)

    async def _score(self, spec: Spec, verb: str, exchange: Exchange) -> Answer:
        target = self._serving.target(spec)
        head = {"verb": verb, "signature": await self._serving.signature(target, verb)}
        payload = pack(head, await exchange.body())
        return Answer(await scored(exchange.score, target, TFSERVING_REST, payload))

    def refuse(self, error: ForestFlowError, exchange: Exchange) -> Answer:
        return _refusal(error)


def _replied(reply: Reply) -> Answer:
    return Answer(payload_of(reply))


def _reworded(target: Target, error: ForestFlowError) -> ForestFlowError:
    return in_its_words(error, target)


def _refusal(error: ForestFlowError) -> Answer:
    status = error.status if isinstance(error, HttpRefusal) else STATUSES[error.code]
    return Answer(nested.dumps({"error": error.message.encode(errors="replace").decode()}), status)


def _spec(asked: re.Match[bytes]) -> Spec:
    model, version, label = (unquote((part or b"").decode("ascii", "replace")) for part in asked.groups()[:3])
    return Spec(model, version, label)
