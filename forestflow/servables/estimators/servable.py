"""The servable of an estimator: each of its methods is a signature; without given inputs it is asked for its own."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from forestflow.domain.errors import ForestFlowError, InvalidInput, LoadFailed, ModelFailed
from forestflow.domain.tensors import DTYPES, Batch, Column, IOMetadata, Layout, ModelMetadata, Signature, TensorType
from forestflow.servables import labels, warming
from forestflow.servables.binding import Bindings, type_of
from forestflow.servables.estimators.estimator import LABELLED, METHODS, Estimator, Feature
from forestflow.servables.estimators.inputs import (
    MATRIX,
    TEXTS,
    UNUSED,
    Form,
    Inputs,
    NamedColumns,
    completed,
    in_form,
    made_up,
    renamed,
    without,
)
from forestflow.servables.estimators.levels import Coding

Array = npt.NDArray[Any]

_SLICE_ROWS = 256
_PROBE_ROWS = 2  # one row would not tell rows from columns
_GUESSES = (0, 1, 0.5)  # numbers to make rows of: a model may take logarithms, or shares


class EstimatorServable:
    """One estimator. Not thread-safe, as the interface says.

    ``inputs`` are what a signature says; without it the estimator is asked. ``example`` holds arrays by input name.
    ``default`` is the method that answers where a request names none.
    """

    def __init__(
        self,
        estimator: Estimator,
        inputs: Inputs | None = None,
        *,
        example: Mapping[str, Array] | None = None,
        default: str | None = None,
    ) -> None:
        assumed = inputs is None and example is None
        if inputs is None:
            inputs = _own_inputs(estimator)
        else:
            inputs = _ordered(inputs, estimator)
            _check(estimator, inputs)
        inputs = _with_categories(inputs, estimator)
        self._estimator = estimator
        self._inputs = inputs
        levels = {io.name: feature.levels for io, feature in _matched(inputs, estimator) if feature.levels is not None}
        self._coding = Coding(inputs.each, levels) if levels and not inputs.tensors else None
        self._taken = inputs if self._coding is None else replace(inputs, each=self._coding.coded)
        unused = {io.name for io, feature in _matched(inputs, estimator) if not feature.used}
        self._unused = inputs.optional & unused
        self._default = default if default and default in estimator.methods else next(iter(estimator.methods))
        self._only = inputs.each[0].name if inputs.tensors and len(inputs.each) == 1 else None
        self._named = NamedColumns(self._taken)
        self._form, self._rows = self._probed(example, assumed=assumed)
        self._columns = self._named if self._form is Form.MATRIX and not inputs.tensors else None
        outputs = {method: self._outputs(method) for method in estimator.methods}
        self._labels = {METHODS[name]: estimator.labels for name in LABELLED & outputs.keys()}
        self._metadata = self._described(inputs.each, outputs)
        self._bindings = Bindings(self._described(self._bound, outputs), self._call, inputs.optional)
        self._slice_rows = _SLICE_ROWS

    @property
    def metadata(self) -> ModelMetadata:
        return self._metadata

    @property
    def slice_rows(self) -> int:
        return self._slice_rows

    def merge_key(self, configs: Mapping[str, str]) -> Hashable | None:
        return self._bindings.merge_key(configs) if self._estimator.merges else None

    def predict(self, batch: Batch, configs: Mapping[str, str]) -> Batch:
        """Raises what :class:`~forestflow.servables.base.Servable` says."""
        if self._unused:
            batch = without(batch, self._unused)
        if self._coding is not None:
            batch = self._coding.encoded(batch)
        if self._columns is not None:
            batch = self._columns.joined(batch)
        elif self._only is not None:
            batch = renamed(batch, self._only)
        return labels.named(self._bindings.predict(batch, configs), self._labels)

    def warm_up(self) -> None:
        """Predict the example, or made-up rows, and measure how many rows a slice may have."""
        try:
            self._slice_rows = warming.slice_rows(lambda rows: self._bindings.predict(self._rehearsal(rows), {}))
        except ForestFlowError:  # a model may refuse made-up rows; real ones tell why
            return

    def close(self) -> None:
        del self._estimator, self._bindings

    def _call(self, method: str, inputs: Mapping[str, Array], outputs: tuple[str, ...] = ()) -> Mapping[str, Array]:
        if self._inputs.optional and self._form is Form.FRAME and self._estimator.frames != "always":
            inputs = completed(self._taken, inputs)
        if self._coding is not None and self._form is Form.FRAME:
            inputs = self._coding.framed(inputs)
        given = in_form(self._form, inputs)
        try:
            return _arrays(METHODS.get(method, method), self._estimator.methods[method](given))
        except ForestFlowError:
            raise
        except self._estimator.refusals as error:
            raise InvalidInput(f"the model refuses the input: {_first_line(error)}") from error
        except Exception as error:
            raise ModelFailed(f"the model failed: {type(error).__name__}: {_first_line(error)}") from error

    # --- what it takes and gives -------------------------------------------------------------------------------------

    @property
    def _bound(self) -> tuple[IOMetadata, ...]:
        """The inputs as the form has them."""
        if self._form is Form.MATRIX and not self._inputs.tensors:
            return (IOMetadata(MATRIX, self._estimator.number, (len(self._inputs.each),)),)
        return self._taken.each

    def _probed(self, example: Mapping[str, Array] | None, *, assumed: bool) -> tuple[Form, dict[str, Array]]:
        """The first form that the estimator takes, and two rows as they are bound.

        Raises LoadFailed where the inputs are ``assumed`` and the estimator takes none of the rows that are made up.
        """
        forms = self._taken.forms(self._estimator.frames)
        refused = ""
        for number in _GUESSES if assumed else _GUESSES[:1]:
            for self._form in forms:
                try:
                    rows = self._rehearsed(example, number)
                    found = self._call(self._default, rows)
                except ImportError as error:
                    raise LoadFailed(f"the model takes a DataFrame: install pandas ({error})") from error
                except ForestFlowError as error:
                    refused = error.message
                    continue
                if all(array.shape[:1] == (_PROBE_ROWS,) for array in found.values()):
                    return self._form, rows
        if assumed and refused and self._estimator.width is not None and self._estimator.refusals:
            raise LoadFailed(
                "what the model keeps of its columns is not enough to serve it: save it with an input example or a "
                f"signature, as in save_model(..., input_example=frame.head()). {refused}"
            )
        self._form = forms[0]
        return self._form, self._rehearsed(example, _GUESSES[0])

    def _rehearsed(self, example: Mapping[str, Array] | None, number: float) -> dict[str, Array]:
        """Two rows, as they are bound: of the example, or made up."""
        rows = self._shown(example) if example is not None else None
        if rows is None:
            samples = {io.name: f.sample for io, f in _matched(self._inputs, self._estimator) if f.sample is not None}
            arrays = made_up(self._taken.each, _PROBE_ROWS, samples, number)
            if self._bound is self._taken.each:
                return arrays
            rows = self._named.joined(_batch(self._taken.each, arrays))
        if self._bound is self._taken.each:
            return {column.fields[0]: column.data for column in rows.columns}
        (column,) = rows.columns
        return {MATRIX: column.data.astype(DTYPES[self._estimator.number])}

    def _shown(self, example: Mapping[str, Array]) -> Batch | None:
        """Rows of the example; ``None`` where it holds what the model does not take."""
        arrays = {name: np.resize(array, (_PROBE_ROWS, *array.shape[1:])) for name, array in example.items()}
        batch = _batch(self._inputs.each, arrays)
        try:
            coded = batch if self._coding is None else self._coding.encoded(batch)
            return coded if self._bound is self._taken.each else self._named.joined(coded)
        except ForestFlowError:
            return None

    def _rehearsal(self, rows: int) -> Batch:
        columns = [
            Column(io.type, (io.name,), np.resize(self._rows[io.name], (rows, *self._rows[io.name].shape[1:])))
            for io in self._bound
            if io.name in self._rows
        ]
        return Batch(rows, tuple(columns), Layout.TENSORS)

    def _outputs(self, method: str) -> tuple[IOMetadata, ...]:
        """As two rows show them; where the model refuses these, one number a row is the best guess."""
        try:
            found = self._call(method, self._rows)
        except ForestFlowError:
            return (IOMetadata(METHODS.get(method, method), TensorType.Float64),)
        names = labels.described(self._estimator.labels) if method in LABELLED and self._estimator.labels else None
        return tuple(
            [
                IOMetadata(name, type_of(array.dtype) or TensorType.String, array.shape[1:], names)
                for name, array in found.items()
            ]
        )

    def _described(
        self, inputs: tuple[IOMetadata, ...], outputs: Mapping[str, tuple[IOMetadata, ...]]
    ) -> ModelMetadata:
        signatures = {method: Signature(inputs, given, method=method) for method, given in outputs.items()}
        return ModelMetadata(inputs, outputs[self._default], signatures, self._default)


def _own_inputs(estimator: Estimator) -> Inputs:
    """What the estimator knows of its features: their names and types, or how many they are."""
    if estimator.features:
        each = [
            IOMetadata(f.name, _type(f) or estimator.number, description=None if f.used else UNUSED)
            for f in estimator.features
        ]
        return Inputs(tuple(each), optional=frozenset([f.name for f in estimator.features if not f.used]))
    kind = TensorType.String if estimator.texts else estimator.number
    if estimator.texts and estimator.width is None:
        return Inputs((IOMetadata(MATRIX, kind),))
    width = -1 if estimator.width is None else estimator.width
    return Inputs((IOMetadata(MATRIX, kind, (width,)),), tensors=True)


def _type(feature: Feature) -> TensorType | None:
    return feature.type if feature.levels is None else feature.levels.type


def _ordered(inputs: Inputs, estimator: Estimator) -> Inputs:
    """The columns of a signature in the order of the model's, where both name the same ones."""
    by_name = {io.name: io for io in inputs.each}
    names = [feature.name for feature in estimator.features]
    if inputs.tensors or by_name.keys() != set(names):
        return inputs
    return replace(inputs, each=tuple([by_name[name] for name in names]))


def _matched(inputs: Inputs, estimator: Estimator) -> list[tuple[IOMetadata, Feature]]:
    """Inputs with what the model knows of them: by name, or by place where it has as many columns without the names."""
    known = {feature.name: feature for feature in estimator.features}
    by_name = [(io, known[io.name]) for io in inputs.each if io.name in known]
    if by_name or inputs.tensors or len(inputs.each) != len(known):
        return by_name
    return list(zip(inputs.each, estimator.features, strict=True))


def _with_categories(inputs: Inputs, estimator: Estimator) -> Inputs:
    """With the categories of columns that say nothing else of themselves."""
    levels = {io.name: f.levels for io, f in _matched(inputs, estimator) if f.levels is not None}
    each = [
        replace(io, description=levels[io.name].described) if io.name in levels and io.description is None else io
        for io in inputs.each
    ]
    return replace(inputs, each=tuple(each))


def _check(estimator: Estimator, inputs: Inputs) -> None:
    """Raises LoadFailed for a signature that is not of this model."""
    if inputs.tensors:
        return
    matched = dict(_matched(inputs, estimator))
    for io, feature in matched.items():
        if feature.levels is not None and not feature.levels.fits(io.type):
            raise LoadFailed(
                f"the signature has {io.type.name} for {io.name!r}, the categories of the model are "
                f"{feature.levels.type.name}"
            )
    texts = [io for io in inputs.each if io.type in TEXTS and (io not in matched or matched[io].levels is None)]
    if texts and estimator.frames == "never":
        raise LoadFailed(
            f"the signature has {texts[0].type.name} for {texts[0].name!r}, of which the model has no categories"
        )
    if estimator.width is None or texts or len(inputs.each) == estimator.width:
        return
    raise LoadFailed(
        f"the signature has {len(inputs.each)} columns, the model was trained with {estimator.width} features"
    )


def _batch(inputs: tuple[IOMetadata, ...], arrays: Mapping[str, Array]) -> Batch:
    columns = [Column(io.type, (io.name,), arrays[io.name]) for io in inputs if io.name in arrays]
    return Batch(_PROBE_ROWS, tuple(columns), Layout.TENSORS)


def _arrays(name: str, result: Any) -> dict[str, Array]:
    """What a method answered, by output: an array, a sparse matrix, or several arrays (one for each target)."""
    if isinstance(result, Mapping):
        return {str(key): np.asarray(value) for key, value in result.items()}
    if isinstance(result, (list, tuple)) and result and all(isinstance(part, np.ndarray) for part in result):
        return {f"{name}_{i}": part for i, part in enumerate(result)}
    return {name: result.toarray() if hasattr(result, "toarray") else np.asarray(result)}


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:500]
