import numpy as np

from forestflow.domain.tensors import DTYPES, Batch, Column, TensorType, concat


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
