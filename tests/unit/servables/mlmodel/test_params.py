"""Params of a signature: what reaches the model is what MLflow 3.17's own scoring server hands over for the same.

The values that come out were written down from ``mlflow.pyfunc.scoring_server.invocations``. Names that are none of the
signature's are refused here, where MLflow only logs them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skl2onnx import to_onnx
from sklearn.linear_model import LinearRegression

from forestflow.codecs.envelope import pack
from forestflow.codecs.table import OIP_REST, TFSERVING_REST, codec_for
from forestflow.domain.errors import ArtifactRejected, InvalidInput
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.independence import IndependentRows
from forestflow.domain.requests import OUTPUTS_KEY, PARAMS_KEY, SIGNATURE_KEY, MLmodel
from forestflow.domain.settings import Resources
from forestflow.domain.tensors import Batch, Column, IOMetadata, Layout, TensorType
from forestflow.servables import independence, loading
from forestflow.servables.estimators.estimator import Estimator
from forestflow.servables.estimators.inputs import Inputs
from forestflow.servables.estimators.servable import EstimatorServable
from forestflow.servables.mlmodel.params import Params
from tests.mlmodels import columns, mlmodel, pyfunc, sklearn_folder

# As MLflow 3.17 writes them.
PARAMS = [
    {"name": "temp", "default": 0.5, "shape": None, "type": "double"},
    {"name": "n", "default": 3, "shape": None, "type": "long"},
    {"name": "stop", "default": ["a"], "shape": [-1], "type": "string"},
    {"name": "flag", "default": False, "shape": None, "type": "boolean"},
    {"name": "when", "default": "2020-01-01T00:00:00", "shape": None, "type": "datetime"},
    {"name": "s", "default": None, "shape": None, "type": "string"},
    {
        "name": "o",
        "default": {"k": 1},
        "shape": None,
        "type": "object",
        "properties": {"k": {"type": "long", "required": True}},
    },
]
DEFAULTS = {"temp": 0.5, "n": 3, "stop": ["a"], "flag": False, "when": datetime(2020, 1, 1), "s": None, "o": {"k": 1}}

LOADER = """
calls = []

class Model:
    def predict(self, frame, ARGUMENTS):
        calls.append(PARAMS)
        return frame["a"]

def _load_pyfunc(path):
    return Model()
"""
FQRV = Fqrv(Contract("o", "p", 0), "v")
ONE = Batch(1, (Column(TensorType.Float64, ("a",), np.array([1.5])),), Layout.TENSORS)


@pytest.fixture(autouse=True)
def forget_modules() -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def signature(params: Any = PARAMS) -> dict[str, Any]:
    return {"inputs": columns(a="double"), "outputs": None, "params": json.dumps(params)}


def function(folder: Path, arguments: str = "params=None", seen: str = "params", **rest: Any) -> Any:
    (folder / "code").mkdir(parents=True)
    text = LOADER.replace("ARGUMENTS", arguments).replace("PARAMS", seen)
    (folder / "code" / "params_loader.py").write_text(text)
    described = {"signature": signature(), **rest}
    mlmodel(folder, {"python_function": pyfunc("params_loader", code="code")}, **described)
    return served(folder)


def served(folder: Path) -> Any:
    loading.check(folder, MLmodel())
    servable = loading.load(folder, MLmodel(), Resources())
    servable.warm_up()
    return servable


def given(servable: Any, configs: dict[str, str]) -> Any:
    """What the model was called with."""
    calls = sys.modules["params_loader"].calls
    calls.clear()
    servable.predict(ONE, configs)
    (params,) = calls
    return params


@pytest.fixture
def servable(tmp_path: Path) -> Any:
    return function(tmp_path / "m")


RIGHT = [
    ({"temp": 1}, {"temp": 1.0}),
    ({"temp": 1e-3}, {"temp": 0.001}),
    ({"temp": None}, {"temp": None}),
    ({"n": 2}, {"n": 2}),
    ({"stop": ["x", "y"]}, {"stop": ["x", "y"]}),
    ({"stop": []}, {"stop": []}),
    ({"flag": True}, {"flag": True}),
    ({"when": "2021-02-03T04:05:06"}, {"when": datetime(2021, 2, 3, 4, 5, 6)}),
    ({"when": "2021-02-03"}, {"when": date(2021, 2, 3)}),
    ({"when": "2021-02-03T04:05:06Z"}, {"when": datetime(2021, 2, 3, 4, 5, 6)}),
    ({"s": "x"}, {"s": "x"}),
    ({"o": {"k": 5}}, {"o": {"k": 5}}),
    ({"temp": 2.5, "n": 7, "s": "t"}, {"temp": 2.5, "n": 7, "s": "t"}),
    ({}, {}),
]


@pytest.mark.parametrize(("params", "came"), RIGHT)
def test_params_of_one_document(servable: Any, params: dict[str, Any], came: dict[str, Any]) -> None:
    found = given(servable, {PARAMS_KEY: json.dumps(params)})
    assert found == {**DEFAULTS, **came}
    assert {name: type(value) for name, value in found.items() if name in came} == {
        name: type(value) for name, value in came.items()
    }


@pytest.mark.parametrize(("params", "came"), RIGHT)
def test_params_by_name(servable: Any, params: dict[str, Any], came: dict[str, Any]) -> None:
    """Configs are texts: those of texts and datetimes as they are, all others JSON."""
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in params.items()}
    assert given(servable, {SIGNATURE_KEY: "predict", OUTPUTS_KEY: "", **texts}) == {**DEFAULTS, **came}


def test_params_that_are_not_given_have_their_defaults(servable: Any) -> None:
    first = given(servable, {})
    assert first == DEFAULTS
    first["stop"].append("changed")
    first["o"]["k"] = 2
    assert given(servable, {}) == DEFAULTS, "what a model does to its params is over with the call"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"temp": "1"}, "param 'temp' (double): expected double, got a text"),
        ({"temp": True}, "param 'temp' (double): expected double, got a boolean"),
        ({"temp": {"a": 1}}, "expected double, got an object"),
        ({"n": 1.5}, "param 'n' (long): expected long, got a fraction"),
        ({"n": 1.0}, "expected long, got a fraction"),
        ({"n": True}, "expected long, got a boolean"),
        ({"stop": "x"}, "param 'stop' (array of string): expected a list, got a text"),
        ({"stop": [1]}, "expected string, got a whole number"),
        ({"stop": None}, "expected a list, got null"),
        ({"flag": 1}, "param 'flag' (boolean): expected boolean, got a whole number"),
        ({"flag": "true"}, "expected boolean, got a text"),
        ({"when": "x"}, "param 'when' (datetime): 'x' is no datetime"),
        ({"when": 5}, "expected datetime, got a whole number"),
        ({"s": 5}, "param 's' (string): expected string, got a whole number"),
        ({"o": {"k": "x"}}, "expected long, got a text at .k"),
        ({"o": {"z": 5}}, "'k' is missing"),
        ({"o": None}, "got null"),
        ({"zzz": 5}, "the model has no param 'zzz'; it has 'temp' (double), 'n' (long), 'stop' (array of string), "),
    ],
)
def test_params_of_another_type_or_name_are_refused(servable: Any, params: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        servable.predict(ONE, {PARAMS_KEY: json.dumps(params)})
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("configs", "message"),
    [
        ({"zzz": "5"}, "the model has no param 'zzz'"),
        ({"temp": "warm"}, "param 'temp' (double): 'warm' is not JSON"),
        ({"temp": ""}, "'' is not JSON"),
        ({"n": "1.5"}, "expected long, got a fraction"),
        ({"flag": "True"}, "'True' is not JSON"),
        ({"stop": "x"}, "'x' is not JSON"),
        ({"when": "x"}, "'x' is no datetime"),
        ({PARAMS_KEY: "["}, "the params of the request are not JSON"),
        ({PARAMS_KEY: "[1]"}, "the params of the request must be an object, got a list"),
        ({PARAMS_KEY: '{"temp": NaN}'}, "the params of the request are not JSON"),
        ({PARAMS_KEY: '{"n": 5}', "n": "5"}, "param 'n' is given twice"),
        ({PARAMS_KEY: "[" * 100_000}, "the params of the request are not JSON"),
    ],
)
def test_configs_that_are_no_params_are_refused(servable: Any, configs: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        servable.predict(ONE, configs)
    assert message in caught.value.message


def test_what_clients_say_of_a_request_is_no_param(servable: Any) -> None:
    told = {"content_type": "pd", "sequence_id": "0", "priority": "1", "forestflow.something": "x"}
    assert given(servable, told) == DEFAULTS


@pytest.mark.parametrize(
    ("arguments", "seen", "came"),
    [
        ("params", "params", {**DEFAULTS, "n": 5}),
        ("context=None, *, params", "params", {**DEFAULTS, "n": 5}),
        ("**params", "params", {}),  # MLflow hands no keywords over
        ("n=None", "n", None),
        ("*more", "more", ()),
    ],
)
def test_models_get_params_as_mlflow_hands_them_over(
    tmp_path: Path, arguments: str, seen: str, came: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert given(function(tmp_path / "m", arguments, seen), {"n": "5"}) == came
    assert ("takes no params" in caplog.text) is (came in ({}, None, ())), "MLflow logs it, too"


@pytest.mark.parametrize("params", [None, "[]"])
def test_a_model_whose_signature_has_no_params_gets_none(tmp_path: Path, params: Any) -> None:
    """As in MLflow: an argument without a default is none the less given."""
    described = {"inputs": columns(a="double"), "params": params}
    servable = function(tmp_path / "m", "params", signature=described)
    assert given(servable, {"reqid": "1"}) is None


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ("[", "the params of the MLmodel file cannot be read"),
        ([{"name": "a", "type": "complex", "default": 1}], "the type 'complex' is not supported"),
        ([{"name": "a", "type": "long"}], "cannot be read: 'default'"),
        ([{"name": "a", "type": "long", "default": "x"}], "expected long, got a text"),
        ([{"name": "a", "type": "long", "default": 1, "shape": [2]}], "has the shape [2]; expected none, or [-1]"),
        ([{"name": "a", "type": "array", "items": {"type": "long"}, "default": [1]}], "is of the type array of long"),
        ([1], "cannot be read"),
        (5, "cannot be read"),
    ],
)
def test_params_that_cannot_be_read_are_refused_at_deploy(tmp_path: Path, params: Any, message: str) -> None:
    described = {"inputs": columns(a="double"), "params": params if params == "[" else json.dumps(params)}
    with pytest.raises(ArtifactRejected) as caught:
        function(tmp_path / "m", signature=described)
    assert message in caught.value.message


def test_numbers_are_not_narrowed(tmp_path: Path) -> None:
    """As in MLflow: a param is a number of Python's, whatever its type is called."""
    described = signature(
        [{"name": "f", "type": "float", "default": 0.1}, {"name": "i", "type": "integer", "default": 1}]
    )
    servable = function(tmp_path / "m", signature=described)
    assert given(servable, {}) == {"f": 0.1, "i": 1}
    assert given(servable, {"f": "0.2", "i": "1099511627776"}) == {"f": 0.2, "i": 1 << 40}


def test_older_files_say_dtype(tmp_path: Path) -> None:
    described = signature([{"name": "n", "dtype": "long", "default": 3}])
    assert given(function(tmp_path / "m", signature=described), {"n": "4"}) == {"n": 4}


def test_a_name_twice_in_one_object_is_refused(servable: Any) -> None:
    for configs in ({PARAMS_KEY: '{"n": 1, "n": 2}'}, {PARAMS_KEY: '{"o": {"k": 1, "\\u006b": 2}}'},
                    {"o": '{"k": 1, "k": 2}'}):  # fmt: skip
        with pytest.raises(InvalidInput, match=r"'[nk]' is given twice in one object"):
            servable.predict(ONE, configs)


def test_rows_are_tried_with_the_defaults(tmp_path: Path) -> None:
    """Of a model that takes params and of which nothing else is known."""
    seen = []

    def predict(frame: Any, params: Any) -> Any:
        seen.append(params)
        return frame["a"].to_numpy() * params["temp"]

    options = Params.of(signature())
    model = Estimator({"predict": predict}, frames="always", optioned=True)
    servable = EstimatorServable(model, Inputs((IOMetadata("a", TensorType.Float64),)), options=options)
    servable.warm_up()
    tried = len(seen)
    assert servable.independence()["predict"].shown
    assert len(seen) > tried
    assert all(params == DEFAULTS for params in seen)
    answer = servable.predict(ONE, {"temp": "2"})
    assert answer.columns[0].data.tolist() == [3.0]


# --- requests with different params never run as one batch ------------------------------------------------------------


def linear(folder: Path) -> Path:
    model = LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0])
    return sklearn_folder(folder, model, signature=signature())


def onnx(folder: Path) -> Path:
    model = LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0])
    folder = mlmodel(folder, {"onnx": {"data": "model.onnx"}}, signature=signature())
    (folder / "model.onnx").write_bytes(to_onnx(model, np.ones((1, 1), np.float32)).SerializeToString())
    return folder


@pytest.mark.parametrize("write", [linear, onnx])
def test_params_are_a_part_of_the_merge_key(tmp_path: Path, write: Any) -> None:
    servable = served(write(tmp_path / "m"))
    keys = [
        servable.merge_key(configs)
        for configs in ({}, {"n": "5"}, {"n": "6"}, {"s": "5"}, {PARAMS_KEY: '{"n": 5}'}, {"zzz": "1"})
    ]
    assert None not in keys
    assert len(set(keys)) == len(keys)
    assert servable.merge_key({"n": "5", "s": "1"}) == servable.merge_key({"s": "1", "n": "5"})


@pytest.mark.parametrize("wanted", [IndependentRows.AUTO, IndependentRows.YES])
def test_functions_are_merged_by_params_where_the_settings_say_that_they_may(servable: Any, wanted: Any) -> None:
    key = independence.merge_key(servable, independence.settled(servable, wanted))
    if wanted is IndependentRows.AUTO:
        assert key({}) is None
        return
    assert key({"n": "5"}) is not None
    assert key({"n": "5"}) == key({"n": "5"}) != key({"n": "6"})


@pytest.mark.parametrize("write", [linear, onnx])
def test_models_that_take_no_params_have_them_checked_all_the_same(
    tmp_path: Path, write: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """As in MLflow, whose scikit-learn and ONNX models make nothing of them."""
    servable = served(write(tmp_path / "m"))
    assert "takes no params: those of the signature are checked, and have no effect" in caplog.text
    batch = Batch(1, (Column(TensorType.Float64, ("a",), np.array([[1.5]])),))
    for configs in ({}, {"n": "5"}):
        assert servable.predict(batch, configs).columns[0].data.ravel().tolist() == pytest.approx([1.5])
    with pytest.raises(InvalidInput, match="the model has no param 'zzz'"):
        servable.predict(batch, {"zzz": "1"})


@pytest.mark.parametrize(
    ("name", "value"),
    [("temp", "NaN"), ("temp", "Infinity"), ("temp", "-Infinity"), ("n", "18446744073709551616"),
     ("n", "1180591620717411303424"), ("o", '{"k":NaN}')],
)  # fmt: skip
def test_numbers_that_no_param_holds_are_refused_by_every_protocol(servable: Any, name: str, value: str) -> None:
    tensor = '{"name": "a", "shape": [1], "datatype": "FP64", "data": [1.5]}'
    inference = f'{{"inputs": [{tensor}], "parameters": {{"{name}": {value}}}}}'
    serving = f'{{"instances": [1.5], "params": {{"{name}": {value}}}}}'
    for number, head, body in (
        (OIP_REST, {"json": None, "model": "m", "version": None}, inference),
        (TFSERVING_REST, {"verb": "predict", "signature": ""}, serving),
    ):
        request = codec_for(number, FQRV).decode(pack(head, body.encode()))
        with pytest.raises(InvalidInput, match="param"):
            servable.predict(request.batch, request.configs)
