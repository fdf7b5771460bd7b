"""A model of another flavor with what its MLmodel file says of it beside: names of its columns, an input example.

H2O, TensorFlow and ONNX models know their own inputs, and requests are for these. Where a TensorFlow or ONNX model
takes one matrix, a signature of columns says which is which: the metadata lists them, and records may name them, in
any order.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace

from forestflow.domain.errors import ForestFlowError
from forestflow.domain.independence import Independence
from forestflow.domain.requests import SIGNATURE_KEY
from forestflow.domain.tensors import Batch, Column, IOMetadata, Layout, ModelMetadata, Signature
from forestflow.servables import labels
from forestflow.servables.base import Servable
from forestflow.servables.estimators.inputs import Array, Inputs, NamedColumns, Options

_log = logging.getLogger("forestflow.mlmodel")


class DescribedServable:
    """Any servable; ``inputs`` and ``example`` are those of the MLmodel file.

    ``matrix`` says that its only input, if it has one, is a matrix of all columns. ``options`` are the file's params,
    which are checked, and of which these models make nothing, as in MLflow.
    """

    def __init__(
        self,
        servable: Servable,
        inputs: Inputs,
        example: Mapping[str, Array] | None,
        *,
        matrix: bool,
        options: Options | None = None,
    ) -> None:
        self._servable = servable
        self._options = options
        self._inputs = inputs
        self._example = example
        self._metadata = servable.metadata
        self._names = frozenset(io.name for io in inputs.each)
        self._columns = None
        if matrix and _is_matrix(servable.metadata, inputs):
            self._columns = NamedColumns(inputs)
            self._metadata = _listed(servable.metadata, labels.described([io.name for io in inputs.each]))

    @property
    def metadata(self) -> ModelMetadata:
        return self._metadata

    @property
    def slice_rows(self) -> int:
        return self._servable.slice_rows

    def merge_key(self, configs: Mapping[str, str]) -> Hashable | None:
        key = self._servable.merge_key(configs)
        return key if self._options is None or key is None else (key, self._options.key(configs))

    def independence(self, examples: Sequence[Batch] = ()) -> Mapping[str, Independence]:
        """As the servable finds, with the MLmodel file's example."""
        if self._example is None:
            return self._servable.independence(examples)
        rehearsal = self._rehearsal(self._example)
        try:
            rehearsal = rehearsal if self._columns is None else self._columns.joined(rehearsal)
        except ForestFlowError:  # as warm_up says
            return self._servable.independence(examples)
        return self._servable.independence([*examples, rehearsal])

    def predict(self, batch: Batch, configs: Mapping[str, str]) -> Batch:
        """Raises what :class:`~forestflow.servables.base.Servable` says."""
        if self._options is not None:
            self._options.read(configs)
        default = configs.get(SIGNATURE_KEY) in (None, "", self._metadata.default)
        if self._columns is not None and default and batch.layout is Layout.RECORDS:
            by_name = any(field in self._names for column in batch.columns for field in column.fields)
            whole = len(batch.columns) == 1 and len(batch.columns[0].fields) == 1  # the matrix, whatever it is called
            batch = batch if whole and not by_name else self._columns.joined(batch)
        return self._servable.predict(batch, configs)

    def warm_up(self) -> None:
        """As the servable does, and the example."""
        self._servable.warm_up()
        if self._example is None:
            return
        try:
            self.predict(self._rehearsal(self._example), {})
        except ForestFlowError as error:  # it only rehearses: real requests tell why
            _log.info("the input example of the MLmodel file fails: %s", error)

    def _rehearsal(self, example: Mapping[str, Array]) -> Batch:
        columns = [Column(io.type, (io.name,), example[io.name]) for io in self._inputs.each if io.name in example]
        if self._columns is not None:
            return Batch(len(columns[0].data), tuple(columns))
        if self._inputs.tensors and len(columns) == 1:  # the signature need not name it as the model does
            columns = [Column(columns[0].type, ("",), columns[0].data)]
        return Batch.of_tensors(columns)

    def close(self) -> None:
        self._servable.close()


def _is_matrix(metadata: ModelMetadata, inputs: Inputs) -> bool:
    """Whether the model takes the signature's columns side by side."""
    if inputs.tensors or inputs.text or len(metadata.inputs) != 1:
        return False
    (only,) = metadata.inputs
    columns = {io.name for io in inputs.each}
    batched = metadata.every_signature()[metadata.default].batched
    return batched and only.name not in columns and only.shape in ((-1,), (len(inputs.each),))


def _listed(metadata: ModelMetadata, description: str) -> ModelMetadata:
    """Give the default signature's only input that description, where the model has none itself."""
    (only,) = metadata.inputs
    described: tuple[IOMetadata, ...] = (replace(only, description=only.description or description),)
    signatures: dict[str, Signature] = dict(metadata.signatures)
    if metadata.default in signatures:
        signatures[metadata.default] = replace(signatures[metadata.default], inputs=described)
    return replace(metadata, inputs=described, signatures=signatures)
