"""ONNX models by ONNX Runtime: made here node by node, or converted from scikit-learn, whose answers are expected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from forestflow.domain.errors import ArtifactRejected, InvalidInput, LoadFailed, ModelFailed
from forestflow.domain.requests import Onnx
from forestflow.domain.settings import Resources
from forestflow.domain.tensors import DTYPES, Batch, Column, IOMetadata, Layout, TensorType
from forestflow.servables import loading
from forestflow.servables.onnx.servable import _reason
from tests.growth import assert_linear

F16, F32, F64, I64 = TensorType.Float16, TensorType.Float32, TensorType.Float64, TensorType.Int64
NAMES = ("sepal length", "sepal width", "petal length", "petal width")


def served(path: Path) -> Any:
    flavor = Onnx(path.name)
    loading.check(path, flavor)
    servable = loading.load(path, flavor, Resources())
    servable.warm_up()
    return servable


def graph(path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any]) -> Path:
    values = [[helper.make_tensor_value_info(*value) for value in values] for values in (inputs, outputs)]
    model = helper.make_model(
        helper.make_graph(nodes, "g", *values), opset_imports=[helper.make_opsetid("", 17)], ir_version=9
    )
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def tensors(layout: Layout = Layout.TENSORS, **arrays: Any) -> Batch:
    kinds = {dtype: kind for kind, dtype in DTYPES.items() if kind is not TensorType.Bytes}
    columns = tuple(Column(kinds[a.dtype], (name,), a) for name, a in arrays.items())
    return Batch(len(columns[0].data), columns, layout)


def answers(batch: Batch) -> dict[str, list[Any]]:
    return {column.fields[0]: column.data.tolist() for column in batch.columns}


@pytest.fixture(scope="module")
def iris(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, LogisticRegression, Any]:
    rows, classes = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=500).fit(rows, np.array(["setosa", "versicolor", "virginica"])[classes])
    path = tmp_path_factory.mktemp("iris") / "iris.onnx"
    path.write_bytes(to_onnx(model, rows[:1].astype(np.float32)).SerializeToString())
    return path, model, rows[::10]


def test_a_converted_classifier_answers_labels_and_a_column_for_each_of_them(iris: Any) -> None:
    path, model, rows = iris
    servable = served(path)
    assert servable.metadata.inputs == (IOMetadata("X", F32, (4,)),)
    label, chances = servable.metadata.outputs
    assert label == IOMetadata("output_label", TensorType.String)
    assert (chances.type, chances.shape, chances.description) == (F32, (3,), "[0:setosa,1:versicolor,2:virginica]")

    answer = servable.predict(Batch(len(rows), (Column(F64, NAMES, rows),)), {})
    assert [column.fields for column in answer.columns] == [("output_label",), tuple(model.classes_)]
    assert answer.columns[0].data.tolist() == model.predict(rows).tolist()
    np.testing.assert_allclose(answer.columns[1].data, model.predict_proba(rows), rtol=0, atol=1e-6)
    assert answer.columns[1].data.dtype == np.float32

    # as tensors the probabilities stay one tensor, of the output's own name
    answer = servable.predict(tensors(X=rows.astype(np.float32)), {"forestflow.outputs": "output_probability"})
    assert [column.fields for column in answer.columns] == [("output_probability",)]
    runtime = onnxruntime.InferenceSession(path.read_bytes())
    (expected,) = runtime.run(["output_probability"], {"X": rows.astype(np.float32)})
    assert answer.columns[0].data.tolist() == [list(row.values()) for row in expected]
    assert servable.predict(tensors(X=np.zeros((0, 4), np.float32)), {}).columns[1].data.shape == (0, 3)


@pytest.mark.parametrize(
    ("kind", "element", "values"),
    [
        (F16, TensorProto.FLOAT16, [0.5, -65504, float("inf")]),
        (F32, TensorProto.FLOAT, [0.1, 3.4e38]),
        (F64, TensorProto.DOUBLE, [0.1, 1e308]),
        (TensorType.Int8, TensorProto.INT8, [-128, 127]),
        (I64, TensorProto.INT64, [2**53 + 1, -(2**63)]),
        (TensorType.UInt64, TensorProto.UINT64, [2**64 - 1]),
        (TensorType.Bool, TensorProto.BOOL, [True, False]),
        (TensorType.String, TensorProto.STRING, ["", "größe", "a\nb"]),
    ],
)
def test_every_type_comes_back_as_it_went_in(tmp_path: Path, kind: Any, element: int, values: list[Any]) -> None:
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    servable = served(graph(tmp_path / "m.onnx", nodes, [("x", element, ["N"])], [("y", element, ["N"])]))
    assert (servable.metadata.inputs, servable.metadata.outputs) == ((IOMetadata("x", kind),), (IOMetadata("y", kind),))
    sent = np.array(values, DTYPES[kind])
    answer = servable.predict(tensors(x=sent), {})
    assert (answer.columns[0].type, answer.columns[0].data.dtype) == (kind, sent.dtype)
    assert answer.columns[0].data.tolist() == sent.tolist()


def test_two_inputs_are_matched_by_name_and_merge(tmp_path: Path) -> None:
    nodes = [helper.make_node("Sub", ["a", "b"], ["c"])]
    values = [("a", TensorProto.FLOAT, ["N", 2]), ("b", TensorProto.FLOAT, ["N", 2])]
    servable = served(graph(tmp_path / "m.onnx", nodes, values, [("c", TensorProto.FLOAT, ["N", 2])]))
    a, b = np.array([[5, 7]], np.float32), np.array([[1, 2]], np.float32)
    assert answers(servable.predict(tensors(b=b, a=a), {})) == {"c": [[4, 5]]}
    assert servable.merge_key({}) is not None
    assert servable.slice_rows > 256
    with pytest.raises(InvalidInput, match=r"input 'b' is missing; signature 'serving_default' takes 'a', 'b'"):
        servable.predict(tensors(a=a), {})
    with pytest.raises(
        InvalidInput, match=r"input 'a' takes Float32 of shape \[-1, 2\], got Float32 of shape \[1, 3\]"
    ):
        servable.predict(tensors(a=np.zeros((1, 3), np.float32), b=b), {})


def initial(name: str, element: int, *values: Any) -> Any:
    return helper.make_tensor(name, element, [len(values)], values)


# Models of a matrix x of two columns: nodes, the declared shape of y, and whether a row is answered for itself.
MODELS: dict[str, tuple[list[Any], list[Any], bool]] = {
    "softmax over columns": ([helper.make_node("Softmax", ["x"], ["y"], axis=1)], ["N", 2], True),
    "softmax over rows": ([helper.make_node("Softmax", ["x"], ["y"], axis=0)], ["N", 2], False),
    "times its transpose": (
        [helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0]), helper.make_node("MatMul", ["x", "t"], ["y"])],
        ["N", "N"],
        False,
    ),
    "times its transpose, undeclared": (
        [helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0]), helper.make_node("MatMul", ["x", "t"], ["y"])],
        ["A", "B"],
        False,
    ),
    "transposed": ([helper.make_node("Transpose", ["x"], ["y"], perm=[1, 0])], ["A", "B"], False),
    "less the mean": (
        [helper.make_node("ReduceMean", ["x"], ["m"], axes=[0]), helper.make_node("Sub", ["x", "m"], ["y"])],
        ["N", 2],
        False,
    ),
    "added up so far": (
        [
            helper.make_node("Constant", [], ["axis"], value=helper.make_tensor("a", TensorProto.INT32, [], [0])),
            helper.make_node("CumSum", ["x", "axis"], ["y"]),
        ],
        ["N", 2],
        False,
    ),
    "every second row": (
        [
            helper.make_node("Constant", [], ["0"], value=initial("0", TensorProto.INT64, 0)),
            helper.make_node("Constant", [], ["end"], value=initial("end", TensorProto.INT64, 2**62)),
            helper.make_node("Constant", [], ["2"], value=initial("2", TensorProto.INT64, 2)),
            helper.make_node("Slice", ["x", "0", "end", "0", "2"], ["y"]),
        ],
        ["M", 2],
        False,
    ),
    "in one column": (
        [
            helper.make_node("Constant", [], ["s"], value=initial("s", TensorProto.INT64, -1, 1)),
            helper.make_node("Reshape", ["x", "s"], ["y"]),
        ],
        ["M", 1],
        False,
    ),
    "twice over": ([helper.make_node("Concat", ["x", "x"], ["y"], axis=0)], ["M", 2], False),
    "where it is not 0": (
        [helper.make_node("NonZero", ["x"], ["w"]), helper.make_node("Transpose", ["w"], ["y"], perm=[1, 0])],
        ["M", 2],
        False,
    ),
    "dropped out": (
        [
            helper.make_node("Constant", [], ["r"], value=helper.make_tensor("r", TensorProto.FLOAT, [], [0.5])),
            helper.make_node("Constant", [], ["t"], value=helper.make_tensor("t", TensorProto.BOOL, [], [True])),
            helper.make_node("Dropout", ["x", "r", "t"], ["y"]),
        ],
        ["N", 2],
        False,
    ),
}


def matrix_model(path: Path, name: str) -> Path:
    nodes, shape, _ = MODELS[name]
    element = TensorProto.INT64 if name == "where it is not 0" else TensorProto.FLOAT
    return graph(path / "m.onnx", nodes, [("x", TensorProto.FLOAT, ["N", 2])], [("y", element, shape)])


@pytest.mark.parametrize("name", MODELS)
def test_rows_are_independent_only_where_that_was_shown(tmp_path: Path, name: str) -> None:
    found = served(matrix_model(tmp_path, name)).independence()["serving_default"]
    assert found.shown is MODELS[name][2], found.reason
    assert found.reason


@pytest.mark.parametrize("name", [name for name in MODELS if name != "dropped out"])
def test_tensors_are_answered_as_onnx_runtime_does_whatever_becomes_of_the_rows(tmp_path: Path, name: str) -> None:
    path = matrix_model(tmp_path, name)
    servable = served(path)
    x = np.array([[1, 0], [2, 5], [3, -1], [0, 7]], np.float32)
    (expected,) = onnxruntime.InferenceSession(path.read_bytes()).run(None, {"x": x})
    (only,) = servable.predict(tensors(x=x), {}).tensors()
    assert only.data.dtype == expected.dtype
    np.testing.assert_array_equal(only.data, expected)
    records = Batch(4, (Column(F32, ("x",), x),))
    if name == "transposed":  # ONNX Runtime knows that there are two rows, so each record is a matrix of its own
        assert not servable.metadata.signatures["serving_default"].batched
    elif len(expected) == 4:
        np.testing.assert_array_equal(servable.predict(records, {}).columns[0].data, expected)
    else:
        with pytest.raises(InvalidInput, match="not a row for each"):
            servable.predict(records, {})


def test_labels_of_rows_of_a_classifier_are_independent(iris: Any) -> None:
    assert served(iris[0]).independence()["serving_default"].shown


def test_indices_words_and_images_of_any_size_are_drawn_so_that_models_take_them(tmp_path: Path) -> None:
    table = helper.make_tensor("t", TensorProto.FLOAT, [40, 2], np.arange(80, dtype=np.float32))
    nodes = [helper.make_node("Constant", [], ["t"], value=table), helper.make_node("Gather", ["t", "i"], ["y"])]
    declared = [("i", TensorProto.INT64, ["N", "L"])], [("y", TensorProto.FLOAT, ["N", "L", 2])]
    assert served(graph(tmp_path / "embed.onnx", nodes, *declared)).independence()["serving_default"].shown

    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    declared = [("x", TensorProto.STRING, ["N", 3])], [("y", TensorProto.STRING, ["N", 3])]
    assert served(graph(tmp_path / "words.onnx", nodes, *declared)).independence()["serving_default"].shown

    kernel = helper.make_tensor("k", TensorProto.FLOAT, [1, 1, 5, 5], np.ones(25, np.float32))
    nodes = [helper.make_node("Constant", [], ["k"], value=kernel), helper.make_node("Conv", ["x", "k"], ["y"])]
    declared = [("x", TensorProto.FLOAT, ["N", 1, "H", "W"])], [("y", TensorProto.FLOAT, ["N", 1, "h", "w"])]
    assert served(graph(tmp_path / "image.onnx", nodes, *declared)).independence()["serving_default"].shown


def test_an_example_shows_what_made_up_inputs_do_not(tmp_path: Path) -> None:
    """A batch is normalized where its first index is 30 or more, which no small made-up index is."""
    table = helper.make_tensor("t", TensorProto.FLOAT, [40], np.arange(40, dtype=np.float32))
    nodes = [helper.make_node("Constant", [], ["t"], value=table), helper.make_node("Gather", ["t", "i"], ["y"])]
    declared = [("i", TensorProto.INT64, ["N", 4])], [("y", TensorProto.FLOAT, ["N", 4])]
    servable = served(graph(tmp_path / "m.onnx", nodes, *declared))
    example = tensors(i=np.array([[31, 7, 2, 39]]))
    assert servable.independence([example])["serving_default"].shown
    unfit = tensors(nothing=np.array([[31, 7, 2, 39]]))
    assert servable.independence([unfit])["serving_default"].shown, "an example that does not fit is passed over"


def test_a_model_that_refuses_what_is_made_up_runs_alone(tmp_path: Path) -> None:
    two = helper.make_tensor("t", TensorProto.FLOAT, [1], [2])
    nodes = [helper.make_node("Constant", [], ["t"], value=two), helper.make_node("Gather", ["t", "i"], ["y"])]
    declared = [("i", TensorProto.INT64, ["N", 4])], [("y", TensorProto.FLOAT, ["N", 4])]
    found = served(graph(tmp_path / "m.onnx", nodes, *declared)).independence()["serving_default"]
    assert not found.shown
    assert "refuses made-up inputs: " in found.reason
    assert "out of data bounds" in found.reason


def test_a_fixed_shape_is_one_call(tmp_path: Path) -> None:
    nodes = [helper.make_node("Neg", ["x"], ["y"])]
    servable = served(
        graph(tmp_path / "m.onnx", nodes, [("x", TensorProto.FLOAT, [1, 2])], [("y", TensorProto.FLOAT, [1, 2])])
    )
    assert servable.metadata.inputs == (IOMetadata("x", F32, (1, 2)),)
    assert servable.merge_key({}) is None
    records = Batch(2, (Column(F32, ("x",), np.array([[1, 2], [3, 4]], np.float32)),))
    assert answers(servable.predict(records, {})) == {"y": [[[-1, -2]], [[-3, -4]]]}


def test_sizes_that_the_client_chose_wrongly_are_its_fault_and_name_no_file(tmp_path: Path) -> None:
    nodes = [helper.make_node("Add", ["x", "y"], ["z"])]
    free = [("x", TensorProto.FLOAT, ["N", "A"]), ("y", TensorProto.FLOAT, ["N", "B"])]
    servable = served(graph(tmp_path / "m.onnx", nodes, free, [("z", TensorProto.FLOAT, ["N", "C"])]))
    batch = tensors(x=np.zeros((2, 3), np.float32), y=np.zeros((2, 5), np.float32))
    with pytest.raises(InvalidInput, match="broadcast") as caught:
        servable.predict(batch, {})
    assert "/" not in caught.value.message


def test_values_that_a_model_refuses_and_a_model_that_fails_by_itself(tmp_path: Path) -> None:
    numbers = helper.make_node("Constant", [], ["t"], value=helper.make_tensor("t", TensorProto.FLOAT, [2], [1, 2]))
    nodes = [numbers, helper.make_node("Gather", ["t", "i"], ["y"])]
    declared = [("i", TensorProto.INT64, ["N"])], [("y", TensorProto.FLOAT, ["N"])]
    servable = served(graph(tmp_path / "m.onnx", nodes, *declared))
    assert answers(servable.predict(tensors(i=np.array([1, 0])), {})) == {"y": [2, 1]}
    with pytest.raises(InvalidInput, match="out of data bounds, idx=7"):
        servable.predict(tensors(i=np.array([7])), {})

    three = helper.make_tensor("s", TensorProto.INT64, [2], [-1, 3])
    nodes = [helper.make_node("Constant", [], ["s"], value=three), helper.make_node("Reshape", ["x", "s"], ["y"])]
    declared = [("x", TensorProto.FLOAT, ["N", 4])], [("y", TensorProto.FLOAT, ["M", 3])]
    servable = served(graph(tmp_path / "m.onnx", nodes, *declared))
    with pytest.raises(ModelFailed, match="Reshape"):
        servable.predict(tensors(x=np.zeros((1, 4), np.float32)), {})


def test_files_that_are_no_model(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"PK\x03\x04")
    with pytest.raises(ArtifactRejected, match="is not an ONNX model"):
        loading.check(broken, Onnx("broken.onnx"))
    broken.write_bytes(b"\x08\xff\xff")
    loading.check(broken, Onnx("broken.onnx"))
    with pytest.raises(LoadFailed, match="cannot load the model") as caught:
        loading.load(broken, Onnx("broken.onnx"), Resources())
    assert str(tmp_path) not in caught.value.message
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtifactRejected, match=r"holds 0 \.onnx files"):
        loading.check(tmp_path / "empty", Onnx("empty"))
    with pytest.raises(LoadFailed, match="has no CUDA"):
        loading.load(broken, Onnx("broken.onnx"), Resources(gpu=1))


def test_a_folder_with_tensors_beside_the_model(tmp_path: Path) -> None:
    weights = helper.make_tensor("w", TensorProto.FLOAT, [300], np.arange(300, dtype=np.float32))
    value = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 300])]
    made = helper.make_graph(
        [helper.make_node("Mul", ["x", "w"], ["y"])],
        "g",
        value,
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 300])],
        [weights],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    folder = tmp_path / "model"
    folder.mkdir()
    onnx.save(model, folder / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    servable = served(folder)
    answer = servable.predict(tensors(x=np.full((2, 300), 2, np.float32)), {})
    assert answer.columns[0].data[1].tolist() == list(range(0, 600, 2))


@pytest.mark.parametrize("part", ["x", " ", "/", "x/", " : 1"])
def test_a_reason_is_found_in_time_by_its_length(part: str) -> None:
    """It may name what a model's file names."""
    assert_linear(lambda n: RuntimeError("a" + part * n), _reason, 2000)
    assert len(_reason(RuntimeError(part * 100_000))) <= 500
