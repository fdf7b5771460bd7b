"""The Python servable: batches to what a class takes, a call of one of its methods, and its answer to columns."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from forestflow.domain.errors import ForestFlowError, ModelFailed, NotImplementedByModel, UnknownInputs
from forestflow.domain.requests import OUTPUTS_KEY, SIGNATURE_KEY
from forestflow.domain.tensors import Batch, ModelMetadata
from forestflow.servables import warming
from forestflow.servables.python.calling import foreign
from forestflow.servables.python.inputs import reader
from forestflow.servables.python.options import Options
from forestflow.servables.python.outputs import to_batch

_SLICE_ROWS = 256  # of a class without an example to measure


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

    @property
    def metadata(self) -> ModelMetadata:
        return self._metadata

    @property
    def slice_rows(self) -> int:
        return self._slice_rows

    def merge_key(self, configs: Mapping[str, str]) -> Hashable | None:
        return (configs.get(SIGNATURE_KEY, ""), configs.get(OUTPUTS_KEY, "")) if self._batched else None

    def predict(self, batch: Batch, configs: Mapping[str, str]) -> Batch:
        """As :class:`~forestflow.servables.base.Servable` says; a ModelFailed has the exception as its cause."""
        method = configs.get(SIGNATURE_KEY) or self._metadata.default
        if method not in self._metadata.signatures:
            known = ", ".join(map(repr, self._metadata.signatures))
            raise NotImplementedByModel(f"the model has no method {method!r}; it has {known}")
        inputs = self._read(batch)
        if self._names and not self._names.issuperset(inputs):
            self._refuse_unknown(inputs)
        answer = self._call(method, inputs)
        wanted = configs.get(OUTPUTS_KEY, "")
        return to_batch(answer, batch, method, batched=self._batched, name=self._output, wanted=wanted)

    def _refuse_unknown(self, inputs: Mapping[str, Any]) -> None:
        """A class that lists its columns takes no others; tensors without a name it is given all the same."""
        if unknown := [name for name in inputs if name and name not in self._names]:
            known = ", ".join(map(repr, sorted(self._names)))
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
            self._slice_rows = warming.slice_rows(lambda rows: self._call(method, _sized(example, rows)))

    def close(self) -> None:
        del self._model


def _rows(example: Any) -> int:
    return len(next(iter(example.values())) if isinstance(example, Mapping) else example)


def _sized(example: Any, rows: int) -> Any:
    """So many rows of the example, over and over."""
    if isinstance(example, Mapping):
        return {name: _sized(values, rows) for name, values in example.items()}
    times = -(-rows // len(example))
    return (list(example) * times if isinstance(example, (list, tuple)) else np.concatenate([example] * times))[:rows]
