"""The params of an MLmodel signature: typed values beside the inputs, given in a request's configs.

A config of a param's name holds a text for params of texts and datetimes, JSON for others; ``forestflow.params`` holds
JSON of several by name, in which a text is never taken for a number.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import orjson

from forestflow.domain.errors import ArtifactRejected, InvalidInput
from forestflow.domain.requests import OUTPUTS_KEY, PARAMS_KEY, SIGNATURE_KEY
from forestflow.servables.mlmodel.types import Misfit, Object, Scalar, Type, described, loads, moment, parse

_OURS = "forestflow."
# What the clients of KServe, Triton and MLServer say of a request in its parameters; no model is meant.
_OF_CLIENTS = frozenset(
    {
        "binary_data_output",
        "content_type",
        "headers",
        "priority",
        "sequence_end",
        "sequence_id",
        "sequence_start",
        "timeout",
    }
)


_WIDE = {"float": "double", "integer": "long"}  # params are Python's numbers: MLflow narrows none


@dataclass(frozen=True, slots=True)
class Param:
    """One of a signature's. ``many``: a list of values of the type."""

    name: str
    type: Type
    many: bool
    default: Any

    def __str__(self) -> str:
        return f"{self.name!r} ({'array of ' if self.many else ''}{self.type})"

    def of_text(self, text: str) -> Any:
        """From a config. Raises Misfit."""
        if not self.many and isinstance(self.type, Scalar) and self.type.name in ("string", "datetime"):
            return self.read(text)
        try:
            value = loads(text)
        except orjson.JSONDecodeError:
            raise Misfit(f"{text[:40]!r} is not JSON") from None
        return self.read(value)

    def read(self, value: Any) -> Any:
        """From a JSON value, as MLflow types params: null is a value, too. Raises Misfit."""
        if not self.many:
            return self._one(value)
        if type(value) is not list:
            raise Misfit(f"expected a list, got {described(value)}")
        return [self._one(one) for one in value]

    def _one(self, value: Any) -> Any:
        if isinstance(self.type, Scalar):
            if self.type.name == "datetime" and type(value) is str:
                return moment(value, zones=True)
            return Scalar(_WIDE.get(self.type.name, self.type.name)).read(value, required=False)
        return self.type.read(value)


class Params:
    """All params of a signature (:class:`~forestflow.servables.estimators.inputs.Options`)."""

    def __init__(self, each: tuple[Param, ...]) -> None:
        self._each = {param.name: param for param in each}

    @classmethod
    def of(cls, signature: Mapping[str, Any]) -> Params | None:
        """Read the params that a signature declares; ``None`` if it declares none. Raises ArtifactRejected."""
        text = signature.get("params")
        if not text:
            return None
        try:
            entries = json.loads(text) if isinstance(text, str) else text
            each = tuple([_param(entry) for entry in entries])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, Misfit) as error:
            raise ArtifactRejected(f"the params of the MLmodel file cannot be read: {error}") from None
        return cls(each) if each else None

    def key(self, configs: Mapping[str, str]) -> Hashable:
        """Equal for requests that have the same params."""
        return tuple(sorted((k, v) for k, v in configs.items() if k != SIGNATURE_KEY and k != OUTPUTS_KEY))

    def read(self, configs: Mapping[str, str]) -> dict[str, Any]:
        """Values of all params by name, defaults where the request has none.

        Raises InvalidInput for names that are none of them, and for values of a wrong type.
        """
        given: dict[str, Any] = {}
        for name, text in configs.items():
            param = self._each.get(name)
            if param is not None:
                given[name] = self._value(param, Param.of_text, text)
            elif not name.startswith(_OURS) and name not in _OF_CLIENTS:
                raise self._unknown(name)
        for name, value in _document(configs.get(PARAMS_KEY, "")).items():
            param = self._each.get(name)
            if param is None:
                raise self._unknown(name)
            if name in given:
                raise InvalidInput(f"param {name!r} is given twice")
            given[name] = self._value(param, Param.read, value)
        return {name: given[name] if name in given else deepcopy(param.default) for name, param in self._each.items()}

    @staticmethod
    def _value(param: Param, read: Any, value: Any) -> Any:
        try:
            return read(param, value)
        except Misfit as error:
            raise InvalidInput(f"param {param}: {error}") from None

    def _unknown(self, name: str) -> InvalidInput:
        return InvalidInput(f"the model has no param {name!r}; it has {', '.join(map(str, self._each.values()))}")


def _document(text: str) -> dict[str, Any]:
    if not text:
        return {}
    try:
        document = loads(text)
    except orjson.JSONDecodeError:
        raise InvalidInput("the params of the request are not JSON") from None
    except Misfit as error:
        raise InvalidInput(f"the params of the request: {error}") from None
    if type(document) is not dict:
        raise InvalidInput(f"the params of the request must be an object, got {described(document)}")
    return document


def _param(entry: Mapping[str, Any]) -> Param:
    """An entry has a ``dtype`` in place of ``type`` in older files."""
    shape = entry.get("shape")
    if shape not in (None, [-1]):
        raise ValueError(f"param {entry['name']!r} has the shape {shape}; expected none, or [-1]")
    declared = parse({**entry, "type": entry.get("type") or entry["dtype"]})
    if not isinstance(declared, Scalar | Object):
        raise ValueError(f"param {entry['name']!r} is of the type {declared}")
    param = Param(str(entry["name"]), declared, shape is not None, None)
    return Param(param.name, declared, param.many, param.read(entry["default"]))
