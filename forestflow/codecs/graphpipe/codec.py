"""GraphPipe for one release: tensors in, ``[FQRV, outputs…]`` out, as the original ForestFlow answers.

A payload is an :mod:`~forestflow.codecs.envelope`: the head's ``outputs`` are those that the URL named, the body is the
FlatBuffer as it came. Numeric tensors are views of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from forestflow.codecs.envelope import pack, unpack
from forestflow.codecs.graphpipe import writer
from forestflow.codecs.graphpipe.reader import InferRequest, read_config, read_infer
from forestflow.codecs.request import ScoreRequest
from forestflow.domain.errors import ForestFlowError, InvalidInput
from forestflow.domain.ids import Fqrv
from forestflow.domain.requests import OUTPUTS_KEY
from forestflow.domain.tensors import Batch, Column, IOMetadata, Layout, ModelMetadata, TensorType

FQRV = "FQRV"  # the output that says who answered
PREDICTION = "prediction"  # what the model answers by default, whatever it calls it
SERVER = "ForestFlow"

_FQRV_METADATA = IOMetadata(FQRV, TensorType.String, (1, 1), "organization.project.contract_number.release_version")


def payload_of(message: bytes, outputs: Sequence[str] = ()) -> bytes:
    """What a replica decodes: a client's message, and the outputs that were named beside it."""
    return pack({"outputs": list(outputs)} if outputs else {}, message)


def decode_configs(payload: bytes) -> dict[str, str]:
    """The configs of a payload alone. Raises Malformed, InvalidInput."""
    return configs_of(read_config(unpack(payload)[1]))


def configs_of(text: str) -> dict[str, str]:
    """``key:value,key:value``; a piece without a colon goes on with the value before it. Raises InvalidInput."""
    configs: dict[str, list[str]] = {}
    if text == "{}":  # what the JavaScript client's documentation gives for none
        return {}
    key = None
    for piece in filter(None, text.split(",")):
        name, colon, value = piece.partition(":")
        if colon:
            key = name.strip()
            configs[key] = [value.strip()]
        elif key is None:
            raise InvalidInput(f"the config {piece[:40]!r} is not key:value")
        else:
            configs[key].append(piece.strip())
    return {name: ",".join(pieces) for name, pieces in configs.items()}


class GraphPipeCodec:
    """:class:`forestflow.codecs.table.Codec`. The context of a request is the names of the outputs that it wants."""

    def __init__(self, fqrv: Fqrv) -> None:
        self._answered_by = _fqrv([fqrv])

    def decode(self, payload: bytes) -> ScoreRequest:
        """Raises Malformed, InvalidInput."""
        head, message = unpack(payload)
        request = read_infer(message)
        configs = configs_of(request.config)
        wanted = tuple([*filter(None, request.output_names)] or head.get("outputs", ()))
        outputs = [name for name in wanted if name != FQRV]
        if outputs and outputs != [PREDICTION]:
            configs[OUTPUTS_KEY] = ",".join(outputs)
        return ScoreRequest(_batch(request), configs, wanted)

    def encode(self, batch: Batch, context: tuple[str, ...] = ()) -> bytes:
        """An InferResponse. Raises ModelFailed for strings that are none."""
        return _encode(batch, self._answered_by, context)

    def encode_records(
        self, batch: Batch, releases: Sequence[Fqrv], owners: Sequence[int], context: tuple[str, ...] = ()
    ) -> bytes:
        """Encode the answer of several releases; FQRV names the release of each row, shape (rows, 1)."""
        return _encode(batch, _fqrv([releases[owner] for owner in owners]), context)

    def encode_error(self, error: ForestFlowError, request_id: str) -> bytes:
        return error.message.encode(errors="replace")


def _encode(batch: Batch, answered_by: Column, wanted: tuple[str, ...]) -> bytes:
    outputs = list(batch.tensors() if batch.layout is Layout.WHOLE else map(_matrix, batch.columns))
    if not wanted:
        return writer.infer_response([answered_by, *outputs])
    if PREDICTION not in wanted or any(column.fields == (PREDICTION,) for column in outputs):
        outputs = [column for column in outputs if column.fields[0] in wanted]
    if FQRV in wanted:
        outputs.insert(min(wanted.index(FQRV), len(outputs)), answered_by)
    return writer.infer_response(outputs)


def metadata_of(fqrv: Fqrv, model: ModelMetadata) -> bytes:
    """The MetadataResponse of a release: the tensors of its default signature, as GraphPipe's clients want them.

    They look for an output beside every input, and find the prediction last.
    """
    signature = model.every_signature()[model.default]
    rows = (-1,) if signature.batched else ()
    inputs = [IOMetadata(io.name, io.type, (*rows, *io.shape), io.description) for io in signature.inputs]
    outputs = [
        IOMetadata(io.name, io.type, (*rows, *(io.shape or ((1,) if rows else ()))), io.description)
        for io in signature.outputs
    ]
    outputs = [_FQRV_METADATA] * max(1, len(inputs) - len(outputs)) + outputs
    name = _dotted(fqrv).removesuffix(f".{fqrv.release_version}")
    return writer.metadata_response(name, fqrv.release_version, SERVER, f"release {fqrv}", inputs, outputs)


def _batch(request: InferRequest) -> Batch:
    tensors = request.tensors
    names = request.input_names or ("",) * len(tensors)
    if len(names) != len(tensors):
        raise InvalidInput(f"the request has {len(tensors)} tensors and {len(names)} input names")
    return Batch.of_tensors([Column(t.type, (name,), t.data) for t, name in zip(tensors, names, strict=True)])


def _matrix(column: Column) -> Column:
    """Rows of scalars as (rows, 1): GraphPipe's clients expect a matrix."""
    return Column(column.type, column.fields, column.data[:, None]) if column.data.ndim == 1 else column


def _fqrv(releases: Iterable[Fqrv]) -> Column:
    names = np.array([[_dotted(release)] for release in releases], dtype=object)
    return Column(TensorType.String, (FQRV,), names)


def _dotted(fqrv: Fqrv) -> str:
    contract = fqrv.contract
    return f"{contract.organization}.{contract.project}.{contract.contract_number}.{fqrv.release_version}"
