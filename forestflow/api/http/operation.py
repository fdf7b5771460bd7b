"""What an operation of the control API is, and what the OpenAPI page says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from forestflow.api.http.samples import ERRORS, REPLIES, REQUESTS
from forestflow.codecs.control.json_schema import error_schema, json_schema, reply_schema

QUERY_ERRORS = (400, 403, 404, 422, 500, 503)  # of an operation that reads no body and changes nothing

_MEANING: dict[int, str] = {
    400: "The path or the body is malformed.",
    403: "The Host or Origin header names another site.",
    404: "No such contract, release or path.",
    408: "The body did not arrive in time.",
    409: "The release exists already.",
    413: "The body is too large.",
    415: "The body is not application/json.",
    422: "Well-formed, but it cannot be carried out.",
    429: "A queue is full; try again after the seconds in Retry-After.",
    500: "A model or the server failed.",
    501: "The model has no such output.",
    503: "Nothing that could answer is reachable now; try again after the seconds in Retry-After.",
    504: "The request's time ran out.",
    507: "The state could not be written; nothing was changed.",
}
TEXT = "Text"  # the reply of an operation that answers plain text
_ERROR_REPLIES = (
    "UnknownContract",
    "UnknownServable",
    "UnknownServableError",
    "NoActiveServablesForContract",
    "ServableAlreadyExistsError",
    "CreateServableRequestInvalidError",
    "ContractValidationError",
)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. ``name`` is that of its handler; ``request`` and ``reply`` name the messages in the bodies.

    ``many`` says that the answer is an array of replies; ``or_reply`` that it may be this other one.
    """

    name: str
    method: str
    paths: tuple[str, ...]
    tag: str
    summary: str
    reply: str
    description: str = ""
    errors: tuple[int, ...] = QUERY_ERRORS
    request: str | None = None
    many: bool = False
    or_reply: str | None = None

    def documentation(self, path: str) -> dict[str, Any]:
        """The keyword arguments of FastAPI's ``add_api_route`` that describe this operation under that spelling."""
        spelling = self.paths.index(path)
        description = self.description
        if spelling:
            description = f"Another spelling of `{self.method} {self.paths[0]}`. {description}".strip()
        return {
            "tags": [self.tag],
            "summary": self.summary,
            "description": description or self.summary + ".",
            "operation_id": self.name if spelling == 0 else f"{self.name}_{spelling + 1}",
            "responses": {
                200: _answer("Done.", self._reply_schema(), REPLIES[self.name], self._media()),
                **{
                    status: _answer(_MEANING[status], _reference("Error"), ERRORS.get(status))
                    for status in sorted(self.errors)
                },
            },
            "openapi_extra": {"requestBody": _request_body(self.request)} if self.request else None,
        }

    def _media(self) -> str:
        return "text/plain" if self.reply == TEXT else "application/json"

    def _reply_schema(self) -> dict[str, Any]:
        if self.reply == TEXT:
            return {"type": "string"}
        reference = _reference(f"{self.reply}Reply")
        return {"type": "array", "items": reference} if self.many else reference


def schemas(operations: Sequence[Operation]) -> dict[str, Any]:
    """The components that the operations refer to."""
    requests = {operation.request for operation in operations if operation.request}
    replies = {
        operation.reply: (operation.reply, *([operation.or_reply] if operation.or_reply else []))
        for operation in operations
        if operation.reply not in ("Health", TEXT)
    }
    texts = {"type": "object", "properties": {"status": {"type": "string"}}, "required": ["status"]}
    return (
        {name: json_schema(name) for name in sorted(requests)}
        | {f"{name}Reply": reply_schema(*names) for name, names in sorted(replies.items())}
        | {"HealthReply": texts, "Error": {"anyOf": [error_schema(), reply_schema(*_ERROR_REPLIES)]}}
    )


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _answer(meaning: str, schema: dict[str, Any], example: Any, media: str = "application/json") -> dict[str, Any]:
    content: dict[str, Any] = {"schema": schema}
    if example is not None:
        content["example"] = example
    return {"description": meaning, "content": {media: content}}


def _request_body(schema: str) -> dict[str, Any]:
    examples = {title: {"summary": title, "value": value} for title, value in REQUESTS[schema].items()}
    content = {"schema": _reference(schema), "examples": examples}
    return {"required": True, "content": {"application/json": content}}
