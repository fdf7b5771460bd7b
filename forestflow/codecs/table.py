"""The codecs by the number that frames carry."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Protocol, cast

from forestflow.codecs.request import ScoreRequest
from forestflow.domain.errors import ForestFlowError
from forestflow.domain.ids import Fqrv
from forestflow.domain.tensors import Batch

BASIC = 1
PROTOBUF = 2
COLUMNAR = 255  # between routers and replicas; no client speaks it


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


class ClientCodec(Codec, Protocol):
    """A protocol that clients speak."""

    def encode_records(self, batch: Batch, releases: Sequence[Fqrv], owners: Sequence[int]) -> bytes:
        """The answer of several releases: record ``i`` is that of ``releases[owners[i]]``."""
        ...


CODECS: dict[int, str] = {
    BASIC: "forestflow.codecs.basic:BasicCodec",
    PROTOBUF: "forestflow.codecs.protobuf:ProtobufCodec",
}
_INTERNAL: dict[int, str] = {COLUMNAR: "forestflow.codecs.columnar:ColumnarCodec"}


_CONFIGS: dict[int, str] = {
    BASIC: "forestflow.codecs.basic:decode_configs",
    PROTOBUF: "forestflow.codecs.protobuf:decode_configs",
}


_PIECES: dict[int, str] = {BASIC: "forestflow.codecs.pieces:decode_basic"}


def codec_for(number: int, fqrv: Fqrv) -> Codec:
    """The codec of that number, answering for ``fqrv``. Raises KeyError for an unknown number."""
    return cast(Callable[[Fqrv], Codec], _load(CODECS.get(number) or _INTERNAL[number]))(fqrv)


def client_codec_for(number: int, fqrv: Fqrv) -> ClientCodec:
    """The same of a protocol that clients speak."""
    if number not in CODECS:
        raise KeyError(number)
    return cast(ClientCodec, codec_for(number, fqrv))


@cache
def configs_reader(number: int) -> Callable[[bytes], Mapping[str, str]]:
    """Reads a request's configs alone; raises Malformed or InvalidInput. Raises KeyError for an unknown number."""
    return cast(Callable[[bytes], Mapping[str, str]], _load(_CONFIGS[number]))


Pieces = Generator[None, None, ScoreRequest]


@cache
def pieces_decoder(number: int) -> Callable[[bytes], Pieces] | None:
    """Decodes a long body in steps of a millisecond or so, where that codec can; raises as its ``decode`` does."""
    name = _PIECES.get(number)
    return None if name is None else cast(Callable[[bytes], Pieces], _load(name))


def _load(name: str) -> object:
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)
