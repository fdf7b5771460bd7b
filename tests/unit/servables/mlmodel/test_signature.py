"""Types of a signature beyond numbers and texts: what a model gets is what MLflow 3.17's own scoring server gives it.

The values that come out were written down from ``mlflow.pyfunc.scoring_server.invocations`` for the same signatures.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from forestflow.domain.errors import ArtifactRejected, ForestFlowError, InvalidInput
from forestflow.domain.requests import MLmodel
from forestflow.domain.settings import Resources
from forestflow.domain.tensors import DTYPES, Batch, Column, Layout, TensorType
from forestflow.servables import loading
from tests.mlmodels import columns, example, mlmodel, pyfunc, sklearn_folder

TEXT, BYTES, F64, I64 = TensorType.String, TensorType.Bytes, TensorType.Float64, TensorType.Int64

# Answers what it got: the dtype of each column, and its values as Python writes them.
LOADER = """
calls = []

class Echo:
    def predict(self, frame):
        calls.append(frame)
        seen = {name: [f"{frame[name].dtype} {value!r}" for value in frame[name].tolist()] for name in frame.columns}
        return {"seen": [repr({name: values[i] for name, values in seen.items()}) for i in range(len(frame))]}

def _load_pyfunc(path):
    return Echo()
"""


@pytest.fixture(autouse=True)
def forget_modules() -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def inputs(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"inputs": json.dumps(entries)}


def entry(name: str, type: str, **rest: Any) -> dict[str, Any]:  # as the file calls it
    return {"type": type, "name": name, "required": True, **rest}


def echo(folder: Path, signature: dict[str, Any], **rest: Any) -> Any:
    (folder / "code").mkdir(parents=True)
    (folder / "code" / "echo_loader.py").write_text(LOADER)
    mlmodel(folder, {"python_function": pyfunc("echo_loader", code="code")}, signature=signature, **rest)
    return served(folder)


def served(folder: Path) -> Any:
    loading.check(folder, MLmodel())
    servable = loading.load(folder, MLmodel(), Resources())
    servable.warm_up()
    return servable


def tensors(**given: tuple[TensorType, Any]) -> Batch:
    made = []
    for name, (kind, values) in given.items():
        data = np.array(values, DTYPES[kind])
        made.append(Column(kind, (name,), data))
    return Batch(len(made[0].data), tuple(made), Layout.TENSORS)


def answered(servable: Any, batch: Batch) -> dict[str, list[Any]]:
    found = {c.fields[0]: c.data.tolist() for c in servable.predict(batch, {}).columns}
    if found.keys() != {"seen"}:
        return found
    rows = [ast.literal_eval(text) for text in found["seen"]]
    return {name: [row[name] for row in rows] for name in rows[0]}


def refused(servable: Any, batch: Batch) -> str:
    with pytest.raises(InvalidInput) as caught:
        servable.predict(batch, {})
    return caught.value.message


# --- datetimes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "came"),
    [
        ("2020-01-01", "Timestamp('2020-01-01 00:00:00')"),
        ("2020-01-01T12:30:00.123456789", "Timestamp('2020-01-01 12:30:00.123456789')"),
        ("2020-01-01 12:00", "Timestamp('2020-01-01 12:00:00')"),
        ("2020-01", "Timestamp('2020-01-01 00:00:00')"),
        ("", "NaT"),
        ("NaT", "NaT"),
        ("null", "NaT"),
        ('"2020-01-01"', "Timestamp('2020-01-01 00:00:00')"),  # JSON, as TensorFlow Serving's REST form has it
        ('"20200102"', "Timestamp('2020-01-02 00:00:00')"),
        ('"2020"', "Timestamp('2020-01-01 00:00:00')"),
    ],
)
def test_datetimes_are_datetimes(tmp_path: Path, text: str, came: str) -> None:
    servable = echo(tmp_path / "m", inputs(entry("t", "datetime")))
    for kind, value in ((TEXT, text), (BYTES, text.encode())):
        assert answered(servable, tensors(t=(kind, [value]))) == {"t": [f"datetime64[ns] {came}"]}
    records = Batch(1, (Column(TEXT, ("t",), np.array([[text]], object)),))
    assert answered(servable, records) == {"t": [f"datetime64[ns] {came}"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nope", "input 't': 'nope' is no datetime; expected ISO 8601, as 2026-11-21T05:34:21"),
        ("2020-13-01", "'2020-13-01' is no datetime"),
        ("2020-W01-1", "'2020-W01-1' is no datetime"),
        ("today", "'today' is no datetime"),  # pandas takes it: the server's day
        ("2020-01-01T12:00:00Z", "'2020-01-01T12:00:00Z' has a zone; the model takes datetimes without"),
        ("2020-01-01T12:00:00+02:00", "has a zone"),
        ("9999-01-01", "'9999-01-01' is not between the years 1677 and 2262"),
        ("1600-01-01", "'1600-01-01' is not between the years 1677 and 2262"),
        ('"', "is no datetime"),
        (b"\xff", "a text that is not UTF-8"),
        ("true", "is no datetime"),
        ("2020", "'2020' is no datetime"),  # a JSON number: not that year
        ("1577836800000", "is no datetime"),
        ("1.5", "is no datetime"),
    ],
)
def test_what_is_no_datetime_is_refused(tmp_path: Path, text: Any, message: str) -> None:
    servable = echo(tmp_path / "m", inputs(entry("t", "datetime")))
    kind = BYTES if isinstance(text, bytes) else TEXT
    other = b"2020-01-01" if kind is BYTES else "2020-01-01"
    for values in ([text], [other, text]):
        assert message in refused(servable, tensors(t=(kind, values)))
    assert "input 't'" in refused(servable, tensors(t=(F64, [1.5])))


def test_datetimes_of_one_request_may_be_of_different_precision(tmp_path: Path) -> None:
    servable = echo(tmp_path / "m", inputs(entry("t", "datetime")))
    assert answered(servable, tensors(t=(TEXT, ["2020-01-01", "", "2020-01-01T00:00:00.5"]))) == {
        "t": [f"datetime64[ns] {v}" for v in ("Timestamp('2020-01-01 00:00:00')", "NaT",
                                              "Timestamp('2020-01-01 00:00:00.500000')")]
    }  # fmt: skip


def months(frame: Any) -> Any:
    return frame["when"].dt.month.fillna(0).to_numpy()[:, None]


def test_a_pipeline_takes_the_month_of_a_datetime(tmp_path: Path) -> None:
    when = pandas.to_datetime(["2020-01-31", "2020-05-01", "2021-12-24", "2020-05-02"])
    frame = pandas.DataFrame({"when": when, "x": [1.0, 2, 3, 5]})
    picked = ColumnTransformer([("month", FunctionTransformer(months), ["when"]), ("x", "passthrough", ["x"])])
    model = make_pipeline(picked, LinearRegression()).fit(frame, [1.0, 5.0, 12.0, 5.5])
    shown = example(tmp_path / "m", {"columns": ["when", "x"], "data": [["2020-01-31T00:00:00", 1.0]]})
    signature = inputs(entry("when", "datetime"), entry("x", "double"))
    servable = served(sklearn_folder(tmp_path / "m", model, signature=signature, saved_input_example_info=shown))
    texts = ["2022-07-01T10:00:00", ""]
    expected = model.predict(pandas.DataFrame({"when": pandas.to_datetime(texts), "x": [1.5, 2.5]}))
    answer = answered(servable, tensors(when=(TEXT, texts), x=(F64, [1.5, 2.5])))
    assert answer == {"prediction": expected.tolist()}
    described = [(io.name, io.type, io.description) for io in servable.metadata.inputs]
    assert described == [("when", TEXT, "datetime"), ("x", F64, None)]


def since_the_first(frame: Any) -> Any:
    return (frame["when"] - frame["when"].min()).dt.days.fillna(0).to_numpy()[:, None]


@pytest.mark.parametrize("shown", [False, True])
@pytest.mark.parametrize(("step", "independent"), [(months, True), (since_the_first, False)])
def test_rows_are_tried_with_different_datetimes(tmp_path: Path, step: Any, independent: bool, shown: bool) -> None:
    """An example of one row has one datetime, beside which the other columns change."""
    when = pandas.to_datetime(["2020-01-31", "2020-05-01", "2021-12-24", "2020-05-02"])
    frame = pandas.DataFrame({"when": when, "x": [1.0, 2, 3, 5]})
    picked = ColumnTransformer([("when", FunctionTransformer(step), ["when"]), ("x", "passthrough", ["x"])])
    model = make_pipeline(picked, LinearRegression()).fit(frame, [1.0, 5.0, 12.0, 5.5])
    rest = {}
    if shown:
        one = {"columns": ["when", "x"], "data": [["2020-01-31T00:00:00", 1.0]]}
        rest["saved_input_example_info"] = example(tmp_path / "m", one)
    signature = inputs(entry("when", "datetime"), entry("x", "double"))
    servable = served(sklearn_folder(tmp_path / "m", model, signature=signature, **rest))
    assert {name: found.shown for name, found in servable.independence().items()} == {"predict": independent}


@pytest.mark.parametrize("flavor", ["xgboost", "lightgbm"])
def test_boosters_take_no_datetimes(tmp_path: Path, flavor: str) -> None:
    folder = mlmodel(tmp_path / "m", {flavor: {"data": "model"}}, signature=inputs(entry("t", "datetime")))
    (folder / "model").write_bytes(b"")
    with pytest.raises(ArtifactRejected, match=f"the type 'datetime', which the flavor {flavor} does not take"):
        loading.check(folder, MLmodel())


# --- columns that a request need not have -----------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", [{"required": False}, {"optional": True}, {"required": None}])
def test_every_spelling_of_optional_columns(tmp_path: Path, spelling: dict[str, Any]) -> None:
    """``optional`` is what MLflow 2.0 to 2.8 writes; ``required`` may be null where a later one reads and writes it."""
    kinds = ({"type": "double"}, {"type": "datetime"}, {"type": "array", "items": {"type": "double"}})
    entries = [{"name": f"c{i}", **kind, **spelling} for i, kind in enumerate(kinds)]
    servable = echo(tmp_path / "m", inputs({"type": "long", "name": "n"}, *entries))
    assert [io.description for io in servable.metadata.inputs] == [
        None, "optional", "datetime, optional", "JSON: array of double, optional"
    ]  # fmt: skip
    # MLflow leaves the columns out that a request has not
    assert answered(servable, tensors(n=(I64, [1]))) == {"n": ["int64 1"]}
    assert answered(servable, tensors(n=(I64, [1]), c0=(F64, [1.5]))) == {"n": ["int64 1"], "c0": ["float64 1.5"]}
    assert answered(servable, tensors(n=(I64, [1]), c2=(TEXT, ["null"]))) == {"n": ["int64 1"], "c2": ["object None"]}
    assert "input 'n' is missing" in refused(servable, tensors(c0=(F64, [1.5])))


def test_columns_that_are_not_optional_in_older_files(tmp_path: Path) -> None:
    servable = echo(tmp_path / "m", inputs({"type": "long", "name": "n", "optional": False}))
    assert servable.metadata.inputs[0].description is None


def test_an_optional_datetime_of_a_pipeline_is_not_a_time(tmp_path: Path) -> None:
    frame = pandas.DataFrame({"when": pandas.to_datetime(["2020-01-31", None, "2021-12-24"]), "x": [1.0, 2, 3]})
    picked = ColumnTransformer([("month", FunctionTransformer(months), ["when"]), ("x", "passthrough", ["x"])])
    model = make_pipeline(picked, LinearRegression()).fit(frame, [1.0, 2.0, 12.0])
    signature = inputs(entry("when", "datetime", required=False), entry("x", "double"))
    servable = served(sklearn_folder(tmp_path / "m", model, signature=signature))
    missing = pandas.DataFrame({"when": pandas.to_datetime([None]), "x": [1.5]})
    assert answered(servable, tensors(x=(F64, [1.5]))) == {"prediction": model.predict(missing).tolist()}


# --- lists, objects, maps, anything -----------------------------------------------------------------------------------

DOUBLES = {"type": "array", "items": {"type": "double"}}
OBJECT = {
    "type": "object",
    "properties": {
        "a": {"type": "long", "required": True},
        "b": {"type": "double", "required": False},
        "l": {"type": "array", "items": {"type": "string"}, "required": False},
    },
}
MAP = {"type": "map", "values": {"type": "double"}}


@pytest.mark.parametrize(
    ("kind", "value", "came"),
    [
        (DOUBLES, [1.5, 2], "[1.5, 2.0]"),
        (DOUBLES, [1.5, None], "[1.5, nan]"),
        (DOUBLES, [], "[]"),
        ({"type": "array", "items": {"type": "long"}}, [1, 2], "[1, 2]"),
        ({"type": "array", "items": {"type": "string"}}, ["a", "b"], "['a', 'b']"),
        ({"type": "array", "items": {"type": "boolean"}}, [True, False], "[True, False]"),
        ({"type": "array", "items": DOUBLES}, [[1.5], [2.5, 3.5]], "[[1.5], [2.5, 3.5]]"),
        ({"type": "array", "items": OBJECT}, [{"a": 1}], "[{'a': 1}]"),
        (OBJECT, {"a": 1, "b": None}, "{'a': 1, 'b': None}"),
        (OBJECT, {"a": 1, "l": ["x"]}, "{'a': 1, 'l': ['x']}"),
        (MAP, {"k": 1.5}, "{'k': 1.5}"),
        (MAP, {}, "{}"),
        ({"type": "map", "values": {"type": "any"}}, {"a": 1, "b": [2]}, "{'a': 1, 'b': [2]}"),
        ({"type": "array", "items": {"type": "any"}}, [1, "a", {"b": 1}], "[1, 'a', {'b': 1}]"),
        ({"type": "any"}, {"q": [1, "a", None]}, "{'q': [1, 'a', None]}"),
        ({"type": "any"}, None, "None"),
        # what MLflow refuses without need: whole numbers for doubles, and single precision
        (DOUBLES, [1, 2], "[1.0, 2.0]"),
        ({"type": "array", "items": {"type": "float"}}, [0.1], "[0.10000000149011612]"),
        ({"type": "array", "items": {"type": "integer"}}, [1], "[1]"),
        ({"type": "array", "items": {"type": "datetime"}}, ["2020-01-01T12:00:00"],
         "[datetime.datetime(2020, 1, 1, 12, 0)]"),
    ],
)  # fmt: skip
def test_json_becomes_lists_and_objects(tmp_path: Path, kind: dict[str, Any], value: Any, came: str) -> None:
    servable = echo(tmp_path / "m", inputs(entry("c", **kind)))
    text = json.dumps(value)
    for given in ((TEXT, [text, text]), (BYTES, [text.encode()] * 2)):
        assert answered(servable, tensors(c=given)) == {"c": [f"object {came}"] * 2}


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (DOUBLES, ["x"], "input 'c', row 1: expected double, got a text at [0]"),
        (DOUBLES, 1.5, "expected array of double, got a fraction"),
        (DOUBLES, None, "expected array of double, got null"),
        (DOUBLES, [True], "expected double, got a boolean at [0]"),
        ({"type": "array", "items": {"type": "long"}}, [1, 1.0], "expected long, got a fraction at [1]"),
        ({"type": "array", "items": {"type": "long"}}, [1, None], "expected long, got null at [1]"),
        ({"type": "array", "items": {"type": "long"}}, [2**63], "expected long"),
        ({"type": "array", "items": {"type": "string"}}, [1], "expected string, got a whole number at [0]"),
        ({"type": "array", "items": {"type": "boolean"}}, [1], "expected boolean, got a whole number at [0]"),
        ({"type": "array", "items": {"type": "float"}}, [1e39], "1e+39 is more than float can hold at [0]"),
        ({"type": "array", "items": DOUBLES}, [[1.5], ["x"]], "expected double, got a text at [1][0]"),
        (OBJECT, {"b": 1.5}, "'a' is missing; expected object (a: long, b: double, optional, l: array of string, opt"),
        (OBJECT, {"a": 1, "z": 1}, "there is no 'z' in object ("),
        (OBJECT, {"a": None}, "expected long, got null at .a"),
        (OBJECT, {"a": "1"}, "expected long, got a text at .a"),
        (OBJECT, {"a": 1, "l": [5]}, "expected string, got a whole number at .l[0]"),
        (OBJECT, [1], "got a list"),
        (MAP, {"k": "v"}, "expected double, got a text at .k"),
    ],
)
def test_json_of_another_type_is_refused(tmp_path: Path, kind: dict[str, Any], value: Any, message: str) -> None:
    servable = echo(tmp_path / "m", inputs(entry("c", **kind)))
    right = {"array": "[]", "object": '{"a": 1}', "map": "{}"}[kind["type"]]
    assert message in refused(servable, tensors(c=(TEXT, [right, json.dumps(value)])))


def test_what_is_not_json_is_refused(tmp_path: Path) -> None:
    servable = echo(tmp_path / "m", inputs(entry("c", "any")))
    for text in ("[1", "", "NaN", "[" * 100_000, "\ud800"):
        assert "is not JSON; expected any" in refused(servable, tensors(c=(TEXT, [text])))
    assert "not UTF-8" in refused(servable, tensors(c=(BYTES, [b"\xff"])))
    servable = echo(tmp_path / "n", inputs(entry("c", "array", items={"type": "double"})))
    assert "input 'c', row 0: expected array of double, got a fraction" in refused(servable, tensors(c=(F64, [1.5])))


def test_a_name_twice_in_one_object_is_refused(tmp_path: Path) -> None:
    """As in the JSON of every protocol: programs differ in which of the two they take (RFC 8259, section 4)."""
    servable = echo(tmp_path / "m", inputs(entry("c", "any")))
    assert answered(servable, tensors(c=(TEXT, ['{"a": ":", "b:c": 1}']))) == {"c": ["object {'a': ':', 'b:c': 1}"]}
    for text in ('{"a": 1, "a": 2}', '[{"b": {"a": 1, "\\u0061": 2}}]'):
        for given in ((TEXT, ["{}", text]), (BYTES, [b"{}", text.encode()])):
            assert "input 'c', row 1: 'a' is given twice in one object" in refused(servable, tensors(c=given))


def test_columns_of_different_lengths_are_refused(tmp_path: Path) -> None:
    servable = echo(tmp_path / "m", inputs(entry("c", "array", items={"type": "double"}), entry("n", "long")))
    lists, numbers = Column(TEXT, ("c",), np.array(["[1]"] * 3, object)), np.array([1, 2])
    for data in (numbers, numbers[0]):
        batch = Batch.of_tensors([lists, Column(I64, ("n",), np.asarray(data))])
        assert "different numbers of rows, or one is a scalar" in refused(servable, batch)


def test_numeric_tensors_are_lists_below_the_rows(tmp_path: Path) -> None:
    """As MLServer's pandas codec has it."""
    servable = echo(tmp_path / "m", inputs(entry("c", "array", items={"type": "double"}), entry("n", "long")))
    batch = tensors(c=(F64, [[1.5, np.inf], [2.5, 3.5]]), n=(I64, [1, 2]))
    assert answered(servable, batch)["c"] == ["object [1.5, inf]", "object [2.5, 3.5]"]
    records = Batch(1, (Column(F64, ("c",), np.array([[1.5, 2.5]])), Column(I64, ("n",), np.array([[1]]))))
    assert answered(servable, records)["c"] == ["object [1.5, 2.5]"]
    nested = echo(tmp_path / "n", inputs(entry("c", "array", items=DOUBLES)))
    unnamed = Batch(1, (Column(F64, ("",), np.array([[[1.5], [2.5]]])),), Layout.TENSORS)
    assert answered(nested, unnamed) == {"c": ["object [[1.5], [2.5]]"]}


@pytest.mark.parametrize("kind", ["array", "object", "map", "any"])
@pytest.mark.parametrize("flavor", ["sklearn", "xgboost", "lightgbm"])
def test_flavors_that_take_no_lists_are_refused_at_deploy(tmp_path: Path, flavor: str, kind: str) -> None:
    folder = mlmodel(tmp_path / "m", {flavor: {"data": "model", "pickled_model": "model"}}, signature=inputs(
        entry("c", kind, items={"type": "double"}, values={"type": "double"}, properties={})))  # fmt: skip
    (folder / "model").write_bytes(b"")
    with pytest.raises(ArtifactRejected, match="does not take; python_function can"):
        loading.check(folder, MLmodel())


@pytest.mark.parametrize(
    "declared",
    [{"type": "array"}, {"type": "array", "items": {"type": "complex"}}, {"type": "object"}, {"type": "map"},
     {"type": "sparkml vector"}, {"type": "array", "items": 1}, {"type": "object", "properties": [1]}],
)  # fmt: skip
def test_types_that_are_none_are_refused_at_deploy(tmp_path: Path, declared: dict[str, Any]) -> None:
    with pytest.raises(ForestFlowError, match="the signature of the MLmodel file cannot be read"):
        echo(tmp_path / "m", inputs({"name": "c", **declared}))


@pytest.mark.parametrize(
    ("shown", "first"),
    [
        (
            {"columns": ["l", "t"], "data": [[[1.5], "2020-01-01T00:00:00"], [[2.5, 3.5], None]]},
            [[1.5], [2.5, 3.5]],
        ),
        ({"inputs": {"columns": ["l", "t"], "data": [[[1.5], None]]}, "params": {"temp": 0.5}}, [[1.5], [1.5]]),
        ([{"l": [1.5, 2.5], "t": "2020-01-01T00:00:00"}], [[1.5, 2.5], [1.5, 2.5]]),
    ],
)
def test_examples_of_lists_and_datetimes_rehearse(tmp_path: Path, shown: Any, first: Any) -> None:
    """The forms are those that MLflow 3.17 writes."""
    info = example(tmp_path / "m", shown)
    signature = inputs(entry("l", **DOUBLES), entry("t", "datetime"))
    echo(tmp_path / "m", signature, saved_input_example_info=info)
    given = sys.modules["echo_loader"].calls[0]
    assert [row["l"] for row in given.to_dict("records")] == first
    assert given["t"].dtype == "datetime64[ns]"


# --- texts ------------------------------------------------------------------------------------------------------------


def test_a_text_is_the_same_text_over_every_protocol(tmp_path: Path) -> None:
    """gRPC has bytes for texts: an encoder that ignores what it does not know would answer something else."""
    frame = pandas.DataFrame({"colour": ["red", "blue", "red", "green"], "x": [1.0, 2, 3, 4]})
    picked = ColumnTransformer([("one", OneHotEncoder(handle_unknown="ignore"), ["colour"])], remainder="passthrough")
    model = make_pipeline(picked, LinearRegression()).fit(frame, [1.0, 9.0, 3.0, 7.0])
    servable = served(sklearn_folder(tmp_path / "m", model, signature={"inputs": columns(colour="string", x="double")}))
    expected = {"prediction": model.predict(frame).tolist()}
    x = (F64, frame["x"])
    assert answered(servable, tensors(colour=(TEXT, frame["colour"]), x=x)) == expected
    encoded = [colour.encode() for colour in frame["colour"]]
    assert answered(servable, tensors(colour=(BYTES, encoded), x=x)) == expected
    assert "not UTF-8" in refused(servable, tensors(colour=(BYTES, [b"\xff"]), x=(F64, [1.0])))


def test_bytes_are_bytes_over_every_protocol(tmp_path: Path) -> None:
    servable = echo(tmp_path / "m", inputs(entry("b", "binary")))
    for kind, value in ((TEXT, "x"), (BYTES, b"x")):
        assert answered(servable, tensors(b=(kind, [value]))) == {"b": ["object b'x'"]}


# --- an only column without a name ------------------------------------------------------------------------------------


def test_an_only_column_need_have_no_name(tmp_path: Path) -> None:
    """As MLflow writes it where a function has type hints."""
    servable = echo(tmp_path / "m", inputs({"type": "datetime", "required": True}))
    unnamed = Batch(1, (Column(TEXT, ("",), np.array(["2020-01-01"], object)),), Layout.TENSORS)
    assert answered(servable, unnamed) == {"X": ["datetime64[ns] Timestamp('2020-01-01 00:00:00')"]}
    servable = echo(tmp_path / "n", inputs({"type": "map", "values": {"type": "any"}, "required": True}))
    unnamed = Batch(1, (Column(TEXT, ("",), np.array(['{"a": 1}'], object)),), Layout.TENSORS)
    assert answered(servable, unnamed) == {"X": ["object {'a': 1}"]}
