"""The codecs by the number that frames carry."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Protocol, cast

from forestflow.codecs.request import ScoreRequest
from forestflow.domain.errors import ForestFlowError
from forestflow.domain.ids import Fqrv
from forestflow.domain.tensors import Batch

BASIC = 1
PROTOBUF = 2


class Codec(Protocol):
    """One protocol's view of one release. Pure: no I/O."""

    def decode(self, payload: bytes) -> ScoreRequest:
        """Raises Malformed or InvalidInput."""
        ...

    def encode(self, batch: Batch) -> bytes:
        """The protocol's answer for a prediction."""
        ...

    def encode_error(self, error: ForestFlowError, request_id: str) -> bytes:
        """The protocol's answer for an error."""
        ...


CODECS: dict[int, str] = {
    BASIC: "forestflow.codecs.basic:BasicCodec",
    PROTOBUF: "forestflow.codecs.protobuf:ProtobufCodec",
}


def codec_for(number: int, fqrv: Fqrv) -> Codec:
    """The codec of that number, answering for ``fqrv``. Raises KeyError for an unknown number."""
    module, _, name = CODECS[number].partition(":")
    return cast(Callable[[Fqrv], Codec], getattr(import_module(module), name))(fqrv)
