"""Columns of numbers that stand for classes: described in the metadata, named in answers to records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from forestflow.domain.tensors import Batch, Column, Layout


def described(labels: Iterable[object]) -> str:
    """The labels with their places, as the metadata of H2O models lists fields: ``[0:cat,1:dog]``."""
    return "[" + ",".join(f"{i}:{label}" for i, label in enumerate(labels)) + "]"


def named(answer: Batch, labels: Mapping[str, tuple[str, ...]]) -> Batch:
    """For answers in records: the columns of the outputs in ``labels``, by output name, get a field for each label."""
    if answer.layout is not Layout.RECORDS or not labels:
        return answer
    columns = []
    for column in answer.columns:
        fields = labels.get(column.fields[0], ())
        fits = column.data.ndim == 2 and column.data.shape[1] == len(fields)
        columns.append(Column(column.type, fields, column.data) if fits else column)
    return Batch(answer.rows, tuple(columns))
