"""The codecs by the number that frames carry."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Any, Protocol, cast

from forestflow.codecs.request import ScoreRequest
from forestflow.domain.errors import ForestFlowError
from forestflow.domain.ids import Fqrv
from forestflow.domain.tensors import Batch, ModelMetadata

BASIC = 1
PROTOBUF = 2
TFSERVING_REST = 3
TFSERVING_GRPC = 4
GRAPHPIPE = 5
TFINFER = 6
OIP_REST = 7
OIP_GRPC = 8
COLUMNAR = 255  # between routers and replicas; no client speaks it

READ_VIEWS = frozenset({GRAPHPIPE, OIP_REST})  # their decode takes a memoryview, too: raw tensors need no copy first


class Codec(Protocol):
    """One protocol's view of one release. Pure: no I/O."""

    def decode(self, payload: bytes) -> ScoreRequest:
        """Raises Malformed or InvalidInput."""
        ...

    def encode(self, batch: Batch, context: Any = None) -> bytes:
        """The protocol's answer for a prediction; ``context`` is what ``decode`` remembered of the request."""
        ...

    def encode_error(self, error: ForestFlowError, request_id: str) -> bytes:
        """The protocol's answer for an error."""
        ...


class ClientCodec(Codec, Protocol):
    """A protocol that clients speak."""

    def encode_records(
        self, batch: Batch, releases: Sequence[Fqrv], owners: Sequence[int], context: Any = None
    ) -> bytes:
        """The answer of several releases: record ``i`` is that of ``releases[owners[i]]``."""
        ...


CODECS: dict[int, str] = {
    BASIC: "forestflow.codecs.basic.codec:BasicCodec",
    PROTOBUF: "forestflow.codecs.basic.protobuf:ProtobufCodec",
    TFSERVING_REST: "forestflow.codecs.tfserving.rest:TfServingRestCodec",
    TFSERVING_GRPC: "forestflow.codecs.tfserving.grpc:TfServingGrpcCodec",
    GRAPHPIPE: "forestflow.codecs.graphpipe.codec:GraphPipeCodec",
    TFINFER: "forestflow.codecs.tfinfer:TfInferCodec",
    OIP_REST: "forestflow.codecs.oip.rest:OipRestCodec",
    OIP_GRPC: "forestflow.codecs.oip.grpc:OipGrpcCodec",
}
_OF_MODEL = frozenset({TFSERVING_REST})  # they are made with the model's metadata
_INTERNAL: dict[int, str] = {COLUMNAR: "forestflow.codecs.columnar:ColumnarCodec"}

# A payload to try each with.
_EXAMPLES: dict[int, str] = {
    BASIC: "forestflow.codecs.rehearsal:basic",
    PROTOBUF: "forestflow.codecs.rehearsal:protobuf",
    TFSERVING_REST: "forestflow.codecs.rehearsal:tfserving_rest",
    TFSERVING_GRPC: "forestflow.codecs.rehearsal:tfserving_grpc",
    GRAPHPIPE: "forestflow.codecs.rehearsal:graphpipe",
    TFINFER: "forestflow.codecs.rehearsal:tfinfer",
    OIP_REST: "forestflow.codecs.rehearsal:oip_rest",
    OIP_GRPC: "forestflow.codecs.rehearsal:oip_grpc",
}

# Protocols without configs are not here.
_CONFIGS: dict[int, str] = {
    BASIC: "forestflow.codecs.basic.codec:decode_configs",
    PROTOBUF: "forestflow.codecs.basic.protobuf:decode_configs",
    GRAPHPIPE: "forestflow.codecs.graphpipe.codec:decode_configs",
}


_PIECES: dict[int, str] = {BASIC: "forestflow.codecs.basic.pieces:decode_basic"}


def codec_for(number: int, fqrv: Fqrv, model: ModelMetadata | None = None) -> Codec:
    """The codec of that number, answering for ``fqrv``. Raises KeyError for an unknown number.

    ``model`` is what the release says of itself, where it is known: some values mean more then.
    """
    made = cast(Callable[..., Codec], _load(CODECS.get(number) or _INTERNAL[number]))
    return made(fqrv, model) if model is not None and number in _OF_MODEL else made(fqrv)


def client_codec_for(number: int, fqrv: Fqrv) -> ClientCodec:
    """Return the codec of a protocol that clients speak. Raises KeyError for any other number."""
    if number not in CODECS:
        raise KeyError(number)
    return cast(ClientCodec, codec_for(number, fqrv))


def warm_up(fqrv: Fqrv) -> None:
    """Take a request of every protocol there and back: the first one of each pays for imports and made types else.

    Measured, CPU time in a host's process: 67 ms for all. Without it the first request of each protocol took 5 to 25
    ms to decode and encode, with it 0.03 to 0.25 ms.
    """
    for number, example in _EXAMPLES.items():
        codec = codec_for(number, fqrv)
        request = codec.decode(cast(Callable[[], bytes], _load(example))())
        codec.encode(request.batch, request.context)


@cache
def configs_reader(number: int) -> Callable[[bytes], Mapping[str, str]]:
    """Reads a request's configs alone; raises Malformed or InvalidInput."""
    name = _CONFIGS.get(number)
    return _no_configs if name is None else cast(Callable[[bytes], Mapping[str, str]], _load(name))


def _no_configs(_payload: bytes) -> Mapping[str, str]:
    return {}


EncodeParts = Callable[[Batch, Sequence[int]], list[bytes]]


def parts_encoder(codec: Codec) -> EncodeParts | None:
    """Encodes the rows up to each end as an answer of its own, where that codec makes such answers faster together.

    It raises what ``encode`` raises for any of them.
    """
    return getattr(codec, "encode_parts", None)


Pieces = Generator[None, None, ScoreRequest]


@cache
def pieces_decoder(number: int) -> Callable[[bytes], Pieces] | None:
    """Decodes a long body in steps of a millisecond or so, where that codec can; raises as its ``decode`` does."""
    name = _PIECES.get(number)
    return None if name is None else cast(Callable[[bytes], Pieces], _load(name))


def _load(name: str) -> object:
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)
