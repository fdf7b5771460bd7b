"""TensorFlow's and Keras' errors as ours: whose fault it was, without stack traces, node names and file paths."""

from __future__ import annotations

import re

import tensorflow as tf

from forestflow.domain.errors import ForestFlowError, InvalidInput, LoadFailed, ModelFailed

_MAX_LENGTH = 500
_MAX_SEARCHED = 4096
# What surrounds the one line that says what happened.
_NOISE = re.compile(r"\s+File |\s*$|<|Graph execution error|Detected at node|(Original s|S)tack trace|Node: ")
_NODE = re.compile(r"\s*(\[\[\{\{node .*?\}\}\]\]|\[Op:[^\]]*\]|\{\{function_node .*?\}\}|\{\{node .*?\}\})|\s+name: $")
_PATH = re.compile(r"(?<![\w.:/])(?:file://)?/(?:[^\s/'\":,;()<>]+/)+([^\s/'\":,;()<>]*)")
_HOST = re.compile(r" in binary running on \S+?\.(?=\s|$)")


def predict_failure(error: Exception) -> ForestFlowError:
    """InvalidInput for what the graph itself refuses in its inputs, ModelFailed for all else."""
    if isinstance(error, tf.errors.InvalidArgumentError | tf.errors.OutOfRangeError):
        return InvalidInput(f"the model refuses the inputs: {reason(error)}")
    return ModelFailed(f"the model failed: {type(error).__name__}: {reason(error)}")


def load_failure(name: str, error: Exception) -> LoadFailed:
    """Why the model ``name`` cannot be loaded."""
    return LoadFailed(f"{name} cannot be loaded: {reason(error) or type(error).__name__}")


def reason(error: Exception) -> str:
    """What TensorFlow says, in one line of at most 500 characters."""
    message = error.message if isinstance(error, tf.errors.OpError) else str(error)
    lines = [line.strip() for line in message.splitlines() if not _NOISE.match(line)]
    # The searches below take time by the square of what they get, and a message may hold a client's own text.
    said = " ".join(line for line in lines if line)[:_MAX_SEARCHED]
    text = _HOST.sub(".", _NODE.sub("", said))
    text = _PATH.sub(r"\1", text).strip()
    return text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]}…"
