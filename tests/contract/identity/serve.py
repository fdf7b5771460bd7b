"""A model with an input of every type that ForestFlow knows, alone and in pairs, which it gives back."""

from __future__ import annotations

import numpy as np

DTYPES = {
    "Float16": np.float16,
    "Float32": np.float32,
    "Float64": np.float64,
    "Int8": np.int8,
    "Int16": np.int16,
    "Int32": np.int32,
    "Int64": np.int64,
    "UInt8": np.uint8,
    "UInt16": np.uint16,
    "UInt32": np.uint32,
    "UInt64": np.uint64,
    "Bool": np.bool_,
    "String": np.object_,
    "Bytes": np.object_,
}


class Predict:
    inputs = "columns"
    batched = True
    methods = ("cast",)

    def __init__(self):
        tensors = [
            {"name": f"{type_}{suffix}", "type": type_, "shape": shape}
            for type_ in DTYPES
            for suffix, shape in (("", []), ("_pair", [2]))
        ]
        self.metadata = {"inputs": tensors, "outputs": tensors}

    def predict(self, inputs):
        """As they came, in the type in which they came."""
        return inputs

    def cast(self, inputs):
        """In the types of the metadata, for protocols whose requests name none."""
        return {name: values.astype(DTYPES[name.removesuffix("_pair")]) for name, values in inputs.items()}
