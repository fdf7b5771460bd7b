"""Python values ↔ BASIC inference requests and predictions, without numpy: what `Client.score` sends and reads."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from forestflow.sdk.errors import address_of

Row = Mapping[str, Any]

# Key of a tensor in a datum, where it differs from the type's name in the schema.
_TENSOR_KEY = {"Bytes": "Byte"}


@dataclass(frozen=True, slots=True)
class Prediction:
    """An answer: which release gave it, and one dict of output values per row.

    ``raw`` is the server's JSON, parsed; ``request_id`` finds the request in the server's log. ``unknown_fields`` are
    those of the request that the model does not have, where its release reports them.
    """

    release: str
    rows: list[dict[str, Any]]
    request_id: str
    raw: dict[str, Any]
    unknown_fields: tuple[str, ...] = ()


def rows_of(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Columns of equal length as rows. Raises ValueError."""
    lists = {name: _plain(values) for name, values in columns.items()}
    lengths = {name: len(values) for name, values in lists.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"columns differ in length: {lengths}")
    return [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)]


def basic_request(
    rows: Sequence[Row], *, configs: Mapping[str, str] | None = None, types: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """A BASIC request of these rows, which all have the fields of the first.

    The type of a field follows from its values: str → String, bool → Bool, bytes → Bytes, numbers → Float64 when any
    scalar field of the rows has a float, else Int64; ``types`` overrides it by field (``{"age": "Int32"}``). Scalar
    fields of one type share a schema entry; a field of lists gets its own. Raises ValueError for rows that do not
    agree.
    """
    if not rows:
        raise ValueError("there are no rows to score")
    plain = [{name: _plain(value) for name, value in row.items()} for row in rows]
    names = list(plain[0])
    for position, row in enumerate(plain):
        if row.keys() != plain[0].keys():
            odd = sorted(row.keys() ^ plain[0].keys())
            raise ValueError(f"row {position} differs from row 0 in the fields {odd}; every row needs the same fields")
    groups = _groups(names, plain, types or {})
    request: dict[str, Any] = {
        "schema": [{"type": type_, "fields": fields} for type_, fields in groups],
        "datum": [{"tensors": [_tensor(type_, fields, row) for type_, fields in groups]} for row in plain],
    }
    if configs:
        request["configs"] = dict(configs)
    return request


def prediction(raw: dict[str, Any], request_id: str, unknown_fields: str | None = None) -> Prediction:
    """Read a ``{"Prediction": …}`` answer; ``unknown_fields`` is its header of that name."""
    body = raw["Prediction"]
    schema = body.get("schema", [])
    rows = []
    for datum in body.get("datum", []):
        row: dict[str, Any] = {}
        for entry, tensor in zip(schema, datum.get("tensors", []), strict=True):
            data = next(iter(tensor.values())).get("data", []) if tensor else []
            fields = entry["fields"]
            if entry["type"] == "Int64":
                data = [int(value) for value in data]
            if len(fields) == 1:
                row[fields[0]] = data[0] if len(data) == 1 else data
            else:
                row.update(zip(fields, data, strict=True))
        rows.append(row)
    unknown = tuple([unquote(name) for name in unknown_fields.split(",")]) if unknown_fields else ()
    return Prediction(address_of(body), rows, request_id, raw, unknown)


def _groups(names: list[str], rows: list[dict[str, Any]], types: Mapping[str, str]) -> list[tuple[str, list[str]]]:
    shared: dict[str, list[str]] = {}
    groups: list[tuple[str, list[str]]] = []
    columns = {name: [row[name] for row in rows] for name in names}
    scalars = {name for name in names if not any(isinstance(value, list) for value in columns[name])}
    found = {name: types.get(name) or _type_of(name, columns[name]) for name in names}
    # 30 beside 33.2 is a number like it: a model whose inputs are all numeric takes them as one tensor
    floats = any(found[name] == "Float64" for name in scalars)
    for name in names:
        type_ = found[name]
        if floats and type_ == "Int64" and name in scalars and name not in types:
            type_ = "Float64"
        if name not in scalars:
            groups.append((type_, [name]))
        elif type_ in shared:
            shared[type_].append(name)
        else:
            shared[type_] = [name]
            groups.append((type_, shared[type_]))
    return groups


def _type_of(name: str, values: list[Any]) -> str:
    kinds = {type(scalar) for value in values for scalar in _scalars(value)}
    if kinds <= {str}:
        return "String"
    if kinds == {bool}:
        return "Bool"
    if kinds == {int}:
        return "Int64"
    if kinds <= {int, float}:
        return "Float64"
    if kinds == {bytes}:
        return "Bytes"
    raise ValueError(f"field {name!r} holds {', '.join(sorted(kind.__name__ for kind in kinds))}: no tensor has that")


def _tensor(type_: str, fields: list[str], row: Row) -> dict[str, Any]:
    data = [_wire(scalar) for name in fields for scalar in _scalars(row[name])]
    return {_TENSOR_KEY.get(type_, type_): {"data": data}}


def _scalars(value: Any) -> list[Any]:
    if isinstance(value, list):
        return [scalar for part in value for scalar in _scalars(part)]
    return [value]


def _plain(value: Any) -> Any:
    """Arrays and numbers of numpy and its kin as Python's own, tuples as lists."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value


def _wire(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and value != value:
        return "NaN"
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return value
