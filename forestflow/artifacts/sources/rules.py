"""What a path of a deploy request may reach: schemes, hosts, addresses.

A path is written by whoever may deploy; the machines behind it are those that the server can reach. So a host is
looked for in the operator's list first, and the address that was checked is the one connected to.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from forestflow.domain.addresses import is_public
from forestflow.domain.errors import ArtifactRejected

ANY_HOST = "*"


@dataclass(frozen=True, slots=True)
class SourceRules:
    """The operator's settings for sources. Sizes in bytes, times in seconds.

    ``hosts`` are names or globs; a host that only ``*`` matches must have public addresses.
    """

    schemes: tuple[str, ...]
    hosts: tuple[str, ...]
    timeout_seconds: float
    max_bytes: int
    s3_credentials_file: Path | None = None

    def check_scheme(self, scheme: str) -> None:
        """Raises ArtifactRejected for a scheme that is not allowed."""
        if scheme not in self.schemes:
            raise ArtifactRejected(
                f"sources of the kind {scheme!r} are not allowed here; allowed are {', '.join(self.schemes) or 'none'} "
                "(setting source_schemes)"
            )

    def check_host(self, host: str) -> bool:
        """Whether a host is listed by more than ``*``; raises ArtifactRejected for one that is not listed at all."""
        name = host.lower().rstrip(".")
        matching = {pattern for pattern in self.hosts if fnmatchcase(name, pattern.lower())}
        if not matching:
            raise ArtifactRejected(
                f"models may not come from the host {host!r}; list it in the setting source_hosts, now "
                f"{', '.join(self.hosts) or 'empty'}"
            )
        return matching != {ANY_HOST}

    def address(self, host: str, port: int) -> str:
        """The address of an allowed host to connect to; raises ArtifactRejected, or OSError when it has none."""
        listed = self.check_host(host)
        found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        if not listed and not all(is_public(ipaddress.ip_address(address.partition("%")[0])) for address in found):
            raise ArtifactRejected(
                f"the host {host!r} has a private address; if models shall come from there, list its name in the "
                "setting source_hosts"
            )
        return found[0]
