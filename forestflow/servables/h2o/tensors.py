"""From the tensors of a protocol that has tensors to the fields that an H2O model knows."""

from __future__ import annotations

from collections.abc import Mapping

from forestflow.domain.errors import InvalidInput
from forestflow.domain.tensors import Batch, Column, Layout, TensorType
from forestflow.servables.h2o.inputs import InputRows

_TEXTS = frozenset({TensorType.String, TensorType.Bytes})


def records_of(inputs: InputRows, batch: Batch) -> Batch:
    """Return the values of tensors as fields; none is copied.

    A tensor is one of the metadata's inputs ("categorical" or "numeric", or by its type where it has no name), shape
    (rows, fields), the fields in the metadata's order; or it is named like a field, shape (rows,) or (rows, 1). A
    field that no tensor has is missing in every row. Raises InvalidInput, UnknownInputs.
    """
    groups = {"categorical": inputs.categorical, "numeric": inputs.numeric}
    if batch.layout is Layout.WHOLE and batch.columns:
        _refuse_unknown(inputs, groups, batch)
        raise InvalidInput("the tensors have different numbers of rows, or one is a scalar")
    if not batch.rows or not batch.columns:
        raise InvalidInput("No input data provided")
    seen: set[str] = set()
    columns = []
    for column in batch.columns:
        (name,) = column.fields
        if inputs.knows(name):
            fields: tuple[str, ...] = (name,)
        elif name in inputs.ignored:
            continue
        else:
            name = name or ("categorical" if column.type in _TEXTS else "numeric")
            fields = groups.get(name, ())
            if not fields:
                _refuse_unknown(inputs, groups, batch)
                raise InvalidInput(f"there is no input {name!r}; {inputs.expected()}")
        if twice := seen.intersection(fields):
            raise InvalidInput(f"two tensors have values of {sorted(twice)[0]!r}")
        seen.update(fields)
        shape = column.data.shape
        if len(shape) > 2 or (shape[1] if len(shape) == 2 else 1) != len(fields):
            raise InvalidInput(
                f"input {name!r} takes the shape {[-1, len(fields)]}, {len(fields)} values in each row, "
                f"got {column.type.name} of shape {list(shape)}; {inputs.expected()}"
            )
        columns.append(Column(column.type, fields, column.data))
    for name, fields in groups.items():
        if fields and not seen.intersection(fields):
            if not columns:  # nothing but what scoring ignores
                raise inputs.unknown([column.fields[0] for column in batch.columns])
            raise InvalidInput(f"input {name!r} is missing; {inputs.expected()}")
    return Batch(batch.rows, tuple(columns))


def _refuse_unknown(inputs: InputRows, groups: Mapping[str, tuple[str, ...]], batch: Batch) -> None:
    names = [column.fields[0] for column in batch.columns]
    strange = [name for name in names if name and not inputs.knows(name) and not groups.get(name)]
    if unknown := [name for name in strange if name not in inputs.ignored]:
        raise inputs.unknown(unknown if len(strange) < len(names) else strange)
