"""The servable of an estimator: each of its methods is a signature; without given inputs it is asked for its own."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from forestflow.domain.errors import ForestFlowError, InvalidInput, LoadFailed, ModelFailed
from forestflow.domain.tensors import DTYPES, Batch, Column, IOMetadata, Layout, ModelMetadata, Signature, TensorType
from forestflow.servables import labels, warming
from forestflow.servables.binding import Bindings, type_of
from forestflow.servables.estimators.estimator import LABELLED, METHODS, Estimator
from forestflow.servables.estimators.inputs import (
    MATRIX,
    Form,
    Inputs,
    NamedColumns,
    Options,
    Texts,
    completed,
    in_form,
    made_up,
    renamed,
    sampled,
    spelled,
)

Array = npt.NDArray[Any]

_SLICE_ROWS = 256
_PROBE_ROWS = 2  # one row would not tell rows from columns


class EstimatorServable:
    """One estimator. Not thread-safe, as the interface says.

    ``inputs`` are what a signature says; without it the estimator is asked. ``example`` holds arrays by input name.
    ``default`` is the method that answers where a request names none; ``options`` reads what a request may say to it.
    """

    def __init__(
        self,
        estimator: Estimator,
        inputs: Inputs | None = None,
        *,
        example: Mapping[str, Array] | None = None,
        default: str | None = None,
        options: Options | None = None,
    ) -> None:
        inputs = inputs or _own_inputs(estimator)
        _check_width(estimator, inputs)
        self._estimator = estimator
        self._inputs = inputs
        self._options = options
        self._texts = Texts(inputs)
        self._default = default if default and default in estimator.methods else next(iter(estimator.methods))
        self._form, self._bound = self._probed(inputs, example)
        self._columns = None
        self._only = inputs.each[0].name if inputs.tensors and len(inputs.each) == 1 else None
        if self._form is Form.MATRIX and not inputs.tensors:
            self._columns = NamedColumns(inputs)
        self._rows = self._rehearsed(inputs, example)
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
        if not self._estimator.merges:
            return None
        key = self._bindings.merge_key(configs)
        return key if self._options is None or key is None else (key, self._options.key(configs))

    def predict(self, batch: Batch, configs: Mapping[str, str]) -> Batch:
        """Raises what :class:`~forestflow.servables.base.Servable` says."""
        if self._columns is not None:
            batch = self._columns.joined(batch)
        elif self._only is not None:
            batch = renamed(batch, self._only)
        elif self._inputs.readers:
            batch = spelled(self._inputs, batch)
        return labels.named(self._bound_predict(batch, configs), self._labels)

    def _bound_predict(self, batch: Batch, configs: Mapping[str, str]) -> Batch:
        if self._options is None:
            return self._bindings.predict(batch, configs)
        return self._bindings.predict(batch, configs, self._options.read(configs))

    def warm_up(self) -> None:
        """Predict the example, or made-up rows, and measure how many rows a slice may have."""
        try:
            self._slice_rows = warming.slice_rows(lambda rows: self._bound_predict(self._rehearsal(rows), {}))
        except ForestFlowError:  # a model may refuse made-up rows; real ones tell why
            return

    def close(self) -> None:
        del self._estimator, self._bindings

    def _call(
        self,
        method: str,
        inputs: Mapping[str, Array],
        outputs: tuple[str, ...] = (),
        options: Mapping[str, Any] | None = None,
    ) -> Mapping[str, Array]:
        inputs = self._texts.read(inputs)
        if self._inputs.optional and self._form is Form.FRAME and self._estimator.frames != "always":
            inputs = completed(self._inputs, inputs)
        given = in_form(self._form, inputs)
        beside = () if options is None or not self._estimator.optioned else (options,)
        try:
            return _arrays(METHODS.get(method, method), self._estimator.methods[method](given, *beside))
        except ForestFlowError:
            raise
        except self._estimator.refusals as error:
            raise InvalidInput(f"the model refuses the input: {_first_line(error)}") from error
        except Exception as error:
            raise ModelFailed(f"the model failed: {type(error).__name__}: {_first_line(error)}") from error

    # --- what it takes and gives -------------------------------------------------------------------------------------

    def _defaults(self) -> Mapping[str, Any] | None:
        return None if self._options is None else self._options.read({})

    def _probed(self, inputs: Inputs, example: Mapping[str, Array] | None) -> tuple[Form, tuple[IOMetadata, ...]]:
        """The first form that the estimator takes, and the inputs as they are then bound."""
        matrix = (IOMetadata(MATRIX, self._estimator.number, (len(inputs.each),)),)
        forms = inputs.forms(self._estimator.frames)
        for form in forms:
            self._form = form
            self._bound = matrix if form is Form.MATRIX and not inputs.tensors else inputs.each
            try:
                found = self._call(self._default, self._rehearsed(inputs, example), (), self._defaults())
            except ImportError as error:
                raise LoadFailed(f"the model takes a DataFrame: install pandas ({error})") from error
            except ForestFlowError:
                continue
            if all(array.shape[:1] == (_PROBE_ROWS,) for array in found.values()):
                return form, self._bound
        return forms[0], matrix if forms[0] is Form.MATRIX and not inputs.tensors else inputs.each

    def _rehearsed(self, inputs: Inputs, example: Mapping[str, Array] | None) -> dict[str, Array]:
        """Two rows, as they are bound."""
        if example is not None:
            arrays = {name: np.resize(array, (_PROBE_ROWS, *array.shape[1:])) for name, array in example.items()}
        else:
            arrays = made_up(inputs.each, _PROBE_ROWS) | sampled(inputs, _PROBE_ROWS)
        if self._bound is inputs.each:
            return arrays
        stacked = np.stack(list(completed(inputs, arrays).values()), axis=1)
        return {MATRIX: stacked.astype(DTYPES[self._estimator.number])}

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
            found = self._call(method, self._rows, (), self._defaults())
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
    """What the estimator knows of its features: their names, or how many they are."""
    if estimator.features:
        return Inputs(tuple([IOMetadata(name, estimator.number) for name in estimator.features]))
    width = -1 if estimator.width is None else estimator.width
    return Inputs((IOMetadata(MATRIX, estimator.number, (width,)),), tensors=True)


def _check_width(estimator: Estimator, inputs: Inputs) -> None:
    if inputs.tensors or estimator.width is None or inputs.text or len(inputs.each) == estimator.width:
        return
    raise LoadFailed(
        f"the signature has {len(inputs.each)} columns, the model was trained with {estimator.width} features"
    )


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
