"""MLmodel folders: which flavor is served, where its files are, what signature and example become."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas
import pytest
import xgboost
from skl2onnx import to_onnx
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

from forestflow.domain.errors import ArtifactRejected, InvalidInput, LoadFailed
from forestflow.domain.requests import MLmodel
from forestflow.domain.settings import Resources
from forestflow.domain.tensors import DTYPES, Batch, Column, IOMetadata, Layout, TensorType
from forestflow.servables import loading
from forestflow.servables.h2o.servable import H2OServable
from forestflow.servables.mlmodel import elsewhere
from forestflow.servables.onnx.servable import OnnxServable
from tests.mlmodels import columns, example, mlmodel, pyfunc, sklearn_folder, tensor
from tests.serving import FIELDS, MODELS, golden

F32, F64, I64, TEXT = TensorType.Float32, TensorType.Float64, TensorType.Int64, TensorType.String
ROWS, CLASSES = load_iris(return_X_y=True)
ABCD = {"a": "double", "b": "double", "c": "double", "d": "double"}


@pytest.fixture(scope="module")
def iris() -> LogisticRegression:
    return LogisticRegression(max_iter=500).fit(ROWS, CLASSES)


def served(folder: Path, flavor: str | None = None) -> Any:
    """As a deploy does it: checked, loaded, warmed up."""
    loading.check(folder, MLmodel(flavor=flavor))
    servable = loading.load(folder, MLmodel(flavor=flavor), Resources())
    servable.warm_up()
    return servable


def rejected(folder: Path, flavor: str | None = None) -> str:
    with pytest.raises(ArtifactRejected) as caught:
        loading.check(folder, MLmodel(flavor=flavor))
    return caught.value.message


def records(*given: tuple[TensorType, tuple[str, ...], Any]) -> Batch:
    made = tuple(Column(kind, fields, np.array(data, DTYPES[kind])) for kind, fields, data in given)
    return Batch(len(made[0].data), made)


FOUR = records((F64, tuple("abcd"), ROWS))


def test_scikit_learn_with_a_signature_of_columns(tmp_path: Path, iris: Any) -> None:
    servable = served(sklearn_folder(tmp_path / "m", iris, signature={"inputs": columns(**ABCD)}))
    assert servable.metadata.inputs == tuple(IOMetadata(name, F64) for name in "abcd")
    (answer,) = servable.predict(FOUR, {}).columns
    assert (answer.data.tolist(), answer.type) == (iris.predict(ROWS).tolist(), I64)
    assert loading.runs_code(tmp_path / "m", MLmodel())


def test_the_method_that_mlflow_would_call_answers(tmp_path: Path, iris: Any) -> None:
    signature = {"inputs": tensor("float64", -1, 4)}
    servable = served(sklearn_folder(tmp_path / "m", iris, predict_fn="predict_proba", signature=signature))
    assert servable.metadata.inputs == (IOMetadata("X", F64, (4,)),)
    (answer,) = servable.predict(FOUR, {}).columns
    assert answer.data.tolist() == iris.predict_proba(ROWS).tolist()


def test_xgboost_and_lightgbm_by_their_own_files(tmp_path: Path) -> None:
    model = xgboost.XGBClassifier(n_estimators=3, random_state=1).fit(ROWS, CLASSES)
    folder = mlmodel(
        tmp_path / "x",
        {
            "python_function": pyfunc("mlflow.xgboost", data="model.ubj"),
            "xgboost": {
                "code": None,
                "data": "model.ubj",
                "model_class": "xgboost.sklearn.XGBClassifier",
                "model_format": "ubj",
                "xgb_version": "3.2.0",
            },
        },
        signature={"inputs": columns(**ABCD)},
    )
    model.save_model(folder / "model.ubj")
    assert served(folder).predict(FOUR, {}).columns[0].data.tolist() == model.predict(ROWS).tolist()
    assert not loading.runs_code(folder, MLmodel())
    assert loading.runs_code(folder, MLmodel(flavor="python_function"))

    booster = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1, random_state=1).fit(ROWS, CLASSES).booster_
    options = {
        "code": None,
        "data": "model.lgb",
        "lgb_version": "4.7.0",
        "model_class": "lightgbm.basic.Booster",
        "serialization_format": "skops",
        "skops_trusted_types": ["lightgbm.basic.Booster"],
    }
    folder = mlmodel(tmp_path / "l", {"lightgbm": options, "python_function": pyfunc("mlflow.lightgbm")})
    booster.save_model(folder / "model.lgb")
    assert served(folder).predict(FOUR, {}).columns[0].data.tolist() == booster.predict(ROWS).tolist()
    assert not loading.runs_code(folder, MLmodel())


def test_onnx_goes_to_its_own_servable(tmp_path: Path, iris: Any) -> None:
    options = {"code": None, "data": "model.onnx", "onnx_version": "1.23.2", "providers": ["CPUExecutionProvider"]}
    folder = mlmodel(tmp_path / "o", {"onnx": options, "python_function": pyfunc("mlflow.onnx", data="model.onnx")})
    (folder / "model.onnx").write_bytes(to_onnx(iris, ROWS[:1].astype(np.float32)).SerializeToString())
    assert type(served(folder)).__name__ == "OnnxServable"
    assert served(folder).predict(FOUR, {}).columns[0].data.tolist() == iris.predict(ROWS).tolist()
    assert not loading.runs_code(folder, MLmodel())


@pytest.mark.h2o
@pytest.mark.slow
@pytest.mark.parametrize("flavor", ["h2o", "h2o_mojo"])
def test_a_mojo_as_h2o_yaml_names_it(tmp_path: Path, flavor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, expected = golden()
    info = example(tmp_path / "h", {"columns": FIELDS[::-1], "data": [list(reversed(rows[0]))]})
    folder = mlmodel(
        tmp_path / "h",
        {flavor: {"data": "model.h2o", "h2o_version": "3.46.0.11"}},
        signature={"inputs": columns(**dict.fromkeys(FIELDS, "double"))},
        saved_input_example_info=info,
    )
    (folder / "model.h2o").mkdir()
    described = "full_file: /somewhere/else/gbm.zip\nmodel_dir: /somewhere/else\nmodel_file: gbm.zip\n"
    (folder / "model.h2o" / "h2o.yaml").write_text(described)
    shutil.copy(MODELS / "energy_gbm_v1.zip", folder / "model.h2o" / "gbm.zip")
    seen = seen_by(monkeypatch, H2OServable)
    answer = served(folder).predict(records((F64, tuple(FIELDS), rows)), {})
    assert seen[-2] == [[value] for value in rows[0]], "the example, after what the servable made up"
    np.testing.assert_allclose(answer.columns[0].data.ravel(), expected, rtol=1e-12)
    assert not loading.runs_code(folder, MLmodel())


def test_a_server_without_code_refuses_pickles_and_functions(tmp_path: Path, iris: Any) -> None:
    with pytest.raises(LoadFailed, match="turned off by code_servables"):
        loading.refuse_code(sklearn_folder(tmp_path / "m", iris), MLmodel())
    folder = mlmodel(tmp_path / "x", {"xgboost": {"data": "model.ubj"}})
    xgboost.train({}, xgboost.DMatrix(ROWS, label=CLASSES), 1).save_model(folder / "model.ubj")
    loading.refuse_code(folder, MLmodel())


# --- which flavor -----------------------------------------------------------------------------------------------------


def test_a_binary_h2o_model_is_no_mojo_and_the_next_flavor_is_served(tmp_path: Path, iris: Any) -> None:
    folder = sklearn_folder(tmp_path / "m", iris)
    (folder / "model.h2o").mkdir()
    (folder / "model.h2o" / "h2o.yaml").write_text("model_file: GBM_model_1")
    (folder / "model.h2o" / "GBM_model_1").write_bytes(b"\x12\x34")
    flavors = {"h2o": {"data": "model.h2o"}, "spark": {}, "sklearn": {"pickled_model": "model.pkl"}}
    mlmodel(folder, flavors)
    assert served(folder).predict(FOUR, {}).columns[0].data.tolist() == iris.predict(ROWS).tolist()
    assert rejected(folder, "h2o") == (
        "no flavor of the MLmodel file can be served: 'spark' is not supported; "
        "'h2o': 'GBM_model_1' is no MOJO: a binary model needs an H2O cluster; export a MOJO"
    )
    assert rejected(folder, "spark") == (
        "flavor 'spark' is not in the MLmodel file, or not supported; it has 'h2o', 'spark', 'sklearn'"
    )


MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n" for i in range(1, 60))


def test_files_that_describe_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    assert rejected(folder) == "there is no MLmodel file in the folder"
    for text, message in (
        ("flavors: [", "is not YAML"),
        ("!!python/object/apply:os.system ['true']", "is not YAML: could not determine a constructor"),
        (
            "a: &a {}\nb: {<<: *a}",
            "is not YAML: could not determine a constructor for the tag 'tag:yaml.org,2002:merge'",
        ),
        (MERGES, "is not YAML: it stands for more than 100000 values"),
        ("- a", "is not a YAML mapping"),
        ("flavors: {}", "has no flavors"),
        ("flavors: {spark: {}}", "can be served: 'spark' is not supported"),
        ("flavors: {sklearn: {pickled_model: model.pkl}}", "'sklearn': 'model.pkl' is not there"),
        ("a: " + "[" * 5000, "is not YAML"),
        ("a: " + "x" * (4 << 20), "is larger than 4194304 bytes"),
    ):
        (folder / "MLmodel").write_text(text)
        assert message in rejected(folder)


@pytest.mark.parametrize("path", ["../model.pkl", "/etc/passwd", "link/model.pkl", "a/../../model.pkl"])
def test_paths_stay_inside_the_folder(tmp_path: Path, iris: Any, path: str) -> None:
    folder = sklearn_folder(tmp_path / "m", iris)
    shutil.move(folder / "model.pkl", tmp_path / "model.pkl")
    (folder / "link").symlink_to(tmp_path)
    mlmodel(folder, {"sklearn": {"pickled_model": path}})
    message = rejected(folder)
    assert "must be a relative path below" in message or "leads outside" in message


# --- where the files are ----------------------------------------------------------------------------------------------


def test_an_artifact_path_below_the_folder_is_followed(tmp_path: Path, iris: Any) -> None:
    folder = sklearn_folder(tmp_path / "m", iris, artifact_path="files/v1")
    (folder / "files" / "v1").mkdir(parents=True)
    shutil.move(folder / "model.pkl", folder / "files" / "v1" / "model.pkl")
    assert served(folder).predict(FOUR, {}).columns[0].data.tolist() == iris.predict(ROWS).tolist()
    assert elsewhere(folder, MLmodel()) is None


@pytest.mark.parametrize("key", ["artifact_path", "model_uri"])
def test_an_artifact_path_elsewhere_is_told_where_the_files_are_not_here(tmp_path: Path, iris: Any, key: str) -> None:
    folder = sklearn_folder(tmp_path / "m", iris, **{key: "s3://bucket/models/1"})
    assert elsewhere(folder, MLmodel()) is None, "MLflow writes one into every file: what is here counts"
    (folder / "model.pkl").unlink()
    assert elsewhere(folder, MLmodel()) == "s3://bucket/models/1"
    mlmodel(folder, {"sklearn": {"pickled_model": "model.pkl"}}, artifact_path="model")
    assert elsewhere(folder, MLmodel()) is None


# --- signature and example --------------------------------------------------------------------------------------------


def frame_model() -> Any:
    frame = pandas.DataFrame({"colour": ["red", "blue", "red", "green"], "size": [1, 2, 3, 4]})
    encoder = ColumnTransformer([("one", OneHotEncoder(handle_unknown="error"), ["colour"])], remainder="passthrough")
    return make_pipeline(encoder, DecisionTreeClassifier(random_state=1)).fit(frame, ["s", "m", "m", "l"])


def test_an_example_stands_in_for_a_signature_and_rehearses(tmp_path: Path) -> None:
    model = frame_model()
    info = {"artifact_path": "input_example.json", "pandas_orient": "split", "type": "dataframe"}
    folder = sklearn_folder(tmp_path / "m", model, saved_input_example_info=info)
    (folder / "input_example.json").write_text('{"columns": ["colour", "size"], "data": [["red", 1], ["blue", 2]]}')
    servable = served(folder)
    assert servable.metadata.inputs == (IOMetadata("colour", TEXT), IOMetadata("size", F64))
    # made-up texts would be refused (handle_unknown): only the example shows that the answers are texts
    assert servable.metadata.outputs == (IOMetadata("prediction", TEXT),)
    answer = servable.predict(records((TEXT, ("colour",), [["green"]]), (F64, ("size",), [[4]])), {})
    assert answer.columns[0].data.tolist() == ["l"]
    with pytest.raises(InvalidInput, match=r"the model refuses the input: Found unknown categories \['pink'\]"):
        servable.predict(records((TEXT, ("colour",), [["pink"]]), (F64, ("size",), [[4]])), {})


def test_examples_of_tensors(tmp_path: Path, iris: Any) -> None:
    info = {"artifact_path": "input_example.json", "type": "ndarray"}
    for i, text in enumerate(([[5.1, 3.5, 1.4, 0.2]], {"inputs": [[5.1, 3.5, 1.4, 0.2]]}, "[", [["x"]])):
        folder = sklearn_folder(
            tmp_path / str(i), iris, saved_input_example_info=info, signature={"inputs": tensor("float64", -1, 4)}
        )
        (folder / "input_example.json").write_text(text if isinstance(text, str) else json.dumps(text))
        assert served(folder).predict(FOUR, {}).columns[0].data.tolist() == iris.predict(ROWS).tolist()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (columns(a="array(double)"), "the type 'array(double)' of column 'a' is not supported"),
        ('[{"type": "tensor", "tensor-spec": {"dtype": "complex64", "shape": [-1]}}]', "tensors of complex64"),
        ("not json", "the signature of the MLmodel file cannot be read"),
        ("[]", "neither columns nor tensors"),
        ("[1]", "cannot be read"),
    ],
)
def test_signatures_that_cannot_be_served(tmp_path: Path, iris: Any, inputs: str, message: str) -> None:
    assert message in rejected(sklearn_folder(tmp_path / "m", iris, signature={"inputs": inputs}))


# --- columns that a request need not have -----------------------------------------------------------------------------


def test_optional_columns_of_a_matrix_are_nan(tmp_path: Path) -> None:
    model = HistGradientBoostingClassifier(max_iter=5, random_state=1)
    model.fit(np.where(np.random.default_rng(1).random(ROWS.shape) < 0.2, np.nan, ROWS), CLASSES)
    folder = sklearn_folder(tmp_path / "m", model)
    shown = example(folder, {"columns": ["a", "c", "d"], "data": [[5.1, 1.4, 0.2]]})
    flavors = {"sklearn": {"pickled_model": "model.pkl", "serialization_format": "pickle"}}
    mlmodel(folder, flavors, signature={"inputs": columns(("b", "d"), **ABCD)}, saved_input_example_info=shown)
    servable = served(folder)
    described = [(io.name, io.description) for io in servable.metadata.inputs]
    assert described == [("a", None), ("b", "optional"), ("c", None), ("d", "optional")]
    without = ROWS.copy()
    without[:, 2:] = np.nan
    mlmodel(folder, flavors, signature={"inputs": columns(("c", "d"), **ABCD)})
    answer = served(folder).predict(records((F64, ("b", "a"), ROWS[:, [1, 0]])), {})
    assert answer.columns[0].data.tolist() == model.predict(without).tolist() != model.predict(ROWS).tolist()
    assert servable.predict(FOUR, {}).columns[0].data.tolist() == model.predict(ROWS).tolist()
    with pytest.raises(InvalidInput, match="input 'a' is missing"):
        servable.predict(records((F64, ("c",), ROWS[:, 2:3])), {})


def test_optional_columns_of_a_frame_are_nan(tmp_path: Path) -> None:
    colours = ["red", np.nan, "red", "green"]
    frame = pandas.DataFrame({"colour": colours, "size": [1.0, np.nan, 3, 4], "n": [1, 2, 3, 9]})
    encoder = ColumnTransformer(
        [("one", OneHotEncoder(), ["colour"]), ("drop", "drop", ["key"])], remainder="passthrough"
    )
    model = make_pipeline(encoder, HistGradientBoostingClassifier(min_samples_leaf=1, max_iter=5))
    model.fit(frame.assign(key="k")[["key", *frame]], ["s", "m", "m", "l"])
    inputs = columns(("colour", "size", "n"), key="string", colour="string", size="float", n="long")
    servable = served(sklearn_folder(tmp_path / "m", model, signature={"inputs": inputs}))
    keys = (TEXT, ("key",), [["k"]] * 4)
    given = {"colour": (TEXT, frame["colour"]), "size": (F32, frame["size"]), "n": (I64, frame["n"])}
    for absent in ({"colour"}, {"size"}, {"n"}, {"colour", "size", "n"}, set()):
        kept = [(kind, (name,), data.to_numpy()[:, None]) for name, (kind, data) in given.items() if name not in absent]
        expected = frame.assign(**dict.fromkeys(absent, np.nan), key="k")[["key", *frame]].astype({"colour": object})
        answer = servable.predict(records(keys, *kept), {})
        assert answer.columns[0].data.tolist() == model.predict(expected).tolist()
    with pytest.raises(InvalidInput, match="input 'key' is missing"):
        servable.predict(records((F32, ("size",), [[1]])), {})


@pytest.mark.usefixtures("forget_modules")
def test_a_function_does_not_see_optional_columns_that_a_request_has_not(tmp_path: Path) -> None:
    folder = function(tmp_path / "m", "sum_loader_3", columns(("n",), a="double", n="long"))
    source = folder / "code" / "sum_loader_3.py"
    source.write_text(source.read_text().replace("given.sum(axis=1) + self.bias)", "len(given.columns))"))
    servable = served(folder)
    for batch, count in (
        (records((F64, ("a",), [[0.25]])), 1),
        (records((F64, ("a",), [[0.25]]), (I64, ("n",), [[1]])), 2),
    ):
        assert servable.predict(batch, {}).columns[0].data.tolist() == [count]


# --- what the file says of models that describe themselves ------------------------------------------------------------


def seen_by(monkeypatch: pytest.MonkeyPatch, servable: Any) -> list[list[Any]]:
    """The values of every call, while it goes on as ever."""
    seen: list[list[Any]] = []
    predict = servable.predict

    def spy(self: Any, batch: Batch, configs: Any) -> Batch:
        seen.append([column.data.tolist() for column in batch.columns])
        return predict(self, batch, configs)

    monkeypatch.setattr(servable, "predict", spy)
    return seen


def onnx_folder(folder: Path, model: Any, **rest: Any) -> Path:
    folder = mlmodel(folder, {"onnx": {"data": "model.onnx", "onnx_version": "1.23.2"}}, **rest)
    (folder / "model.onnx").write_bytes(to_onnx(model, ROWS[:1].astype(np.float32)).SerializeToString())
    return folder


def test_columns_and_example_of_an_onnx_model(tmp_path: Path, iris: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = seen_by(monkeypatch, OnnxServable)
    row = [5.25, 3.5, 1.5, 0.25]
    info = example(tmp_path / "o", {"columns": list("dcba"), "data": [row[::-1]]})
    signature = {"inputs": columns(("d",), **ABCD)}
    servable = served(onnx_folder(tmp_path / "o", iris, signature=signature, saved_input_example_info=info))
    assert servable.metadata.inputs == (IOMetadata("X", F32, (4,), "[0:a,1:b,2:c,3:d]"),)
    assert servable.metadata.signatures["serving_default"].inputs == servable.metadata.inputs
    assert seen[-1] == [[row]]
    backwards = records((F64, ("d", "c", "b", "a"), ROWS[:, ::-1]))
    for batch in (FOUR, backwards, records((F32, ("X",), ROWS))):
        assert servable.predict(batch, {}).columns[0].data.tolist() == iris.predict(ROWS).tolist()
    tensors = Batch(len(ROWS), (Column(F32, ("X",), ROWS.astype(np.float32)),), Layout.TENSORS)
    assert servable.predict(tensors, {}).columns[0].data.tolist() == iris.predict(ROWS).tolist()
    with pytest.raises(InvalidInput, match="input 'b' is missing; the model takes 'a', 'b', 'c', 'd'"):
        servable.predict(records((F64, ("a",), ROWS[:, :1])), {})


@pytest.mark.parametrize("inputs", [None, tensor("float64", -1, 4), columns(a="array(double)")])
def test_examples_of_tensors_of_an_onnx_model(
    tmp_path: Path, iris: Any, monkeypatch: pytest.MonkeyPatch, inputs: Any
) -> None:
    seen = seen_by(monkeypatch, OnnxServable)
    info = example(tmp_path / "o", {"inputs": [[5.25, 3.5, 1.5, 0.25]]})
    signature = {"inputs": inputs}
    servable = served(onnx_folder(tmp_path / "o", iris, signature=signature, saved_input_example_info=info))
    assert ([[[5.25, 3.5, 1.5, 0.25]]] in seen) is ("array" not in str(inputs)), "such a signature is left alone"
    assert servable.predict(FOUR, {}).columns[0].data.tolist() == iris.predict(ROWS).tolist()


def test_an_example_that_an_onnx_model_refuses_only_rehearses(tmp_path: Path, iris: Any) -> None:
    info = example(tmp_path / "o", {"inputs": [[5.25, 3.5]]})
    servable = served(onnx_folder(tmp_path / "o", iris, saved_input_example_info=info))
    assert servable.predict(FOUR, {}).columns[0].data.tolist() == iris.predict(ROWS).tolist()


# --- python_function --------------------------------------------------------------------------------------------------

LOADER = """
import pathlib

class Sum:
    def __init__(self, path):
        self.bias = float((pathlib.Path(path) / "bias.txt").read_text())

    def predict(self, given):
        if hasattr(given, "columns"):
            return given.assign(sum=given.sum(axis=1) + self.bias)[["sum", "a"]]
        return given.sum(axis=1) + self.bias

_load_pyfunc = Sum
"""


@pytest.fixture
def forget_modules() -> Any:
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def function(folder: Path, module: str, inputs: str) -> Path:
    (folder / "code").mkdir(parents=True)
    (folder / "code" / f"{module}.py").write_text(LOADER)
    (folder / "data" / "weights").mkdir(parents=True)
    (folder / "data" / "weights" / "bias.txt").write_text("0.5")
    options = pyfunc(module, code="code", data="data/weights", streamable=False)
    return mlmodel(folder, {"python_function": options}, signature={"inputs": inputs})


@pytest.mark.usefixtures("forget_modules")
def test_a_function_with_a_loader_of_its_own_gets_a_frame_or_an_array(tmp_path: Path) -> None:
    servable = served(function(tmp_path / "m", "sum_loader_1", columns(a="double", n="long")))
    assert servable.metadata.outputs == (IOMetadata("sum", F64), IOMetadata("a", F64))
    assert servable.merge_key({}) is None, "nothing says that its rows are independent"
    batch = records((I64, ("n",), [[1], [2]]), (F64, ("a",), [[0.25], [4.0]]))
    answer = servable.predict(batch, {})
    assert {c.fields[0]: c.data.tolist() for c in answer.columns} == {"sum": [1.75, 6.5], "a": [0.25, 4.0]}

    servable = served(function(tmp_path / "n", "sum_loader_2", tensor("float32", -1, 3)))
    batch = Batch(1, (Column(F32, ("X",), np.array([[1, 2, 3]], np.float32)),), Layout.TENSORS)
    assert servable.predict(batch, {}).columns[0].data.tolist() == [6.5]
    assert loading.runs_code(tmp_path / "n", MLmodel())


def test_functions_of_mlflow_name_the_package_that_is_missing(tmp_path: Path) -> None:
    options = pyfunc("mlflow.pyfunc.model", python_model="python_model.pkl")
    folder = mlmodel(tmp_path / "m", {"python_function": options})
    loading.check(folder, MLmodel())
    with pytest.raises(LoadFailed, match=r"mlflow\.pyfunc\.model needs the package mlflow, which is not installed"):
        loading.load(folder, MLmodel(), Resources())


@pytest.mark.usefixtures("forget_modules")
def test_loaders_that_fail_say_how(tmp_path: Path) -> None:
    folder = function(tmp_path / "m", "sum_loader_3", columns(a="double"))
    (folder / "data" / "weights" / "bias.txt").unlink()
    with pytest.raises(LoadFailed, match="sum_loader_3: FileNotFoundError"):
        loading.load(folder, MLmodel(), Resources())
    (folder / "code" / "sum_loader_3.py").unlink()
    sys.modules.pop("sum_loader_3")
    with pytest.raises(LoadFailed, match="ModuleNotFoundError: No module named 'sum_loader_3'"):
        loading.load(folder, MLmodel(), Resources())
