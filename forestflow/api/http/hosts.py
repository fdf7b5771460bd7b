"""Which Host and Origin headers are believed, against web pages that reach for a server of the user's own machine.

Such a page either rebinds its domain to 127.0.0.1 (then Host names that domain) or posts across sites (then Origin
does). Programs other than browsers send no Origin and a Host they really connected to.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import urlsplit


class HostGuard:
    """Decides on Host and Origin headers.

    ``loopback`` says that the server listens on a loopback address: then only names of this machine and ``allowed``
    ones pass. Otherwise every Host passes unless ``allowed`` names some. ``allowed`` may hold ``*.example.com`` for
    all names below a domain, and ``*`` for any name.
    """

    def __init__(self, *, loopback: bool = True, allowed: Sequence[str] = ()) -> None:
        self._any = "*" in allowed
        self._checks_host = not self._any and (loopback or bool(allowed))
        self._names = frozenset(_normal(name) for name in allowed if not name.startswith("*"))
        self._domains = tuple(_normal(name[1:]) for name in allowed if name.startswith("*."))
        # Bound per guard; hosts are few, and those that are not must not fill memory.
        self.host_allowed = lru_cache(maxsize=256)(self._host_allowed)

    def _host_allowed(self, host: bytes) -> bool:
        """Whether a Host header, with or without a port, names this server."""
        if not self._checks_host:
            return True
        name = _host_name(host.decode("latin-1"))
        return name is not None and self._is_known(name)

    def origin_allowed(self, origin: bytes, host: bytes) -> bool:
        """Whether a page of this Origin may send requests to this Host: its own pages, and those of allowed names."""
        if self._any:
            return True
        try:
            name = urlsplit(origin.decode("latin-1")).hostname
        except ValueError:
            return False
        if not name:  # "null": a sandboxed frame or a file
            return False
        name = _normal(name)
        return name == _host_name(host.decode("latin-1")) or name in self._names or name.endswith(self._domains)

    def refusal(self, host: bytes | None, origin: bytes | None) -> str | None:
        """Why a request with these headers is refused, or ``None`` if it is not."""
        if host is not None and not self.host_allowed(host):
            return "the Host header names another server; if it is a name of this one, add it to allowed_hosts"
        if origin is not None and not self.origin_allowed(origin, host or b""):
            return "requests from web pages of another site are refused; if it is trusted, add it to allowed_hosts"
        return None

    def _is_known(self, name: str) -> bool:
        if name == "localhost" or name in self._names or name.endswith(self._domains):
            return True
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return False


def _normal(name: str) -> str:
    return name.strip().strip("[]").rstrip(".").lower()


def _host_name(header: str) -> str | None:
    """The host of ``host``, ``host:port``, ``[v6]`` or ``[v6]:port``; ``None`` when it is none of them."""
    try:
        parts = urlsplit("//" + header)
        _ = parts.port
    except ValueError:
        return None
    if parts.path or parts.query or parts.fragment or parts.username is not None or not parts.hostname:
        return None
    return _normal(parts.hostname)
