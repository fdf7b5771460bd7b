import numpy as np
import pytest

from forestflow.domain.errors import ModelFailed
from forestflow.domain.tensors import DTYPES, Batch, Column, Layout, TensorType, concat, joined


def batch(values):
    data = np.asarray(values, np.float64)
    return Batch(len(data), (Column(TensorType.Float64, ("a", "b"), data),))


def test_every_type_has_a_dtype():
    assert set(DTYPES) == set(TensorType)


def test_concat_and_slice_are_inverse():
    parts = [batch([[1, 2]]), batch([[3, 4], [5, 6]])]
    assert parts[0].signature == parts[1].signature
    whole = concat(parts)
    assert whole.rows == 3
    assert whole.slice(1, 3).columns[0].data.tolist() == [[3, 4], [5, 6]]
    assert whole.slice(2, 99).rows == 1
    assert concat(parts[:1]) is parts[0]


def test_signature_tells_types_fields_and_shapes_apart():
    one = batch([[1, 2]])
    other_fields = Batch(1, (Column(TensorType.Float64, ("a", "c"), one.columns[0].data),))
    other_type = Batch(1, (Column(TensorType.Float32, ("a", "b"), one.columns[0].data),))
    other_shape = Batch(1, (Column(TensorType.Float64, ("a",), np.zeros((1, 3))),))
    assert len({b.signature for b in (one, other_fields, other_type, other_shape)}) == 4


def part(layout=Layout.TENSORS, **columns):
    """An answer of named outputs, each ``(type, values)``."""
    made = [
        Column(TensorType[kind], (name,), np.array(data, DTYPES[TensorType[kind]]))
        for name, (kind, data) in columns.items()
    ]
    return Batch(len(made[0].data), tuple(made), layout)


@pytest.mark.parametrize(
    ("one", "other", "kind"),
    [
        (("Int64", [300]), ("Float64", [300.5]), "Float64"),
        (("Float64", [0.5]), ("Int64", [2**60]), "Float64"),
        (("Bool", [True]), ("Int64", [2]), "Int64"),
        (("Bool", [True]), ("Float32", [0.5]), "Float32"),
        (("Int8", [-1]), ("UInt8", [200]), "Int16"),
        (("Float32", [0.1]), ("Float64", [0.1]), "Float64"),
        (("Int64", [1]), ("UInt64", [2**64 - 1]), "UInt64"),
        (("Int64", []), ("UInt64", [2**64 - 1]), "UInt64"),
    ],
)
def test_parts_of_different_numbers_become_one_type_that_holds_them(one, other, kind):
    for order in ([one, other], [other, one]):
        (column,) = joined([part(y=values) for values in order]).columns
        assert column.type is TensorType[kind]
        assert column.data.dtype == DTYPES[TensorType[kind]]
        whole = [value for _, values in order for value in np.array(values, DTYPES[TensorType[_]]).tolist()]
        assert column.data.tolist() == whole


def test_parts_are_joined_by_name():
    whole = joined([part(a=("Int64", [1]), b=("String", ["x"])), part(b=("String", ["y"]), a=("Int64", [2]))])
    assert [(c.fields, c.data.tolist()) for c in whole.columns] == [(("a",), [1, 2]), (("b",), ["x", "y"])]
    assert (whole.rows, whole.layout) == (2, Layout.TENSORS)
    alone = part(a=("Int64", [1]))
    assert joined([alone]) is alone


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (part(y=("Int64", [1]), late=("Int64", [1])), "different outputs"),
        (part(z=("Int64", [1])), "output 'y' is only in some parts"),
        (part(y=("Int64", [[1, 2]])), r"output 'y' has rows of the shapes \[\] and \[2\]"),
        (part(y=("String", ["a"])), "output 'y' has rows of the types Int64, String"),
        (part(Layout.WHOLE, y=("Int64", [1])), "different outputs"),
        (part(y=("UInt64", [2**64 - 1])), "output 'y' has rows of the types Int64, UInt64"),
    ],
)
def test_parts_that_do_not_fit_are_an_error(other, why):
    with pytest.raises(ModelFailed, match=why):
        joined([part(y=("Int64", [-1])), other])
