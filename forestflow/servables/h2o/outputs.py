"""From the doubles that ``score0`` writes to the answer's columns, as EasyPredict reads them.

The layouts are those of ``EasyPredictModelWrapper.predict…``: a classifier's first double is the index of its label
and the class probabilities follow; an anomaly detector's last two are normalized score and score.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from forestflow.domain.errors import InvalidInput, NotImplementedByModel
from forestflow.domain.tensors import Column, IOMetadata, Layout, TensorType
from forestflow.servables.h2o.model import MojoModel

Doubles = npt.NDArray[np.float64]
PREDICTION = "prediction"
NAMES = (PREDICTION, "probabilities", "leaf_assignments", "contributions")
_CLASSIFIERS = frozenset({"Binomial", "Multinomial", "Ordinal"})
_VECTORS = frozenset({"AutoEncoder", "DimReduction"})
Wanted = tuple[str, str]  # one of NAMES, and what a client calls it
UPLIFT_FIELDS = ("uplift_predict", "p_y1_with_treatment", "p_y1_without_treatment")


class Outputs:
    """Reads the output buffer of one model, shape (rows, preds)."""

    def __init__(self, model: MojoModel, out: Doubles) -> None:
        self._model = model
        self._out = out
        self._labels = np.array(model.labels, dtype=object)
        self._prediction = self._reader()
        self._default = ((PREDICTION, self.metadata()[0].name),)
        self._wanted: dict[tuple[str, str], tuple[Wanted, ...]] = {("", ""): self._default}

    def wanted(self, h2o: str, outputs: str) -> tuple[Wanted, ...]:
        """What the request config ``h2o.outputs`` asks for, answered in the order of NAMES; or ``forestflow.outputs``,
        answered in its own, in which the prediction may have the name that the metadata gives it.
        """
        known = self._wanted.get((h2o, outputs))
        if known is None:
            aliases = {name: name for name in NAMES} | {self._default[0][1]: PREDICTION}
            asked = dict.fromkeys(name for part in (outputs or h2o).split(",") if (name := part.strip()))
            if unknown := [name for name in asked if name not in (aliases if outputs else NAMES)]:
                what = "outputs" if outputs else "h2o.outputs"
                raise InvalidInput(f"unknown {what} {', '.join(sorted(unknown))}; known are {', '.join(NAMES)}")
            order = asked if outputs else [name for name in NAMES if name in asked]
            known = tuple((aliases[name], name) for name in order) or self._default
            if len(self._wanted) < 64:
                self._wanted[h2o, outputs] = known
        return known

    def columns(self, rows: int, wanted: tuple[Wanted, ...], layout: Layout) -> tuple[Column, ...]:
        """The wanted columns of the first ``rows`` rows in the buffers. Nothing returned shares their memory.

        In RECORDS their fields are labels, features and the like; otherwise each has the name that was asked for.
        """
        if wanted is self._default and layout is Layout.RECORDS:
            return (self._prediction(self._out[:rows]),)
        columns: list[Column] = []
        for output, name in wanted:
            made = _MAKERS[output](self, rows)
            if layout is not Layout.RECORDS:  # a second column is that of calibrated probabilities
                made = [
                    Column(c.type, (part,), c.data) for part, c in zip((name, f"calibrated_{name}"), made, strict=False)
                ]
            columns += made
        return tuple(columns)

    def metadata(self) -> tuple[IOMetadata, ...]:
        """The prediction, as it is answered when a request asks for nothing else."""
        model = self._model
        if model.category in _CLASSIFIERS:
            return (IOMetadata(model.category, TensorType.String),)
        if model.category in _VECTORS:
            return (IOMetadata(model.category, TensorType.Float64, (model.preds,)),)
        if model.category == "Clustering":
            return (IOMetadata(model.category, TensorType.Int32),)
        fields = self._prediction(np.zeros((0, max(model.preds, 3)))).fields
        if len(fields) == 1:
            return (IOMetadata(fields[0], TensorType.Float64),)
        described = ",".join(f"{i}:{field}" for i, field in enumerate(fields))
        return (IOMetadata(model.category, TensorType.Float64, (len(fields),), f"[{described}]"),)

    def _reader(self) -> Callable[[Doubles], Column]:
        """How this model's category reads its prediction."""
        model = self._model
        category = model.category
        fields: tuple[str, ...] = (category,)
        if category in _CLASSIFIERS:
            labels = self._labels
            return lambda raw: Column(TensorType.String, fields, labels[raw[:, 0].astype(np.intp)])
        if category == "Clustering":
            return lambda raw: Column(TensorType.Int32, fields, raw[:, 0].astype(np.int32))
        if category in _VECTORS:
            return lambda raw: Column(TensorType.Float64, fields, raw.copy())
        if category == "AnomalyDetection":
            both = [model.preds - 1, model.preds - 2]
            return lambda raw: Column(TensorType.Float64, ("score", "normalizedScore"), raw[:, both])
        if category == "BinomialUplift":
            return lambda raw: Column(TensorType.Float64, UPLIFT_FIELDS, raw[:, :3].copy())
        if category == "TargetEncoder" and model.preds > 1:
            names = tuple(str(name) for name in model.scorer.targetEncodings())
            return lambda raw: Column(TensorType.Float64, names, raw.copy())
        if category == "TargetEncoder":
            fields = tuple(str(name) for name in model.scorer.targetEncodings())
        return lambda raw: Column(TensorType.Float64, fields, raw[:, 0].copy())

    def _predictions(self, rows: int) -> list[Column]:
        return [self._prediction(self._out[:rows])]

    def _probabilities(self, rows: int) -> list[Column]:
        model = self._model
        if model.category not in _CLASSIFIERS:
            raise NotImplementedByModel(f"a model of category {model.category} has no probabilities")
        plain = self._out[:rows, 1 : 1 + len(model.labels)].copy()
        columns = [Column(TensorType.Float64, tuple(f"p.{label}" for label in model.labels), plain)]
        if model.category == "Binomial" and model.scorer.calibrate(rows):
            fields = tuple(f"calibrated.{label}" for label in model.labels)
            columns.append(Column(TensorType.Float64, fields, self._out[:rows, 1 : 1 + len(model.labels)].copy()))
        return columns

    def _leaf_assignments(self, rows: int) -> list[Column]:
        names = self._names("leafNames", "leaf assignments")
        paths = str(self._model.scorer.leaves(rows)).split("\n")[:-1]
        return [Column(TensorType.String, names, _grid(paths, rows, names))]

    def _contributions(self, rows: int) -> list[Column]:
        names = self._names("contributionNames", "contributions")
        values: Any = np.asarray(self._model.scorer.contributions(rows), dtype=np.float64)
        return [Column(TensorType.Float64, names, values.reshape(rows, len(names)))]

    def _names(self, method: str, what: str) -> tuple[str, ...]:
        names = getattr(self._model.scorer, method)()
        if names is None:
            raise NotImplementedByModel(f"this {self._model.category} model has no {what}")
        return tuple(str(name) for name in names)


def _grid(paths: list[str], rows: int, names: tuple[str, ...]) -> npt.NDArray[Any]:
    grid = np.empty(len(paths), dtype=object)
    grid[:] = paths
    return grid.reshape(rows, len(names)) if len(names) > 1 else grid


_MAKERS: dict[str, Callable[[Outputs, int], list[Column]]] = {
    PREDICTION: Outputs._predictions,
    "probabilities": Outputs._probabilities,
    "leaf_assignments": Outputs._leaf_assignments,
    "contributions": Outputs._contributions,
}
