"""The H2O servable: batches in, batches out, one call into the JVM per chunk of rows."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from forestflow.domain.errors import ForestFlowError
from forestflow.domain.independence import Independence
from forestflow.domain.requests import OUTPUTS_KEY
from forestflow.domain.settings import Resources
from forestflow.domain.tensors import Batch, Column, Layout, ModelMetadata, TensorType
from forestflow.servables.base import Servable
from forestflow.servables.h2o.failures import load_failure, predict_failure
from forestflow.servables.h2o.jvm import scorer_class
from forestflow.servables.h2o.model import MojoModel, describe
from forestflow.servables.h2o.outputs import Outputs, Wanted
from forestflow.servables.h2o.tensors import records_of
from forestflow.servables.h2o.words import BY_ROW, WordEmbeddings

H2O_OUTPUTS_KEY = "h2o.outputs"  # request config: which outputs, by name, separated by commas, in H2O's order
_BUFFER_BYTES = 1 << 20
_MAX_CHUNK_ROWS = 16_384
_SLICE_SECONDS = 0.004
_WARM_UP_SECONDS = 0.25


class H2OServable:
    """One MOJO. Not thread-safe, as the interface says; the JVM may be shared with others of the process."""

    def __init__(self, model: MojoModel, threads: int = 1) -> None:
        """``threads`` share the rows of a long batch, where the model is one of trees."""
        self._model = model
        self._scorer: Any = model.scorer
        if threads > 1:
            self._scorer.threads(threads)
        self._inputs = model.inputs
        widest = max(model.features + 1, model.preds, 1)
        self._chunk = max(1, min(_MAX_CHUNK_ROWS, _BUFFER_BYTES // (8 * widest)))
        self._in = _shared(self._chunk, model.features + 1)
        self._out = _shared(self._chunk, max(model.preds, 1))
        self._scorer.buffers(_as_java(self._in), _as_java(self._out))
        self._score = self._scorer.score
        self._outputs = Outputs(model, self._out)
        self._slice_rows = min(256, self._chunk)
        self._metadata = ModelMetadata(
            self._inputs.metadata(), self._outputs.metadata(), warnings=self._warnings(self._inputs.offset)
        )

    @property
    def metadata(self) -> ModelMetadata:
        return self._metadata

    @property
    def slice_rows(self) -> int:
        return self._slice_rows

    def merge_key(self, configs: Mapping[str, str]) -> Hashable:
        return (configs.get(H2O_OUTPUTS_KEY), configs.get(OUTPUTS_KEY)) if configs else ()

    def independence(self, examples: Sequence[Batch] = ()) -> Mapping[str, Independence]:
        """Rows are independent by construction: genmodel scores one at a time, and keeps nothing of it."""
        return {self._metadata.default: BY_ROW}

    def predict(self, batch: Batch, configs: Mapping[str, str]) -> Batch:
        """Answer every row: the model's prediction, or what the request configs list as outputs.

        Raises what :class:`~forestflow.servables.base.Servable` says.
        """
        wanted = self._outputs.wanted(configs.get(H2O_OUTPUTS_KEY, ""), configs.get(OUTPUTS_KEY, ""))
        records = batch
        if batch.layout is Layout.RECORDS:
            self._inputs.check(batch)
        else:
            records = records_of(self._inputs, batch)
        rows, layout = batch.rows, batch.layout
        try:
            if rows <= self._chunk:
                return Batch(rows, self._score_chunk(records, 0, rows, wanted, layout), layout)
            parts = [
                self._score_chunk(records, start, min(start + self._chunk, rows), wanted, layout)
                for start in range(0, rows, self._chunk)
            ]
        except ForestFlowError:
            raise
        except Exception as error:
            raise predict_failure(error) from None
        columns = (
            Column(same[0].type, same[0].fields, np.concatenate([column.data for column in same]))
            for same in zip(*parts, strict=True)
        )
        return Batch(rows, tuple(columns), layout)

    def warm_up(self) -> None:
        """Score made-up rows, levels and all, until the JIT has settled or a quarter of a second is over."""
        end = time.perf_counter() + _WARM_UP_SECONDS
        few, many = (self._inputs.made_up(rows) for rows in (2, min(64, self._chunk)))
        seconds: deque[float] = deque(maxlen=101)
        try:
            while len(seconds) < 2 or time.perf_counter() < end:
                self.predict(few, {})
                began = time.perf_counter()
                self.predict(many, {})
                seconds.append(time.perf_counter() - began)
        except ForestFlowError:  # a model may refuse made-up rows; real ones tell why
            return
        self._slice_rows = max(1, min(self._chunk, int(_SLICE_SECONDS * many.rows / median(seconds))))

    def close(self) -> None:
        """Let go of the model, so that the JVM may free it."""
        self._scorer.close()
        del self._scorer, self._score, self._outputs, self._model

    def _warnings(self, offset: str | None) -> tuple[str, ...]:
        """What h2o-genmodel makes of the offset column, as rows with several offsets show it: deep learning drops it.

        Weights and folds, which only training uses, are no inputs of a MOJO; nor is a treatment.
        """
        if offset is None or not self._ignores_offset():
            return ()
        return (
            f"the model was trained with the offset column {offset!r}, but its MOJO does not use it: H2O's own answers "
            "differ where the offset is not 0",
        )

    def _ignores_offset(self) -> bool:
        batch = self._inputs.made_up(min(16, self._chunk))
        for column in batch.columns:
            if column.type is TensorType.Float64:  # of large numbers alone no offset may be seen
                column.data[:2] = [[0.0], [np.nan]][: len(column.data)]
        answers = []
        try:
            for offset in (0.0, 1.0, -1.0):
                self._write(batch, 0, batch.rows)
                self._in[: batch.rows, -1] = offset
                self._score(batch.rows)
                answers.append(self._out[: batch.rows].copy())
        except Exception:  # of Java's: a model may refuse made-up rows, and real ones tell why
            return False
        return all(np.array_equal(answers[0], other, equal_nan=True) for other in answers)

    def _score_chunk(
        self, batch: Batch, start: int, stop: int, wanted: tuple[Wanted, ...], layout: Layout
    ) -> tuple[Column, ...]:
        rows = stop - start
        self._write(batch, start, stop)
        self._score(rows)
        return self._outputs.columns(rows, wanted, layout)

    def _write(self, batch: Batch, start: int, stop: int) -> None:
        if self._model.needs_convert:
            self._convert(batch, start, stop)
        else:
            self._inputs.write(batch, start, stop, self._in[: stop - start])

    def _convert(self, batch: Batch, start: int, stop: int) -> None:
        """Let H2O's own RowToRawDataConverter write the rows, for models that look at a whole row at once (GAM)."""
        from jpype import JArray, JDouble, JObject, JString

        names, columns = self._inputs.for_java(batch, start, stop)
        self._in[: stop - start, -1] = self._inputs.offsets(batch, start, stop)
        arrays = [JArray(JString if isinstance(column, list) else JDouble)(column) for column in columns]
        self._scorer.convert(stop - start, names, JArray(JObject)(arrays))


def load_mojo(path: Path, resources: Resources) -> Servable:
    """Load a checked archive. Raises :class:`~forestflow.domain.errors.LoadFailed`."""
    scorer_of = scorer_class(resources.memory_mb)
    try:
        model = describe(scorer_of.load(str(path)))
        if model.category == "WordEmbedding":
            return WordEmbeddings(model)
        return H2OServable(model, resources.compute_threads)
    except ForestFlowError:
        raise
    except Exception as error:
        raise load_failure(path, error) from None


def _shared(rows: int, columns: int) -> npt.NDArray[np.float64]:
    return np.zeros((rows, columns))


def _as_java(array: npt.NDArray[np.float64]) -> Any:
    """A direct ``java.nio.ByteBuffer`` over the array's own memory; JPype keeps the array alive."""
    import jpype.nio

    return jpype.nio.convertToDirectBuffer(array.data.cast("B"))
