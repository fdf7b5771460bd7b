"""/openapi.json and /docs. The page works without internet: its script and style come from a Python package."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException

from forestflow.api.http import further_docs
from forestflow.api.http.operation import schemas
from forestflow.api.http.operations import OPERATIONS

TITLE = "ForestFlow"
DESCRIPTION = """Policy-based model server: releases live under contracts, policies decide which of them answers.

Names are accepted in camelCase and snake_case. Errors are `{"error": {"code", "message", "requestId"}}` or the
object that the original answers, such as `{"UnknownContract": …}`; with `Accept: text/plain`, their message alone.

The documents are `README.md` and `docs/` of the source; `make docs` builds them as a site.
"""
TAGS = [
    {"name": "scoring", "description": "What users call."},
    {"name": "servables", "description": "One release."},
    {"name": "contracts", "description": "The address that users call, and all releases under it."},
    {"name": "plans", "description": "Who gets how much: why, what if, and when before."},
    {"name": "health", "description": "For load balancers and supervisors."},
    *further_docs.TAGS,
]

_ASSETS = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css", "favicon-32x32.png": "image/png"}
_CACHED = {"cache-control": "public, max-age=86400"}


def install_docs(app: FastAPI) -> None:
    """Add the page and its assets to an application whose own docs are off, and complete its OpenAPI document."""
    app.add_api_route("/docs", _page, include_in_schema=False, response_class=Response)
    app.add_api_route("/docs/{asset}", _asset, include_in_schema=False, response_class=Response)

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


async def _page(request: Request) -> Response:
    root = request.scope.get("root_path", "")
    return get_swagger_ui_html(
        openapi_url=f"{root}/openapi.json",
        title=TITLE,
        swagger_js_url=f"{root}/docs/swagger-ui-bundle.js",
        swagger_css_url=f"{root}/docs/swagger-ui.css",
        swagger_favicon_url=f"{root}/docs/favicon-32x32.png",
        swagger_ui_parameters={"validatorUrl": None, "tryItOutEnabled": True, "displayRequestDuration": True},
    )


async def _asset(asset: str) -> Response:
    media_type = _ASSETS.get(asset)
    if media_type is None:
        raise HTTPException(404)
    return Response(_content(asset), media_type=media_type, headers=_CACHED)


@lru_cache(maxsize=len(_ASSETS))
def _content(asset: str) -> bytes:
    return (resources.files("fastapi_swagger") / "resources" / asset).read_bytes()


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=TITLE, version=app.version, description=DESCRIPTION, routes=app.routes, tags=TAGS, openapi_version="3.1.0"
    )
    document["paths"] |= further_docs.paths()
    # Replaces FastAPI's own form of errors, which this API never answers.
    document["components"] = {"schemas": schemas(OPERATIONS)}
    return document
