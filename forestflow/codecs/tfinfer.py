"""tf-infer's REST bodies: an example as an object of named values, or a list of them; the answer in the same form.

What the transport knows of the signature comes in the envelope's head: ``method`` (its name), ``batched``, ``inputs``
(name to :class:`Input`), and ``transpose``: whether a batched signature takes one object for each example, or one
object of batches. Refusals are in the original's words.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from forestflow.codecs.envelope import pack, unpack
from forestflow.codecs.json import nested, packed
from forestflow.codecs.json.long_json import LONG
from forestflow.codecs.request import ScoreRequest
from forestflow.domain.errors import ForestFlowError, InvalidInput, Malformed
from forestflow.domain.ids import Fqrv
from forestflow.domain.requests import SIGNATURE_KEY
from forestflow.domain.tensors import DTYPES, Batch, Column, IOMetadata, Layout, ModelMetadata, Signature, TensorType

EXAMPLES, EXAMPLE, OBJECT = "examples", "example", "object"  # the forms of a body, and of its answer
Context = tuple[str, int | None]  # the form; how many rows the request has, where the signature says that it has rows

_TEXTS = frozenset({TensorType.String, TensorType.Bytes})


def payload_of(method: str, signature: Signature, body: bytes, *, transpose: bool) -> bytes:
    """What a replica decodes."""
    inputs = {io.name: [int(io.type), None if io.any_rank else _shape(io, signature)] for io in signature.inputs}
    head = {"method": method, "batched": is_batched(signature), "transpose": transpose, "inputs": inputs}
    return pack(head, body)


def is_batched(signature: Signature) -> bool:
    """Whether it takes examples; one that declares no inputs (a Python model's) takes what comes as such."""
    return signature.batched or not signature.inputs


def listing(model: ModelMetadata) -> bytes:
    """Every signature: its name, and the type and shape of its inputs and outputs; -1 where a dimension is free."""
    signatures = [
        {
            "name": name,
            "inputs": {io.name: _described(io, signature) for io in signature.inputs},
            "outputs": {io.name: _described(io, signature) for io in signature.outputs},
        }
        for name, signature in model.every_signature().items()
    ]
    return nested.dumps(signatures)


def _described(io: IOMetadata, signature: Signature) -> dict[str, Any]:
    kind = "string" if io.type in _TEXTS else DTYPES[io.type].name
    return {"type": kind, "shape": "unknown" if io.any_rank else _shape(io, signature)}


def _shape(io: IOMetadata, signature: Signature) -> list[int]:
    return [-1, *io.shape] if signature.batched else list(io.shape)


def is_empty_list(body: bytes) -> bool:
    """Whether the body is ``[]``: no examples, for which no model need be asked."""
    return len(body) < 64 and bytes(body).translate(None, b" \t\r\n") == b"[]"


@dataclass(frozen=True, slots=True)
class Input:
    """What a signature says of an input; ``shape`` is of the whole tensor. None: any will do."""

    name: str
    type: TensorType | None
    shape: Sequence[int] | None


def decode_request(payload: bytes | memoryview) -> ScoreRequest:
    """Raises Malformed, InvalidInput."""
    head, body = unpack(payload)
    document = packed.loads(body) if len(body) > LONG else nested.loads(body)
    method = head["method"]
    inputs = [Input(name, TensorType(kind), shape) for name, (kind, shape) in head["inputs"].items()]
    further: set[str] = set()
    if head["batched"] and head["transpose"] and isinstance(document, packed.Records) and document.no_object is None:
        form = EXAMPLES
        inputs = inputs or [Input(name, None, None) for name in document.names]
        further.update(document.names, document.further)
        values = {io.name: _value(document.columns, io, method) for io in inputs}
    elif head["batched"] and head["transpose"]:
        form = EXAMPLE if type(document) is dict else EXAMPLES
        examples = [document] if form == EXAMPLE else document
        if type(examples) is not list or {dict} != set(map(type, examples)):
            raise Malformed(f"method {method} takes an object of values by name, or a list of such objects")
        inputs = inputs or [Input(name, None, None) for name in examples[0]]
        if sum(map(len, examples)) > len(inputs) * len(examples):
            further.update(*examples)
        values = {io.name: [_value(example, io, method) for example in examples] for io in inputs}
    else:
        form = OBJECT
        if type(document) is not dict:
            raise Malformed(f"method {method} takes one object of values by name, got {_type(document)}")
        inputs = inputs or [Input(name, None, None) for name in document]
        if len(document) > len(inputs):
            further.update(document)
        values = {io.name: _value(document, io, method) for io in inputs}
    batch = nested.batch_of([_tensor(io, values[io.name]) for io in inputs])
    if head["batched"] and batch.layout is Layout.WHOLE:
        raise InvalidInput("The outer dimension of tensors did not match")
    if further := further.difference(head["inputs"]) if head["inputs"] else set():
        batch = _with_names(batch, sorted(further))
    return ScoreRequest(batch, {SIGNATURE_KEY: method}, (form, batch.rows if head["inputs"] else None))


def _with_names(batch: Batch, names: Sequence[str]) -> Batch:
    """The batch with columns of these names, which are no inputs: the model says so, whatever their values are."""
    columns = [Column(TensorType.Bool, (name,), np.zeros(batch.rows, np.bool_)) for name in names]
    return Batch(batch.rows, (*batch.columns, *columns), batch.layout)


def _type(document: Any) -> str:
    return "list" if packed.is_found(document) else type(document).__name__


def _value(example: Mapping[str, Any], io: Input, method: str) -> Any:
    if io.name not in example:
        raise InvalidInput(f"Request missing required key {io.name} for method {method}")
    return example[io.name]


def _tensor(io: Input, value: Any) -> Column:
    try:
        column = packed.tensor(io.name, value)
    except InvalidInput as error:
        raise InvalidInput(f"Incompatible types for key {io.name}: {error.message}") from None
    if column.data.size and io.type is not None and not _fits(column.type, io.type):
        raise InvalidInput(f"Incompatible types for key {io.name}: expected {io.type.name}, got {column.type.name}")
    shape, wanted = column.data.shape, io.shape
    if wanted is not None and not (
        len(shape) == len(wanted) and all(w in (-1, size) for size, w in zip(shape, wanted, strict=True))
    ):
        known = [None if size < 0 else size for size in wanted]
        raise InvalidInput(f"Shape of input {io.name} {list(shape)} not compatible with {known}")
    return column


def _fits(given: TensorType, wanted: TensorType) -> bool:
    if wanted in _TEXTS or given in _TEXTS:
        return wanted in _TEXTS and given in _TEXTS
    if TensorType.Bool in (given, wanted):
        return given is wanted
    return DTYPES[wanted].kind == "f" or DTYPES[given].kind != "f"


def encode_answer(batch: Batch, context: Context) -> bytes:
    """Outputs by name in the form of the request. Raises InvalidInput for examples that lack an answer of their own."""
    form, asked = context
    outputs = [(name, _plain(column)) for name, column in nested.tensors(batch)]
    if form == OBJECT or (asked is None and batch.layout is Layout.WHOLE):
        return nested.dumps({name: nested.printable(column) for name, column in outputs})
    if asked is not None and (batch.rows != asked or batch.layout is Layout.WHOLE):
        raise InvalidInput(f"the model does not answer each of {asked} examples; ask for one object of tensors")
    names = [name for name, _ in outputs]
    rows = zip(*[nested.printable_rows(column) for _, column in outputs], strict=True)
    examples = [dict(zip(names, row, strict=True)) for row in rows]
    return nested.dumps(examples[0] if form == EXAMPLE else examples)


def _plain(column: Column) -> Column:
    """Bytes as strings: text where they are UTF-8, else base64. The name says nothing of how a string is written."""
    data = column.data
    if column.type is TensorType.Bytes:
        texts = [_text(value) for value in data.reshape(-1).tolist()]
        data = data.copy()
        data.reshape(-1)[:] = texts
    elif column.type is not TensorType.String:
        return column
    return Column(TensorType.String, ("",), data)


def _text(value: Any) -> str:
    try:
        return value if isinstance(value, str) else value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()


class TfInferCodec:
    """:class:`forestflow.codecs.table.ClientCodec`; errors are their message, of which the transport makes the form."""

    def __init__(self, fqrv: Fqrv) -> None:
        self.decode = decode_request

    def encode(self, batch: Batch, context: Context) -> bytes:
        return encode_answer(batch, context)

    def encode_records(self, batch: Batch, releases: Sequence[Fqrv], owners: Sequence[int], context: Context) -> bytes:
        return encode_answer(batch, context)

    def encode_error(self, error: ForestFlowError, request_id: str) -> bytes:
        return error.message.encode(errors="replace")
