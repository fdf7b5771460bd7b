"""SavedModels through the servable, equal to TensorFlow's own call of the same signature, dtype for dtype."""

import numpy as np
import pytest

from forestflow.domain.errors import InvalidInput, LoadFailed, ModelFailed
from forestflow.domain.requests import OUTPUTS_KEY
from forestflow.domain.tensors import IOMetadata, TensorType
from tests.unit.servables.tensorflow.conftest import answers, column, records, tensors, whole

pytestmark = [pytest.mark.slow]

NUMERIC = ["Float16", "Float32", "Float64", "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64"]


def save(tf, path, **functions):
    """A module whose signatures are ``name=(function, {input: (dtype, shape)})``."""
    module = tf.Module()
    signatures = {}
    for name, (function, inputs) in functions.items():
        specs = {key: tf.TensorSpec(shape, dtype, name=key) for key, (dtype, shape) in inputs.items()}
        made = tf.function(function, autograph=False)
        setattr(module, name, made)
        signatures[name] = made.get_concrete_function(**specs)
    tf.saved_model.save(module, str(path), signatures=signatures)
    return tf.saved_model.load(str(path)).signatures


def mlp(tf, path):
    class Mlp(tf.Module):
        def __init__(self):
            super().__init__()
            self.w = tf.Variable(tf.random.stateless_normal([4, 3], seed=[1, 2]))

        @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
        def __call__(self, x):
            logits = x @ self.w
            return {"logits": logits, "best": tf.argmax(logits, axis=1)}

    module = Mlp()
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.__call__})
    return tf.saved_model.load(str(path)).signatures["serving_default"]


def test_rows_equal_tensorflows_own_call(tf, tmp_path, load):
    own = mlp(tf, tmp_path)
    servable = load(warm=True)
    rows = np.random.default_rng(3).normal(size=(5, 4)).astype(np.float32)
    expected = own(x=tf.constant(rows))
    for batch in (records(column("Float32", "x", rows)), tensors(column("Float32", "", rows))):
        found = answers(servable, batch)
        assert found["logits"].type is TensorType.Float32
        assert found["best"].type is TensorType.Int64
        for name, value in expected.items():
            assert found[name].data.dtype == value.numpy().dtype
            assert np.array_equal(found[name].data, value.numpy())
    assert servable.metadata.inputs == (IOMetadata("x", TensorType.Float32, (4,)),)
    assert {io.name: (io.type, io.shape) for io in servable.metadata.outputs} == {
        "logits": (TensorType.Float32, (3,)),
        "best": (TensorType.Int64, ()),
    }
    assert servable.slice_rows > 64
    assert servable.merge_key({}) is not None


def test_only_the_wanted_outputs_are_computed(tf, tmp_path, load):
    def lazy(x):
        return {"plain": x + 1, "dear": tf.reshape(x, [-1, 2])[:, 0]}  # fails where the number of rows is odd

    save(tf, tmp_path, serving_default=(lazy, {"x": ("float32", [None])}))
    servable = load()
    batch = records(column("Float32", "x", [[1], [2], [3]]))
    assert answers(servable, batch, **{OUTPUTS_KEY: "plain"})["plain"].data.tolist() == [2, 3, 4]
    with pytest.raises(InvalidInput, match=r"the model refuses the inputs: .*multiple of 2"):
        servable.predict(batch, {})


@pytest.mark.parametrize("kind", NUMERIC)
def test_every_number_arrives_as_it_was_sent(tf, tmp_path, load, kind):
    dtype = tf.as_dtype(np.dtype(kind.lower()))
    save(tf, tmp_path, serving_default=(lambda x: {"y": tf.identity(x)}, {"x": (dtype, [None])}))
    limits = np.iinfo(dtype.as_numpy_dtype) if dtype.is_integer else np.finfo(dtype.as_numpy_dtype)
    values = np.array([limits.min, 1, limits.max], dtype=dtype.as_numpy_dtype)
    (found,) = answers(load(), records(column(kind, "x", values[:, None]))).values()
    assert found.type is TensorType[kind]
    assert found.data.tolist() == values.tolist()


def test_bfloat16_is_float32_to_clients(tf, tmp_path, load):
    own = save(tf, tmp_path, serving_default=(lambda x: {"y": x * 3}, {"x": ("bfloat16", [None])}))["serving_default"]
    values = np.array([1.0, 1.01, -2.7], dtype=np.float32)
    (found,) = answers(load(), records(column("Float64", "x", values[:, None]))).values()
    expected = own(x=tf.cast(values, tf.bfloat16))["y"]
    assert found.type is TensorType.Float32
    assert found.data.tolist() == tf.cast(expected, tf.float32).numpy().tolist()


def test_strings_and_booleans(tf, tmp_path, load):
    def function(text, flag):
        return {"joined": tf.strings.join([text, "é"]), "raw_bytes": text, "flag": ~flag}

    save(tf, tmp_path, serving_default=(function, {"text": ("string", [None]), "flag": ("bool", [None])}))
    batch = records(column("String", "text", [["a"], ["ü"]]), column("Bool", "flag", [[True], [False]]))
    found = answers(load(warm=True), batch)
    assert (found["joined"].type, found["joined"].data.tolist()) == (TensorType.String, ["aé", "üé"])
    assert (found["raw_bytes"].type, found["raw_bytes"].data.tolist()) == (TensorType.Bytes, [b"a", "ü".encode()])
    assert found["flag"].data.tolist() == [False, True]
    (found,) = answers(load(), batch, **{OUTPUTS_KEY: "joined"}).values()
    assert found.data.tolist() == ["aé", "üé"]


def test_fixed_shapes_and_scalars_are_one_call_without_rows(tf, tmp_path, load):
    inputs = {"x": ("float32", [2, 3]), "k": ("float32", [])}
    own = save(tf, tmp_path, serving_default=(lambda x, k: {"y": x * k, "name": tf.constant("s"), "k": k}, inputs))[
        "serving_default"
    ]
    servable = load(warm=True)
    assert not servable.metadata.signatures["serving_default"].batched
    assert servable.merge_key({}) is None
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    found = answers(servable, whole(column("Float32", "x", x), column("Float32", "k", 3)))
    expected = own(x=tf.constant(x), k=tf.constant(3.0))
    assert found["y"].data[0].tolist() == expected["y"].numpy().tolist()
    assert found["name"].data.tolist() == ["s"]
    assert found["k"].data.tolist() == [3]
    # one call per record
    found = answers(servable, records(column("Float32", "x", [range(6), range(6)]), column("Float32", "k", [[1], [2]])))
    assert found["y"].data[1].tolist() == (x * 2).tolist()


def test_unknown_rank(tf, tmp_path, load):
    save(tf, tmp_path, serving_default=(lambda x: {"y": x * 2}, {"x": ("float32", None)}))
    servable = load(warm=True)
    assert servable.metadata.inputs == (IOMetadata("x", TensorType.Float32, any_rank=True),)
    assert answers(servable, whole(column("Float32", "x", 4)))["y"].data.tolist() == [8]
    assert answers(servable, whole(column("Float32", "x", [[[4]]])))["y"].data.tolist() == [[[[8]]]]
    assert answers(servable, records(column("Float32", "x", [[1, 2], [3, 4]])))["y"].data.reshape(2, 2).tolist() == [
        [2, 4],
        [6, 8],
    ]


def test_every_signature_answers_under_its_name(tf, tmp_path, load):
    inputs = {"x": ("float32", [None])}
    save(tf, tmp_path, double=(lambda x: {"y": x * 2}, inputs), triple=(lambda x: {"y": x * 3}, inputs))
    with pytest.raises(LoadFailed, match="the signatures 'double', 'triple', and none is 'serving_default'"):
        load()
    with pytest.raises(LoadFailed, match="no signature 'half'; it has 'double', 'triple'"):
        load(signature="half")
    servable = load(signature="triple")
    batch = records(column("Float32", "x", [[1], [2]]))
    assert answers(servable, batch)["y"].data.tolist() == [3, 6]
    assert answers(servable, batch, "double")["y"].data.tolist() == [2, 4]
    with pytest.raises(InvalidInput, match="no signature 'half'; it has 'double', 'triple'"):
        answers(servable, batch, "half")


def test_the_only_signature_is_the_default(tf, tmp_path, load):
    save(tf, tmp_path, only=(lambda x: {"y": x}, {"x": ("int64", [None])}))
    servable = load()
    assert servable.metadata.default == "only"
    assert answers(servable, records(column("Int64", "x", [[2**60 + 1]])))["y"].data.tolist() == [2**60 + 1]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            [("Float32", "x", [[1.0, 2, 3]])],
            r"input 'x' takes Float32 of shape \[-1, 4\], got Float32 of shape \[1, 3\]",
        ),
        ([("String", "x", [["a", "b", "c", "d"]])], "input 'x' takes Float32, got String"),
        ([("Float32", "x", [[1.0] * 4]), ("Float32", "z", [[1.0]])], "there is no input 'z'; .* takes 'x'"),
    ],
)
def test_inputs_that_do_not_fit_are_named(tf, tmp_path, load, columns, message):
    mlp(tf, tmp_path)
    with pytest.raises(InvalidInput, match=message):
        load().predict(records(*[column(*each) for each in columns]), {})


def test_what_the_graph_refuses_is_the_clients_fault_and_names_no_file(tf, tmp_path, load):
    def function(a, b):
        return {"y": tf.linalg.matvec(tf.reshape(a, [1, -1]), b)}

    save(tf, tmp_path, serving_default=(function, {"a": ("float32", [None]), "b": ("float32", [None])}))
    with pytest.raises(InvalidInput) as refused:
        load().predict(whole(column("Float32", "a", [1, 2, 3]), column("Float32", "b", [1, 2])), {})
    assert "the model refuses the inputs: " in refused.value.message
    assert "Matrix size-incompatible" in refused.value.message
    assert not {"/", "\n", "{{"} & set(refused.value.message)
    assert ".py" not in refused.value.message


def test_other_failures_are_the_models(tf, tmp_path, load):
    def function(x):
        return {"y": tf.map_fn(lambda name: tf.io.read_file(tf.strings.join(["/no/such/folder/", name])), x)}

    save(tf, tmp_path, serving_default=(function, {"x": ("string", [None])}))
    with pytest.raises(ModelFailed, match=r"the model failed: NotFoundError: a_file; No such file") as failed:
        load().predict(tensors(column("String", "x", ["a_file"])), {})
    assert "folder" not in failed.value.message


def test_broken_models_say_why(tf, tmp_path, load):
    mlp(tf, tmp_path)
    with pytest.raises(LoadFailed, match="no MetaGraph with the tags train; those that it has are tagged: serve"):
        load(tags=["train"])
    (tmp_path / "variables" / "variables.index").unlink()
    with pytest.raises(LoadFailed, match="cannot be loaded: ") as failed:
        load()
    assert str(tmp_path.parent) not in failed.value.message
    (tmp_path / "saved_model.pb").write_bytes(b"\xff\xff not a protobuf")
    with pytest.raises(LoadFailed, match="cannot be loaded: "):
        load()


def test_types_that_no_protocol_has(tf, tmp_path, load):
    inputs = {"x": ("float32", [None])}
    save(
        tf, tmp_path,
        serving_default=(lambda x: {"y": x}, inputs),
        odd=(lambda x: {"y": tf.cast(x, tf.complex64)}, inputs),
    )  # fmt: skip
    assert set(load().metadata.signatures) == {"serving_default"}
    with pytest.raises(LoadFailed, match="signature 'odd' cannot be served: tensor 'y' is of the type complex64"):
        load(signature="odd")


# Functions of x, shape [None, 2] unless it says otherwise, and whether each row is answered for itself.
MODELS = {
    "softmax over columns": (lambda tf: lambda x: {"y": tf.nn.softmax(x, axis=1)}, True),
    "softmax over rows": (lambda tf: lambda x: {"y": tf.nn.softmax(x, axis=0)}, False),
    "times its transpose": (lambda tf: lambda x: {"y": tf.matmul(x, x, transpose_b=True)}, False),
    "normalized": (lambda tf: lambda x: {"y": (x - tf.reduce_mean(x, 0)) / tf.math.reduce_std(x, 0)}, False),
    "unique": (lambda tf: lambda x: dict(zip("yi", tf.unique(tf.reshape(x, [-1])), strict=True)), False),
    "transposed": (lambda tf: lambda x: {"y": tf.transpose(x)}, False),
    "in one column": (lambda tf: lambda x: {"y": tf.reshape(x, [-1, 1])}, False),
    "masked": (lambda tf: lambda x: {"y": tf.boolean_mask(x, x[:, 0] > 0)}, False),
    "where": (lambda tf: lambda x: {"y": tf.where(x > 0)}, False),
    "twice over": (lambda tf: lambda x: {"y": tf.concat([x, x], 0)}, False),
    "dropped out": (lambda tf: lambda x: {"y": tf.nn.dropout(x, 0.5)}, False),
    "drawn": (lambda tf: lambda x: {"y": x + tf.random.normal(tf.shape(x))}, False),
    "for pairs of rows": (lambda tf: lambda x: {"y": tf.reshape(x, [-1, 4])[:, 0]}, False),
}
RANDOM = {"dropped out", "drawn"}


@pytest.mark.parametrize("name", MODELS)
def test_whatever_becomes_of_rows_is_answered_as_tensorflow_does(tf, tmp_path, load, name):
    make, independent = MODELS[name]
    own = save(tf, tmp_path, serving_default=(make(tf), {"x": ("float32", [None, 2])}))["serving_default"]
    servable = load(warm=True)
    found = servable.independence()["serving_default"]
    assert found.shown is independent, found.reason
    if name in RANDOM:
        return
    x = np.array([[1, 0], [2, 5], [-3, 1], [2, 7]], np.float32)
    expected = {key: value.numpy() for key, value in own(x=tf.constant(x)).items()}
    answer = servable.predict(tensors(column("Float32", "x", x)), {})
    for one in answer.tensors():
        np.testing.assert_array_equal(one.data, expected[one.fields[0]])
    assert {one.fields[0] for one in answer.columns} == expected.keys()
    if all(len(value) == len(x) for value in expected.values()):
        assert len(answers(servable, records(column("Float32", "x", x)))["y"].data) == len(x)
    elif servable.metadata.signatures["serving_default"].batched:
        with pytest.raises(InvalidInput, match="for 4 records, not a row for each"):
            servable.predict(records(column("Float32", "x", x)), {})


@pytest.mark.parametrize("function", ["transpose", "square"])
def test_a_model_that_takes_made_up_rows_one_at_a_time_alone_is_deployed(tf, tmp_path, load, function):
    """One row of one value is as good transposed as it is, and a square; two rows are not."""
    call = {"transpose": lambda x: {"y": tf.transpose(x)}, "square": lambda x: {"y": tf.linalg.inv(x + 1.0)}}[function]
    own = save(tf, tmp_path, serving_default=(call, {"x": ("float32", [None, None])}))["serving_default"]
    servable = load(warm=True)
    assert not servable.independence()["serving_default"].shown
    x = np.array([[1, 2], [3, 9]] if function == "square" else [[1, 2, 3]], np.float32)
    (found,) = servable.predict(tensors(column("Float32", "x", x)), {}).tensors()
    np.testing.assert_array_equal(found.data, own(x=tf.constant(x))["y"].numpy())


def test_a_model_that_keeps_a_state_has_no_independent_rows(tf, tmp_path, load):
    class Counting(tf.Module):
        def __init__(self):
            super().__init__()
            self.seen = tf.Variable(0.0)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def __call__(self, x):
            return {"y": x + self.seen.assign_add(1.0)}

    module = Counting()
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": module.__call__})
    found = load(warm=True).independence()["serving_default"]
    assert not found.shown
    assert "keeps a state" in found.reason


def test_each_signature_has_rows_of_its_own(tf, tmp_path, load):
    inputs = {"x": ("float32", [None])}
    save(
        tf, tmp_path,
        serving_default=(lambda x: {"y": x * 2}, inputs),
        sorts=(lambda x: {"y": tf.sort(x)}, inputs),
        fixed=(lambda x: {"y": x}, {"x": ("float32", [3])}),
    )  # fmt: skip
    found = load(warm=True).independence()
    assert {name: one.shown for name, one in found.items()} == {"serving_default": True, "sorts": False, "fixed": False}
    assert "no first axis" in found["fixed"].reason


@pytest.mark.parametrize("flat", [True, False])
def test_texts_that_are_padded_to_the_longest_of_a_batch_are_no_independent_rows(tf, tmp_path, load, flat):
    words = tf.random.stateless_normal([100, 1], seed=[1, 2])

    def mean(text):
        split = tf.strings.split(text)
        ragged = tf.gather(words, tf.strings.to_hash_bucket_fast(split.to_tensor("") if not flat else split, 100))
        return {"y": tf.reduce_mean(ragged, 1)}

    save(tf, tmp_path, serving_default=(mean, {"text": (tf.string, [None])}))
    found = load(warm=True).independence()["serving_default"]
    assert found.shown is flat, found.reason
    assert flat or "when other rows are beside it" in found.reason
