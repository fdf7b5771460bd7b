"""The Python servable: batches to what a class takes, a call of one of its methods, and its answer to columns."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from forestflow.domain.errors import ForestFlowError, InvalidInput, ModelFailed, NotImplementedByModel, UnknownInputs
from forestflow.domain.independence import Independence
from forestflow.domain.requests import OUTPUTS_KEY, SIGNATURE_KEY
from forestflow.domain.tensors import Batch, Layout, ModelMetadata, concat
from forestflow.servables import warming
from forestflow.servables.python.calling import foreign
from forestflow.servables.python.inputs import reader
from forestflow.servables.python.options import Options
from forestflow.servables.python.outputs import NotByRow, to_batch

_SLICE_ROWS = 256  # of a class without an example to measure
_MAX_FORMS = 256
_BATCHED = Independence(True, "the class says so: batched = True")
_NOT_BATCHED = Independence(False, "the class does not say that they are: batched = True")


class PythonServable:
    """An object of a user's class. Whatever it raises, exits of the process among them, fails one request."""

    def __init__(self, model: Any) -> None:
        """Raises LoadFailed for a class that says of itself what cannot be."""
        options = Options.of(model)
        self._model = model
        self._read = reader(options.inputs)
        self._names = frozenset(io.name for io in options.metadata.inputs if options.inputs == "columns")
        self._batched = options.batched
        self._metadata = options.metadata
        outputs = options.metadata.outputs
        self._output = outputs[0].name if len(outputs) == 1 else "prediction"
        self._slice_rows = _SLICE_ROWS
        self._forms: dict[Hashable, tuple[Any, ...]] = {}  # of answers, by method, wanted outputs and kind of rows

    @property
    def metadata(self) -> ModelMetadata:
        return self._metadata

    @property
    def slice_rows(self) -> int:
        return self._slice_rows

    def merge_key(self, configs: Mapping[str, str]) -> Hashable:
        return configs.get(SIGNATURE_KEY, ""), configs.get(OUTPUTS_KEY, "")

    def independence(self, examples: Sequence[Batch] = ()) -> Mapping[str, Independence]:
        """The author's word; classes are not tried, for a call may do more than answer."""
        return dict.fromkeys(self._metadata.signatures, _BATCHED if self._batched else _NOT_BATCHED)

    def predict(self, batch: Batch, configs: Mapping[str, str]) -> Batch:
        """As :class:`~forestflow.servables.base.Servable` says; a ModelFailed has the exception as its cause."""
        method = configs.get(SIGNATURE_KEY) or self._metadata.default
        if method not in self._metadata.signatures:
            known = ", ".join(map(repr, self._metadata.signatures))
            raise NotImplementedByModel(f"the model has no method {method!r}; it has {known}")
        wanted = configs.get(OUTPUTS_KEY, "")
        if self._batched and batch.layout is not Layout.WHOLE:
            return self._by_row(batch, method, wanted)
        return self._answer(batch, method, wanted)

    def _answer(self, batch: Batch, method: str, wanted: str) -> Batch:
        inputs = self._read(batch)
        if self._names and not (inputs and self._names.issuperset(inputs)):
            self._refuse(inputs)
        answer = self._call(method, inputs)
        return to_batch(answer, batch, method, batched=self._batched, name=self._output, wanted=wanted)

    def _by_row(self, batch: Batch, method: str, wanted: str) -> Batch:
        """The answer in the form that such rows had before, or marked as one whose form varies.

        A record by itself whose answer lacks the axis of the rows (``squeeze`` does that) has the answer that it has
        beside others: the model is asked for it twice over.
        """
        try:
            answer = self._answer(batch, method, wanted)
        except NotByRow as error:
            if batch.rows != 1:
                raise
            try:
                return self._twice(batch, method, wanted)
            except NotByRow:
                raise error from None
        form = tuple([(column.fields, column.type, column.data.shape[1:]) for column in answer.columns])
        if len(self._forms) >= _MAX_FORMS:
            self._forms.clear()
        known = self._forms.setdefault((method, wanted, batch.signature), form)
        if form != known:
            if batch.rows == 1 and [part[:2] for part in form] == [part[:2] for part in known]:
                return self._twice(batch, method, wanted)
            answer.form_varies = True
        return answer

    def _twice(self, batch: Batch, method: str, wanted: str) -> Batch:
        return self._answer(concat([batch, batch]), method, wanted).slice(0, 1)

    def _refuse(self, inputs: Mapping[str, Any]) -> None:
        """A class that lists its columns takes no others, nor none; tensors without a name it is given all the same."""
        known = ", ".join(map(repr, sorted(self._names)))
        if not inputs:
            raise InvalidInput(f"the request has no input; the model takes {known}")
        if unknown := [name for name in inputs if name and name not in self._names]:
            raise UnknownInputs(unknown, f"there is no input {unknown[0]!r}; the model takes {known}")

    def _call(self, method: str, inputs: Any) -> Any:
        try:
            with foreign():
                return getattr(self._model, method)(inputs)
        except ForestFlowError:  # BadInput
            raise
        except NotImplementedError as error:
            raise NotImplementedByModel(str(error) or f"the model does not implement {method!r}") from None
        except BaseException as error:  # sys.exit and KeyboardInterrupt would end the replica
            text = f": {error}" if str(error) else ""
            raise ModelFailed(f"{method} raised {type(error).__name__}{text}") from error

    def warm_up(self) -> None:
        """Call the default method with the class's ``example``, and find out how many rows take a few milliseconds."""
        example = getattr(self._model, "example", None)
        if example is None:
            return
        method = self._metadata.default
        self._call(method, example)
        if self._batched and _rows(example):
            with suppress(ForestFlowError):  # the example alone decides about the deploy; requests tell the rest
                self._slice_rows = warming.slice_rows(lambda rows: self._call(method, _sized(example, rows)))

    def close(self) -> None:
        del self._model


def _rows(example: Any) -> int:
    return len(next(iter(example.values())) if isinstance(example, Mapping) else example)


def _sized(example: Any, rows: int) -> Any:
    """Repeat the rows of the example until there are ``rows`` of them."""
    if isinstance(example, Mapping):
        return {name: _sized(values, rows) for name, values in example.items()}
    times = -(-rows // len(example))
    return (list(example) * times if isinstance(example, (list, tuple)) else np.concatenate([example] * times))[:rows]
