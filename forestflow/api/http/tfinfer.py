"""tf-infer's REST protocol, mounted at ``/{organization}/{project}/{contract_number}/infer``.

``GET`` there, or below it ``stats``, lists the signatures; ``POST`` below it the name of one calls it; ``web/`` has the
static files of the setting ``tf_infer_web``. Web pages of any site may call it, unless ``tf_infer_cors`` is off.
"""

from __future__ import annotations

import asyncio
import mimetypes
import stat
from pathlib import Path
from urllib.parse import quote

import orjson
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from forestflow.api.http.edge import contract_of
from forestflow.api.http.errors import Header, HttpRefusal, status_of
from forestflow.api.http.exchange import JSON, Answer, Exchange
from forestflow.api.http.urls import UrlFetcher
from forestflow.api.models import Models
from forestflow.codecs import tfinfer
from forestflow.codecs.table import TFINFER
from forestflow.domain.errors import Code, ForestFlowError, InvalidInput
from forestflow.domain.ids import Contract
from forestflow.domain.tensors import ModelMetadata
from forestflow.settings.sections import TfInferSettings

_FIRST = "classify"  # what a POST without a signature calls, where the model has it
_METHODS = b"GET, HEAD, POST, OPTIONS"


class TfInferHttp:
    """:class:`forestflow.api.http.exchange.HttpProtocol`."""

    def __init__(self, models: Models, settings: TfInferSettings) -> None:
        self.name = "tfinfer"
        self.any_origin = settings.cors
        self._models = models
        self._settings = settings
        self._urls = UrlFetcher(settings.url_hosts)
        self._web = None if settings.web is None else StaticFiles(directory=settings.web, check_dir=False)

    def claims(self, raw_path: bytes) -> bool:
        parts = raw_path.split(b"/", 5)
        return (
            len(parts) > 4 and parts[4] == b"infer" and parts[3].isdigit() and not raw_path.startswith(b"/v2/models/")
        )

    async def answer(self, exchange: Exchange) -> Answer:
        organization, project, number, _, *rest = exchange.segments
        answer = await self._answer(exchange, contract_of(organization, project, number), rest)
        return Answer(answer.body, answer.status, (*answer.headers, *self._cors()))

    def refuse(self, error: ForestFlowError, exchange: Exchange) -> Answer:
        status = 400 if error.code is Code.INVALID and not isinstance(error, HttpRefusal) else status_of(error)
        return Answer(orjson.dumps({"error": error.message}), status, (JSON, *self._cors()))

    async def _answer(self, exchange: Exchange, contract: Contract, rest: list[str]) -> Answer:
        method = exchange.method
        if method == "OPTIONS" and self.any_origin:
            return self._preflight(exchange)
        if rest and rest[0] == "web" and len(rest) > 1 and method in ("GET", "HEAD"):
            return await self._file("/".join(rest[1:]))
        if len(rest) <= 1 and method == "POST":
            return Answer(await self._call(exchange, contract, rest[0] if rest else ""))
        if rest not in ([], [""], ["stats"]) and (len(rest) > 1 or method in ("GET", "HEAD")):
            raise HttpRefusal(404, Code.NOT_FOUND, (), "no such path")
        if method not in ("GET", "HEAD"):
            raise HttpRefusal(405, Code.INVALID, ((b"allow", _METHODS),), f"{method} is not allowed here")
        _, model = await self._models.model(contract)
        return Answer(tfinfer.listing(model))

    async def _call(self, exchange: Exchange, contract: Contract, name: str) -> bytes:
        _, model = await self._models.model(contract)
        name = name or _default(model)
        signature = model.every_signature().get(name)
        if signature is None:
            raise InvalidInput(f"Method {name} not found")
        body = await exchange.body(self._settings.max_body_bytes)
        transpose = self._settings.batch_transpose
        if tfinfer.is_batched(signature) and transpose and tfinfer.is_empty_list(body):
            return b"[]"
        body = await self._urls.filled(body)
        payload = tfinfer.payload_of(name, signature, body, transpose=transpose)
        return await exchange.score(contract, TFINFER, payload)

    async def _file(self, path: str) -> Answer:
        """A file of the static folder; that of a folder is its index.html. Nothing outside of it, links or not."""
        if self._web is None:
            raise HttpRefusal(
                404, Code.NOT_FOUND, (), "there are no static files; the setting tf_infer_web names a folder"
            )
        for name in (path, f"{path}/index.html".lstrip("/")):
            try:
                found, told = await asyncio.to_thread(self._web.lookup_path, name)
            except (HTTPException, OSError, ValueError):
                break
            if told is not None and stat.S_ISREG(told.st_mode):
                kind = (mimetypes.guess_type(found)[0] or "application/octet-stream").encode()
                headers = ((b"content-type", kind), (b"x-content-type-options", b"nosniff"))
                return Answer(await asyncio.to_thread(Path(found).read_bytes), headers=headers)
        raise HttpRefusal(404, Code.NOT_FOUND, (), f"there is no file {path!r}")

    def _cors(self) -> tuple[Header, ...]:
        return (
            ((b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", b"*"))
            if self.any_origin
            else ()
        )

    def _preflight(self, exchange: Exchange) -> Answer:
        asked = exchange.header(b"access-control-request-headers") or b"*"
        return Answer(
            b"",
            204,
            (
                (b"access-control-allow-methods", _METHODS),
                (b"access-control-allow-headers", asked),
                (b"access-control-max-age", b"86400"),
                (b"vary", b"access-control-request-headers"),
            ),
        )


def mounted(route: ASGIApp, contract: Contract) -> ASGIApp:
    """That contract's tf-infer at ``/``, for a port of its own."""
    parts = (contract.organization, contract.project, str(contract.contract_number), "infer")
    prefix = "".join("/" + quote(part, safe="") for part in parts).encode()

    async def root(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await route({**scope, "raw_path": prefix + scope["raw_path"]}, receive, send)

    return root


def _default(model: ModelMetadata) -> str:
    return _FIRST if _FIRST in model.every_signature() else model.default
