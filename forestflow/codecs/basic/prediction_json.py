"""The JSON of a Prediction: the same bytes per row but for the numbers, so nearly all of it is made once per schema.

orjson prints a column as ``[[1.5,2.5],[3.5,4.5]]``; replacing each ``],[`` by the text between two rows gives the
datums without a step of Python per row. Numbers hold neither brackets nor commas, which makes the replacement safe;
strings may, and are printed one row at a time.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from forestflow.domain.errors import ModelFailed
from forestflow.domain.ids import Fqrv
from forestflow.domain.tensors import DTYPES, Batch, Column, TensorType

_MAX_LAYOUTS = 64
_BETWEEN = b"],["  # two rows, as orjson prints a two-dimensional array
_FLOATS = frozenset({TensorType.Float16, TensorType.Float32, TensorType.Float64})
_LONG = frozenset({TensorType.Int64, TensorType.UInt64})  # printed as strings, as protobuf's JSON has them
_OBJECTS = frozenset({TensorType.String, TensorType.Bytes})
_KEYS = {kind: "Byte" if kind is TensorType.Bytes else kind.name for kind in TensorType}


@dataclass(frozen=True, slots=True)
class _Layout:
    """The constant text of predictions with one output schema."""

    head: bytes  # up to the datums
    row: bytes  # one datum; %b stands for the values of each tensor
    first: bytes  # for a single column: head and the text before the first row,
    between: bytes  # the text between two rows,
    last: bytes  # and all after the last


class PredictionEncoder:
    """Encodes predictions of one release."""

    def __init__(self, fqrv: Fqrv) -> None:
        self._fqrv = _fqrv(fqrv)
        self._layouts: dict[tuple[tuple[int, tuple[str, ...]], ...], _Layout] = {}

    def encode(self, batch: Batch, context: None = None) -> bytes:
        """``{"Prediction":{"fqrv":…,"schema":[…],"datum":[…]}}``, compact.

        Raises :class:`ModelFailed` for a String column that holds anything else than ``str``, and the like.
        """
        columns = batch.columns
        layout = self._layout(columns)
        if not batch.rows:
            return layout.head + b"}}"
        if len(columns) == 1:
            text = _joined(columns[0], batch.rows, layout.between)
            if text is not None:
                return b"".join((layout.first, text, layout.last))
        return self._encode_rows(batch, layout)

    def encode_parts(self, batch: Batch, ends: Sequence[int]) -> list[bytes]:
        """Encode one prediction for each part of a batch; a part ends at each of ``ends``, and the next begins there.

        Printing the numbers of all parts at once saves 2 us for each part of two rows. Raises :class:`ModelFailed`.
        """
        columns = batch.columns
        starts = [0, *ends[:-1]]
        if len(columns) != 1 or columns[0].data.size == 0:
            return [self.encode(batch.slice(start, end)) for start, end in zip(starts, ends, strict=True)]
        layout = self._layout(columns)
        first, between, last = layout.first, layout.between, layout.last
        rows = _rows(columns[0], batch.rows)
        return [first + between.join(rows[start:end]) + last for start, end in zip(starts, ends, strict=True)]

    def encode_records(
        self, batch: Batch, releases: Sequence[Fqrv], owners: Sequence[int], context: None = None
    ) -> bytes:
        """Encode a prediction with ``recordFqrvs``: record ``i`` was answered by ``releases[owners[i]]``."""
        names = [orjson.dumps(_fqrv(release)) for release in releases]
        return b"".join(
            (self.encode(batch)[:-2], b',"recordFqrvs":[', b",".join([names[owner] for owner in owners]), b"]}}")
        )

    def _layout(self, columns: tuple[Column, ...]) -> _Layout:
        key = tuple([(c.type.__index__(), c.fields) for c in columns])
        return self._layouts.get(key) or self._new_layout(key, columns)

    def _new_layout(self, key: Any, columns: tuple[Column, ...]) -> _Layout:
        schema = [{"type": c.type.name, **({"fields": c.fields} if c.fields else {})} for c in columns]
        head = orjson.dumps({"Prediction": {"fqrv": self._fqrv, **({"schema": schema} if schema else {})}})[:-2]
        tensors = ",".join(f'{{"{_KEYS[c.type]}":{{%b}}}}' for c in columns)
        row = f'{{"tensors":[{tensors}]}}'.encode() if columns else b"{}"
        before, _, after = row.replace(b"%b", b'"data":[%b]', 1).partition(b"%b")
        layout = _Layout(
            head,
            row,
            head + b',"datum":[' + before,
            after + b"," + before,
            after + b"]}}",
        )
        if len(self._layouts) >= _MAX_LAYOUTS:
            self._layouts.clear()
        self._layouts[key] = layout
        return layout

    def _encode_rows(self, batch: Batch, layout: _Layout) -> bytes:
        """Any number of columns of any width: the rows are put together one by one, still in C."""
        parts = zip(*[_members(column, batch.rows) for column in batch.columns], strict=True)
        rows = map(layout.row.__mod__, parts) if batch.columns else [layout.row] * batch.rows
        return b"".join((layout.head, b',"datum":[', b",".join(rows), b"]}}"))


def _fqrv(fqrv: Fqrv) -> dict[str, Any]:
    contract = fqrv.contract
    return {
        "contract": {
            "organization": contract.organization,
            "project": contract.project,
            "contractNumber": contract.contract_number,
        },
        "releaseVersion": fqrv.release_version,
    }


def _matrix(column: Column, rows: int) -> npt.NDArray[Any]:
    """The column as a C-contiguous ``(rows, k)`` array of its type's dtype."""
    return np.ascontiguousarray(column.data, dtype=DTYPES[column.type]).reshape(rows, -1)


def _joined(column: Column, rows: int, between: bytes) -> bytes | None:
    """The values of all rows with ``between`` between two rows; None for rows without values."""
    if column.data.size == 0:
        return None
    if column.type in _OBJECTS:
        return between.join(_objects(column, rows))
    return _numbers(column.type, _matrix(column, rows)).replace(_BETWEEN, between)


def _members(column: Column, rows: int) -> list[bytes]:
    """Per row, the JSON member that holds its values; nothing for a row without values, as protobuf prints it."""
    if column.data.size == 0:
        return [b""] * rows
    return [b'"data":[%b]' % values for values in _rows(column, rows)]


def _rows(column: Column, rows: int) -> list[bytes]:
    """Print the values of each row, of which there is at least one, separated by commas."""
    if column.type in _OBJECTS:
        return _objects(column, rows)
    return _numbers(column.type, _matrix(column, rows)).split(_BETWEEN)


def _numbers(kind: TensorType, matrix: npt.NDArray[Any]) -> bytes:
    """The rows' numbers, rows separated by ``],[``: 64-bit integers as strings, all else as JSON numbers."""
    text = orjson.dumps(matrix, option=orjson.OPT_SERIALIZE_NUMPY)[2:-2]
    if kind in _LONG:
        return b'"%b"' % text.replace(b",", b'","').replace(b']","[', b'"],["')
    if b"null" in text and kind in _FLOATS:
        return _name_non_finite(text, matrix)
    return text


def _name_non_finite(text: bytes, matrix: npt.NDArray[Any]) -> bytes:
    """Put protobuf's names of NaN and the infinities where orjson printed null."""
    named = [
        b'"NaN"' if np.isnan(value) else b'"Infinity"' if value > 0 else b'"-Infinity"'
        for value in matrix[~np.isfinite(matrix)]
    ]
    finite = text.split(b"null")
    return b"".join(part for pair in zip(finite, [*named, b""], strict=True) for part in pair)


def _objects(column: Column, rows: int) -> list[bytes]:
    """Per row, its strings (or base64 of its bytes), separated by commas."""
    wanted = bytes if column.type is TensorType.Bytes else str
    flat = column.data.reshape(-1).tolist()
    for found in set(map(type, flat)):
        if not issubclass(found, wanted):
            raise ModelFailed(f"the model's {column.type.name} output {column.fields} holds a {found.__name__}")
    if wanted is bytes:
        flat = [base64.b64encode(value).decode() for value in flat]
    try:
        values = list(map(orjson.dumps, flat))
    except orjson.JSONEncodeError as error:  # a lone surrogate
        raise ModelFailed(f"the model's String output {column.fields} is not text: {error}") from None
    width = len(values) // rows
    if width == 1:
        return values
    return [b",".join(values[i : i + width]) for i in range(0, len(values), width)]
