"""What a function answers, as arrays that protocols have.

Objects, and lists in a DataFrame, become texts of JSON, datetimes texts of ISO 8601.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from forestflow.domain.errors import ModelFailed

Array = npt.NDArray[Any]

_JSON = (list, dict)
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def arrays_of(answer: Any) -> Any:
    """Arrays by name of a DataFrame or a dict, otherwise one array. Raises ModelFailed for what cannot be JSON."""
    if hasattr(answer, "columns") and hasattr(answer, "to_numpy"):  # a DataFrame
        return {str(name): _array(answer[name].to_numpy()) for name in answer.columns}
    if isinstance(answer, Mapping):
        return {name: _array(values) for name, values in answer.items()}
    return _array(answer)


def _array(values: Any) -> Array:
    array = np.asarray(values)
    if array.dtype.kind == "M":
        texts = np.datetime_as_string(array).astype(object)
        texts[np.isnat(array)] = ""
        return texts
    if array.dtype != object or not any(isinstance(value, _JSON) for value in array.flat):
        return array
    texts = np.empty(array.size, object)
    texts[:] = [_text(value) for value in array.flat]
    return texts.reshape(array.shape)


def _text(value: Any) -> str:
    try:
        return orjson.dumps(value, default=_plain, option=_OPTIONS).decode()
    except orjson.JSONEncodeError as error:
        raise ModelFailed(f"the model's output cannot be written as JSON: {error}") from None


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):  # pandas' are of classes of their own
        return value.isoformat()
    raise TypeError(f"a {type(value).__name__} is no JSON")
