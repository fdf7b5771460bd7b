"""What becomes of fields in a request that the model does not have: the release's setting says it, for every servable.

A servable raises UnknownInputs. Only then is anything done here, so that a right request pays nothing for it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from urllib.parse import quote

from forestflow.domain.errors import UnknownInputs
from forestflow.domain.ids import Fqrv
from forestflow.domain.settings import UnknownFields
from forestflow.domain.tensors import Batch

MAX_REPORTED_BYTES = 1024  # clients of gRPC take 8 KiB of metadata in all
MAX_LOGGED = 256  # sets of fields; who makes up ever new ones is not logged any more
MORE = "..."  # in place of names for which there is no room

_log = logging.getLogger("forestflow.replica")


class Tolerance:
    """What one release does with unknown fields. Not thread-safe."""

    def __init__(self, fqrv: Fqrv, setting: UnknownFields) -> None:
        self._fqrv = fqrv
        self._setting = setting
        self._logged: set[frozenset[str]] = set()

    def known(self, batch: Batch, error: UnknownInputs) -> Batch:
        """The batch without these fields; raises the error where it is refused, or has no other fields."""
        left = batch.without(error.names)
        if self._setting is UnknownFields.REFUSE or not left.columns:
            raise error
        return left

    def report(self, error: UnknownInputs) -> bytes:
        """The names as an answer reports them, empty where they are ignored. Each set of them is logged once."""
        if self._setting is UnknownFields.IGNORE:
            return b""
        names = frozenset(error.names)
        if names not in self._logged and len(self._logged) < MAX_LOGGED:
            self._logged.add(names)
            shown = header_value(error.names).decode()
            _log.warning("requests have fields that the model does not: %s", shown, extra={"release": str(self._fqrv)})
        return header_value(error.names)


def header_value(names: Iterable[str]) -> bytes:
    """Names as the value of a header: percent-encoded UTF-8, separated by commas, cut where they are too long."""
    value = ""
    for name in names:
        encoded = quote(name, safe="", errors="surrogatepass")
        if len(value) + len(encoded) + len(MORE) + 2 > MAX_REPORTED_BYTES:
            value += f",{MORE}" if value else MORE
            break
        value += f",{encoded}" if value else encoded
    return value.encode()
