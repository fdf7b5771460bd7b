"""SavedModels: the MetaGraph that the tags choose, and every signature of it.

What a signature takes and gives is read from its SignatureDef, which TensorFlow 1 and 2 write alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf import text_format
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from forestflow.domain.errors import LoadFailed
from forestflow.domain.requests import TensorFlow
from forestflow.servables.tensorflow.failures import load_failure
from forestflow.servables.tensorflow.model import Function, Model, Spec, describe

_METHODS = "tensorflow/serving/"


def load_saved_model(path: Path, flavor: TensorFlow) -> Model:
    """Raises :class:`~forestflow.domain.errors.LoadFailed`."""
    graph = _meta_graph(path, flavor.tags)
    try:
        loaded = tf.saved_model.load(str(path), tags=list(graph.meta_info_def.tags))
        callables = dict(loaded.signatures)
    except Exception as error:
        raise load_failure(path.name, error) from error
    functions, odd = {}, {}
    for name, call in callables.items():
        signature = graph.signature_def[name]
        if problem := _problem({**signature.inputs, **signature.outputs}):
            odd[name] = problem
            continue
        functions[name] = Function(
            call,
            _specs(signature.inputs),
            _specs(signature.outputs),
            signature.method_name.removeprefix(_METHODS) or "predict",
        )
    return describe(functions, flavor.signature, loaded, odd)


def _meta_graph(path: Path, tags: Iterable[str]) -> Any:
    wanted = set(tags)
    graphs = list(_read(path).meta_graphs)
    matching = [graph for graph in graphs if set(graph.meta_info_def.tags) == (wanted or {"serve"})]
    if not matching and not wanted and len(graphs) == 1:
        return graphs[0]
    if not matching:
        found = "; ".join(" ".join(graph.meta_info_def.tags) or "(none)" for graph in graphs)
        raise LoadFailed(
            f"{path.name} has no MetaGraph with the tags {' '.join(sorted(wanted)) or 'serve'}; "
            f"those that it has are tagged: {found or 'it has none'}"
        )
    return matching[0]


def _read(path: Path) -> Any:
    proto, text = SavedModel(), path / "saved_model.pbtxt"
    try:
        if text.exists() and not (path / "saved_model.pb").exists():
            text_format.Parse(text.read_bytes(), proto)
        else:
            proto.ParseFromString((path / "saved_model.pb").read_bytes())
    except (DecodeError, text_format.ParseError, OSError) as error:
        raise load_failure(path.name, error) from error
    return proto


def _problem(tensors: dict[str, Any]) -> str | None:
    for name, info in tensors.items():
        if (encoding := info.WhichOneof("encoding")) not in ("name", None):
            kind = "sparse" if encoding == "coo_sparse" else "ragged or composite"
            return f"tensor {name!r} is {kind}; clients send and read dense tensors"
    return None


def _specs(tensors: Any) -> tuple[Spec, ...]:
    """Return the tensors in the order of their names, because a SignatureDef has none."""
    return tuple(
        Spec(name, tf.as_dtype(tensors[name].dtype), tf.TensorShape(tensors[name].tensor_shape))
        for name in sorted(tensors)
    )
