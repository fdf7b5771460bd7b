"""EasyPredictModelWrapper through JPype, row by row: what every answer of ours must equal bit for bit.

It is set up as the original ForestFlow did, and uses no Java of ours but the JVM.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jpype

from forestflow.domain.tensors import TensorType

_BOXES = {
    TensorType.String: "String",
    TensorType.Float64: "Double",
    TensorType.Float32: "Float",
    TensorType.Bool: "Boolean",
    TensorType.Int64: "Long",
    TensorType.Int32: "Integer",
    TensorType.Int16: "Short",
    TensorType.Int8: "Byte",
}


class Refused(Exception):
    """EasyPredict threw: the message names the Java class."""


def java_value(type_: TensorType, value: Any) -> Any:
    """A value as the original put it into ``RowData``."""
    box = _BOXES[type_]
    cls = jpype.JClass(f"java.lang.{box}")
    return cls(value) if box == "String" else cls.valueOf(value)


class EasyPredict:
    """One MOJO in one wrapper. ``labels`` are those of its response."""

    def __init__(self, path: Path, leaves: bool = False, contributions: bool = False) -> None:
        self.model = jpype.JClass("hex.genmodel.MojoModel").load(str(path), contributions)
        wrapper = jpype.JClass("hex.genmodel.easy.EasyPredictModelWrapper")
        config = wrapper.Config().setModel(self.model)
        config.setConvertUnknownCategoricalLevelsToNa(True).setConvertInvalidNumbersToNa(True)
        config.setEnableLeafAssignment(leaves).setEnableContributions(contributions)
        self.wrapper = wrapper(config)
        self.category = str(self.model.getModelCategory().name())
        self.row_data = jpype.JClass("hex.genmodel.easy.RowData")

    def predict(self, row: Mapping[str, Any], offset: float | None = None) -> Any:
        """The Java prediction object; ``row`` holds Java values (see :func:`java_value`)."""
        data = self.row_data()
        for name, value in row.items():
            data.put(name, value)
        if hasattr(self.model, "_rcnt"):
            self.model._rcnt = 0  # GLRM seeds a row by the number of rows before it
        try:
            if offset is None:
                return self.wrapper.predict(data)
            return getattr(self.wrapper, f"predict{self.category}")(data, offset)
        except jpype.JException as error:
            raise Refused(str(error)) from None

    def plain(self, row: Mapping[str, Any], offset: float | None = None) -> Any:
        """The prediction of one row as our answer's first column has it."""
        p = self.predict(row, offset)
        match self.category:
            case "Binomial" | "Multinomial" | "Ordinal":
                return str(p.label)
            case "Regression" | "CoxPH":
                return float(p.value)
            case "Clustering":
                return int(p.cluster)
            case "AutoEncoder":
                return list(map(float, p.reconstructed))
            case "DimReduction":
                return list(map(float, p.dimensions))
            case "AnomalyDetection":
                return [float(p.score), float(p.normalizedScore)]
            case "BinomialUplift":
                return list(map(float, p.predictions))
            case "TargetEncoder":
                return list(map(float, p.transformations))
        raise AssertionError(self.category)


def same(ours: Any, theirs: Any) -> bool:
    """Bitwise equality of values or lists of them; any NaN equals any other."""
    if isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(theirs, float):
        ours = float(ours)
        return (math.isnan(ours) and math.isnan(theirs)) or (ours.hex() == theirs.hex())
    return bool(ours == theirs)
