"""TensorFlow Serving's REST bodies: predict in row and column form, classify and regress, read and answered.

https://www.tensorflow.org/tfx/serving/api_rest has the formats. The path's part of a request comes in the envelope's
head: ``verb``; ``signature``, which is called where the body names none; and, for Hopsworks' Python models,
``inputs_key``, under which the answer to ``inputs`` is given. As MLflow's scoring server has it, ``params`` beside the
inputs are those of an MLmodel signature.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import msgspec

from forestflow.codecs.envelope import unpack
from forestflow.codecs.json import nested, packed
from forestflow.codecs.json.growing import Growing
from forestflow.codecs.json.long_json import LONG
from forestflow.codecs.request import ScoreRequest
from forestflow.codecs.tfserving.examples import check_context, examples_of
from forestflow.codecs.tfserving.json_inputs import JsonInputs
from forestflow.domain.errors import ForestFlowError, InvalidInput, Malformed
from forestflow.domain.ids import Fqrv
from forestflow.domain.requests import PARAMS_KEY, SIGNATURE_KEY
from forestflow.domain.tensors import Batch, Column, Layout, ModelMetadata

PREDICT, CLASSIFY, REGRESS = "predict", "classify", "regress"
PREDICTIONS, OUTPUTS, RESULTS = "predictions", "outputs", "results"


@dataclass(frozen=True, slots=True)
class Form:
    """How an answer is to look: under which key, and whether row by row; and how many ``rows`` the request has."""

    verb: str
    key: str
    by_row: bool
    rows: int | None = None  # None: the answer may have any number of rows, or none


@lru_cache(maxsize=1024)
def _row_form(verb: str, rows: int) -> Form:
    return Form(verb, PREDICTIONS if verb == PREDICT else RESULTS, by_row=True, rows=rows)


_PEEK = 4096  # bytes in which a fraction must begin for rows to be tried as such


def decode_request(payload: bytes | memoryview) -> ScoreRequest:
    """An enveloped body as named tensors. Raises Malformed, InvalidInput, both in TensorFlow Serving's words."""
    head, body = unpack(payload)
    request = _rows_of_fractions(head, body)
    if request is not None:
        return request
    document = packed.loads(body) if len(body) > LONG else nested.loads(body)
    if type(document) is not dict:
        raise Malformed("JSON Value: Is not object")
    configs = _configs(document, head)
    verb = head["verb"]
    if verb != PREDICT and not document.keys() & {"instances", "inputs"}:
        examples = _long_examples(document, body) if len(body) > LONG else None
        examples = examples or _examples(document, verb)
        return ScoreRequest(examples, configs, _row_form(verb, examples.rows))
    if "instances" in document:
        if "inputs" in document:
            raise InvalidInput("Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist")
        batch = _instances(document["instances"])
        return ScoreRequest(batch, configs, _form_of_instances(head, batch))
    if "inputs" not in document:
        raise InvalidInput("Missing 'inputs' or 'instances' key")
    return ScoreRequest(_inputs(document["inputs"]), configs, _form_of_inputs(head))


def _decode_json(json_inputs: JsonInputs, payload: bytes | memoryview) -> ScoreRequest:
    """``decode_request`` for a model with inputs that take JSON."""
    head, body = unpack(payload)
    read = json_inputs.read(body) if head["verb"] == PREDICT else None
    if read is None or read[1].keys() >= {"instances", "inputs"}:
        return decode_request(payload)
    batch, document = read
    form = _form_of_instances(head, batch) if "instances" in document else _form_of_inputs(head)
    return ScoreRequest(batch, _configs(document, head), form)


def _configs(document: Mapping[str, Any], head: Mapping[str, Any]) -> dict[str, str]:
    configs = {}
    signature = document.get("signature_name", head.get("signature", ""))
    if type(signature) is not str:
        raise InvalidInput("not formatted correctly. 'signature_name' key must be a string value.")
    if signature:
        configs[SIGNATURE_KEY] = signature
    if "params" in document:
        try:
            configs[PARAMS_KEY] = json.dumps(document["params"])  # NaN stays NaN, for the model's reader to refuse
        except RecursionError:
            raise InvalidInput("'params' is nested too deep") from None
        except TypeError:
            raise InvalidInput(f"'params' holds a list of more than {LONG} bytes") from None
    return configs


def _form_of_instances(head: Mapping[str, Any], batch: Batch) -> Form:
    """A row for each instance; the Python models of Hopsworks (``inputs_key``) answer what they like."""
    return Form(PREDICT, PREDICTIONS, by_row=True) if "inputs_key" in head else _row_form(PREDICT, batch.rows)


def _form_of_inputs(head: Mapping[str, Any]) -> Form:
    key = head.get("inputs_key", OUTPUTS)
    return Form(PREDICT, key, by_row=key == PREDICTIONS)


class _Rows(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The usual document: rows of numbers for the only input."""

    instances: list[list[float]] | msgspec.UnsetType = msgspec.UNSET
    inputs: list[list[float]] | msgspec.UnsetType = msgspec.UNSET
    signature_name: str | msgspec.UnsetType = msgspec.UNSET


_decode_rows = msgspec.json.Decoder(_Rows).decode


def _rows_of_fractions(head: Mapping[str, Any], body: memoryview) -> ScoreRequest | None:
    """Rows to predict from, some number of which has a fraction, read by their type; ``None`` for any other request.

    Raises InvalidInput for rows of different lengths.
    """
    if head["verb"] != PREDICT or len(body) > LONG or b"." not in bytes(body[:_PEEK]):
        return None
    try:
        document = _decode_rows(body)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors, as is invalid UTF-8
        return None
    by_row = document.inputs is msgspec.UNSET
    given = 1 if document.signature_name is msgspec.UNSET else 2
    if bytes(body).count(b":") > given:  # a name twice, or a colon in the signature's: the general way says which
        return None
    rows = document.instances if by_row else document.inputs
    if not rows or (not by_row and document.instances is not msgspec.UNSET):
        return None
    column = nested.fractions("", rows)
    if column is None:
        return None
    signature = document.signature_name
    if signature is msgspec.UNSET:
        signature = head.get("signature", "")
    batch = nested.batch_of([column])
    form = _form_of_instances(head, batch) if by_row else _form_of_inputs(head)
    return ScoreRequest(batch, {SIGNATURE_KEY: signature} if signature else {}, form)


def _instances(instances: Any) -> Batch:
    """The row form: each instance is a value of the only input, or an object with one of each input."""
    if isinstance(instances, packed.Records):
        return _records(instances)
    if isinstance(instances, packed.Packed | packed.Broken):
        return nested.batch_of([packed.tensor("", instances)])
    if type(instances) is not list:
        raise InvalidInput("Expecting 'instances' to be an list/array")
    if not instances:
        raise InvalidInput("No values in 'instances' array")
    if not _is_object(instances[0]):
        if any(map(_is_object, instances) if dict in set(map(type, instances)) else ()):
            raise InvalidInput("Expecting value/list but got object in the list of 'instances'")
        return nested.batch_of([packed.tensor("", instances)])
    names = list(instances[0])
    keys = instances[0].keys()
    for i, instance in enumerate(instances):
        if not _is_object(instance):
            raise _no_object(i)
        if instance.keys() != keys:
            raise _other_keys(i, names)
    return nested.batch_of([packed.tensor(name, [instance[name] for instance in instances]) for name in names])


def _records(instances: packed.Records) -> Batch:
    """Read the instances of a long list as columns."""
    i, other = instances.no_object, instances.odd
    if i is not None and (other is None or i < other):
        raise _no_object(i)
    if other is not None:
        raise _other_keys(other, instances.names)
    return nested.batch_of([packed.tensor(name, instances.columns[name]) for name in instances.names])


def _no_object(i: int) -> InvalidInput:
    return InvalidInput(f"Expecting object but got list at item {i} of input list")


def _other_keys(i: int, names: Sequence[str]) -> InvalidInput:
    return InvalidInput(f"Failed to process element: {i} of 'instances' list. Keys must be equal to: {_joined(names)}")


def _inputs(inputs: Any) -> Batch:
    """The column form: each input's tensor by name, or that of the only input."""
    if _is_object(inputs):
        return nested.batch_of([packed.tensor(name, value) for name, value in inputs.items()])
    return nested.batch_of([packed.tensor("", inputs)])


def _long_examples(document: dict[str, Any], body: memoryview) -> Batch | None:
    """``_examples`` of a long list of them; ``None`` where there is none."""
    examples, context = document.get("examples"), document.get("context", {})
    if not packed.is_found(examples):
        return None
    if not _is_object(context) or not isinstance(examples, packed.Records) or examples.no_object is not None:
        raise InvalidInput("Example must be JSON object")
    size = len(nested.dumps(context))
    check_context(size, examples.rows)
    broken = any(isinstance(column, packed.Broken) for column in examples.columns.values())
    if examples.names and not broken and examples.odd is None and not examples.columns.keys() & context.keys():
        shared = [packed.tensor(name, [value] * examples.rows) for name, value in context.items()]
        return nested.batch_of([*shared, *[packed.tensor(name, examples.columns[name]) for name in examples.names]])
    serialized: Growing | None = None
    for objects in packed.lists(body, "examples"):
        column = examples_of([packed.with_columns({**context, **example}) for example in objects])
        if serialized is None:
            serialized = Growing(column)
        else:
            serialized.add(column)
    assert serialized is not None
    return nested.batch_of([serialized.column()])


def _examples(document: dict[str, Any], verb: str) -> Batch:
    """Features by name where all examples have the same; else, one serialized tf.Example each."""
    examples = document.get("examples")
    if "examples" not in document:
        raise InvalidInput(f"When method is {verb}, key 'examples' is expected and was not found")
    if type(examples) is not list:
        raise InvalidInput("Expecting 'examples' value to be an list/array")
    if not examples:
        raise InvalidInput("'examples' value is an empty array")
    context = document.get("context", {})
    for example in (context, *examples):
        if not _is_object(example):
            raise InvalidInput("Example must be JSON object")
    if context:
        check_context(len(nested.dumps(context)), len(examples))
    whole = [{**context, **example} for example in examples]
    names = list(whole[0])
    if names and all(example.keys() == whole[0].keys() for example in whole):
        try:
            return nested.batch_of([packed.tensor(name, [example[name] for example in whole]) for name in names])
        except InvalidInput:  # lists of different lengths; if it is something else, it is found again below
            pass
    return nested.batch_of([examples_of([packed.with_columns(example) for example in whole])])


def _is_object(value: object) -> bool:
    return type(value) is dict and not nested.is_b64(value)


def _joined(names: Sequence[str]) -> str:
    return ",".join(sorted(names))


def encode_answer(batch: Batch, form: Form) -> bytes:
    """The answer in the form that its request had. Raises InvalidInput where outputs have no rows to answer by."""
    outputs = nested.tensors(batch)
    if form.rows is not None and (form.rows != batch.rows or batch.layout is Layout.WHOLE):
        _check_rows(outputs, form, batch)
    if form.verb == PREDICT:
        content = _predictions(outputs) if form.by_row else _columns(outputs)
    elif form.verb == CLASSIFY:
        content = _classifications(outputs)
    else:
        content = _regressions(outputs)
    return nested.dumps({form.key: content})


def _check_rows(outputs: list[tuple[str, Column]], form: Form, batch: Batch) -> None:
    """An answer that is not one row for each of the request's. As TensorFlow Serving does, where the model has no rows.

    Raises InvalidInput for scalars, for no rows, and for a model with rows that answers more or fewer of them.
    """
    for name, column in outputs:
        if column.data.ndim == 0:
            raise InvalidInput(f"output {name!r} is a scalar, which has no rows; ask with 'inputs'")
        if len(column.data) == 0:
            raise InvalidInput(f"output {name!r} has no rows; ask with 'inputs'")
        if (batch.layout is not Layout.WHOLE or form.verb != PREDICT) and len(column.data) != form.rows:
            raise InvalidInput(f"output {name!r} has {len(column.data)} rows for {form.rows} in the request")


def _columns(outputs: list[tuple[str, Column]]) -> Any:
    if len(outputs) == 1:
        return nested.printable(outputs[0][1])
    return {name: nested.printable(column) for name, column in outputs}


def _predictions(outputs: list[tuple[str, Column]]) -> Any:
    if len(outputs) == 1:
        return nested.printable(outputs[0][1])
    if len({len(column.data) if column.data.ndim else None for _, column in outputs} - {None}) != 1:
        raise InvalidInput("the outputs have different batch sizes; ask with 'inputs' in the place of 'instances'")
    names = [name for name, _ in outputs]
    rows = zip(*[nested.printable_rows(column) for _, column in outputs], strict=True)
    return [dict(zip(names, row, strict=True)) for row in rows]


def _classifications(outputs: list[tuple[str, Column]]) -> Any:
    """A list of [label, score] for each example, from the outputs ``classes`` and ``scores``."""
    named = dict(outputs)
    if not named.keys() & {"classes", "scores"}:
        return _predictions(outputs)
    classes, scores = named.get("classes"), named.get("scores")
    labels = classes and Column(classes.type, ("",), _per_example(classes))
    some = labels or scores
    assert some is not None
    found = _per_example(some)
    empty: list[list[Any]] = [[""] * found.shape[1]] * len(found)
    texts = nested.printable(labels) if labels else empty
    values = [[0.0] * found.shape[1]] * len(found)
    if scores is not None:
        values = [nested.printable_rows(Column(scores.type, ("",), row)) for row in _per_example(scores)]
    return [[list(pair) for pair in zip(*row, strict=True)] for row in zip(texts, values, strict=True)]


def _per_example(column: Column) -> nested.Array:
    """Shape (examples, classes)."""
    return column.data.reshape(len(column.data), -1)


def _regressions(outputs: list[tuple[str, Column]]) -> Any:
    """A value for each example."""
    if len(outputs) != 1:
        return _predictions(outputs)
    column = outputs[0][1]
    flat = column.data.reshape(-1) if column.data.size == len(column.data) else column.data
    return nested.printable(Column(column.type, column.fields, flat))


class TfServingRestCodec:
    """:class:`forestflow.codecs.table.ClientCodec`; errors are their message, of which the transport makes the form."""

    def __init__(self, fqrv: Fqrv, model: ModelMetadata | None = None) -> None:
        json_inputs = None if model is None else JsonInputs.of(model)
        self.decode = decode_request if json_inputs is None else partial(_decode_json, json_inputs)

    def encode(self, batch: Batch, context: Form) -> bytes:
        return encode_answer(batch, context)

    def encode_records(self, batch: Batch, releases: Sequence[Fqrv], owners: Sequence[int], context: Form) -> bytes:
        return encode_answer(batch, context)

    def encode_error(self, error: ForestFlowError, request_id: str) -> bytes:
        return error.message.encode(errors="replace")
