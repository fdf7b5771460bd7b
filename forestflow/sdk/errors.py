"""What can go wrong between a client and a server, as exceptions that carry what the server said."""

from __future__ import annotations

from typing import Any

_MESSAGE_KEYS = ("message", "errorMessage", "msg")
# Errors whose answer holds an address and no words.
_WORDS = {
    "UnknownContract": "there is no contract {}",
    "UnknownServable": "there is no release {}",
    "NoActiveServablesForContract": "contract {} has no release that can answer",
    "ServableAlreadyExistsError": "release {} exists already",
}


class ClientError(Exception):
    """Base of everything the client raises besides ValueError for arguments that cannot be."""


class ServerUnreachable(ClientError):
    """No server answered: ``ServerUnreachable(url, message)``."""

    def __init__(self, url: str, message: str) -> None:
        super().__init__(url, message)
        self.url = url
        self.message = message

    def __str__(self) -> str:
        return f"no answer from {self.url}: {self.message}"


class RequestRefused(ClientError):
    """The server answered with an error: ``RequestRefused(status, code, message, request_id, body)``.

    ``code`` is the name of the error in the answer, such as ``UnknownContract`` or ``MALFORMED``; ``body`` the parsed
    answer, or its text where it is not JSON.
    """

    def __init__(self, status: int, code: str, message: str, request_id: str | None, body: Any) -> None:
        super().__init__(status, code, message, request_id, body)
        self.status = status
        self.code = code
        self.message = message
        self.request_id = request_id
        self.body = body

    def __str__(self) -> str:
        return f"{self.status} {self.code}: {self.message}"


def refused(status: int, body: Any, request_id: str | None) -> RequestRefused:
    """Read an error answer of any of the server's forms."""
    if isinstance(body, dict) and len(body) == 1:
        [(code, detail)] = body.items()
        if isinstance(detail, dict):
            if code == "error":
                code = str(detail.get("code", status))
                request_id = request_id or detail.get("requestId")
            return RequestRefused(status, code, _message(code, detail), request_id, body)
        return RequestRefused(status, str(status), str(detail), request_id, body)
    return RequestRefused(status, str(status), str(body)[:1000].strip() or "no reason given", request_id, body)


def _message(code: str, detail: dict[str, Any]) -> str:
    for key in _MESSAGE_KEYS:
        if isinstance(detail.get(key), str):
            return str(detail[key])
    return _WORDS.get(code, code + " {}").format(address_of(detail)).strip()


def address_of(detail: dict[str, Any]) -> str:
    """The contract or release that an answer names, as ``organization/project/number[/release]``, or nothing."""
    fqrv = detail.get("fqrv", detail)
    if not isinstance(fqrv, dict):
        return ""
    contract = fqrv.get("contract", fqrv)
    if not isinstance(contract, dict) or "organization" not in contract:
        return ""
    parts = [contract.get("organization"), contract.get("project"), contract.get("contractNumber", 0)]
    if "releaseVersion" in fqrv:
        parts.append(fqrv["releaseVersion"])
    return "/".join(map(str, parts))
