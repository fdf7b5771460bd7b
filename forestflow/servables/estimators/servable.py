"""The servable of an estimator: each of its methods is a signature; without given inputs it is asked for its own."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from forestflow.domain.errors import ForestFlowError, InvalidInput, LoadFailed, ModelFailed
from forestflow.domain.independence import Independence
from forestflow.domain.tensors import DTYPES, Batch, Column, IOMetadata, Layout, ModelMetadata, Signature, TensorType
from forestflow.servables import labels, warming
from forestflow.servables.binding import Bindings, type_of
from forestflow.servables.estimators import columns
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
    numbered,
    renamed,
    spelled,
    with_rows,
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
        own = inputs is None
        if inputs is None:
            inputs = columns.own_inputs(estimator)
        else:
            inputs = columns.ordered(inputs, estimator)
            columns.check(estimator, inputs)
        inputs = columns.with_categories(inputs, estimator)
        self._estimator = estimator
        self._inputs = inputs
        self._options = options
        known = columns.matched(inputs, estimator)
        levels = {io.name: feature.levels for io, feature in known if feature.levels is not None}
        self._samples = {io.name: feature.sample for io, feature in known if feature.sample is not None}
        self._samples |= {name: reader.samples for name, reader in inputs.readers.items()}
        self._varied = {name: np.array(reader.samples, object) for name, reader in inputs.readers.items()}
        self._varied |= {io.name: np.array([f.sample, f.other], object) for io, f in known if f.other is not None}
        if estimator.texts:
            self._samples[MATRIX] = estimator.texts if inputs.tensors else estimator.texts[0]
        self._coding = Coding(inputs.each, levels) if levels and not inputs.tensors else None
        self._taken = inputs if self._coding is None else replace(inputs, each=self._coding.coded)
        self._texts = Texts(self._taken)
        self._default = default if default and default in estimator.methods else next(iter(estimator.methods))
        guessed = frozenset([io.name for io, feature in known if feature.type is None and feature.levels is None])
        self._named = NamedColumns(self._taken, guessed if own else frozenset())
        self._form, self._rows = self._probed(example, assumed=own and example is None)
        unused = inputs.optional & {io.name for io, feature in known if not feature.used}
        nameless = len(inputs.each) == 1 and (inputs.tensors or (own and not estimator.features))
        self._steps = tuple(self._prepared(guessed if own else frozenset(), unused, nameless=nameless))
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
        key = self._bindings.merge_key(configs)
        return key if self._options is None or key is None else (key, self._options.key(configs))

    def independence(self, examples: Sequence[Batch] = ()) -> Mapping[str, Independence]:
        """Say what is known by construction, or what a trial of the default method shows on rows like the example."""
        if self._estimator.rows is not None:
            return dict.fromkeys(self._estimator.methods, self._estimator.rows)
        rehearsed = [self._rehearsal(_PROBE_ROWS)]
        varied = {name: texts for name, texts in self._varied.items() if name in self._rows}
        if varied:  # no random text is a datetime or known, and the example may have the same one in every row
            rehearsed = [_batch(self._bound, {**self._rows, **varied}), *rehearsed]
        return self._bindings.independence(dict.fromkeys(self._estimator.methods, rehearsed), self._slice_rows)

    def predict(self, batch: Batch, configs: Mapping[str, str]) -> Batch:
        """Raises what :class:`~forestflow.servables.base.Servable` says."""
        for step in self._steps:
            batch = step(batch)
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
        """Ask the estimator; without ``options`` it gets their defaults."""
        inputs = self._texts.read(inputs)
        if self._inputs.optional and self._form is Form.FRAME and self._estimator.frames != "always":
            inputs = completed(self._taken, inputs)
        if self._coding is not None and self._form is Form.FRAME:
            inputs = self._coding.framed(inputs)
        given = in_form(self._form, inputs)
        beside: tuple[Mapping[str, Any], ...] = ()
        if self._options is not None and self._estimator.optioned:
            beside = (self._options.read({}) if options is None else options,)
        try:
            return _arrays(METHODS.get(method, method), self._estimator.methods[method](given, *beside))
        except ForestFlowError:
            raise
        except self._estimator.refusals as error:
            raise InvalidInput(f"the model refuses the input: {_first_line(error)}") from error
        except Exception as error:
            raise ModelFailed(f"the model failed: {type(error).__name__}: {_first_line(error)}") from error

    def _prepared(
        self, guessed: frozenset[str], unused: frozenset[str], *, nameless: bool
    ) -> Iterator[Callable[[Batch], Batch]]:
        """What is done to a batch before its columns are bound.

        ``guessed`` are columns of which no type is known; ``nameless`` says that no name of the only input is known.
        """
        if self._coding is not None or self._form in (Form.FRAME, Form.COLUMN):
            yield partial(with_rows, names=frozenset([io.name for io in self._inputs.each]))
        if unused:
            yield partial(without, names=unused)
        if self._coding is not None:
            yield self._coding.encoded
        if nameless:
            yield partial(renamed, name=self._inputs.each[0].name)
        elif self._inputs.readers:
            yield partial(spelled, self._inputs)
        elif self._form is Form.MATRIX and not self._inputs.tensors:
            yield self._named.joined
        elif guessed:
            yield partial(numbered, names=guessed)

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
        frames = self._estimator.frames
        if self._coding is not None and frames == "maybe":  # codes are numbers to all but the part that knows better
            frames = "always"
        forms = self._taken.forms(frames)
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
            raise LoadFailed(columns.not_enough(refused))
        self._form = forms[0]
        return self._form, self._rehearsed(example, _GUESSES[0])

    def _rehearsed(self, example: Mapping[str, Array] | None, number: float) -> dict[str, Array]:
        """Two rows, as they are bound: of the example, or made up."""
        rows = self._shown(example) if example is not None else None
        if rows is None:
            arrays = made_up(self._taken.each, _PROBE_ROWS, self._samples, number)
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
        given = [
            Column(io.type, (io.name,), np.resize(self._rows[io.name], (rows, *self._rows[io.name].shape[1:])))
            for io in self._bound
            if io.name in self._rows
        ]
        return Batch(rows, tuple(given), Layout.TENSORS)

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


def _batch(inputs: tuple[IOMetadata, ...], arrays: Mapping[str, Array]) -> Batch:
    given = [Column(io.type, (io.name,), arrays[io.name]) for io in inputs if io.name in arrays]
    return Batch(_PROBE_ROWS, tuple(given), Layout.TENSORS)


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
