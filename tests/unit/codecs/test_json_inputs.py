"""TensorFlow Serving's bodies for models with inputs that take JSON: such values come as the texts that they were."""

from __future__ import annotations

import json
from typing import Any

import pytest

from forestflow.codecs.envelope import pack
from forestflow.codecs.json.long_json import LONG
from forestflow.codecs.table import CODECS, TFSERVING_REST, codec_for
from forestflow.domain.errors import InvalidInput, Malformed
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.requests import PARAMS_KEY, SIGNATURE_KEY
from forestflow.domain.tensors import IOMetadata, Layout, ModelMetadata, TensorType

FQRV = Fqrv(Contract("o", "p", 0), "1")
LISTS = IOMetadata("l", TensorType.String, json=True)
OBJECTS = IOMetadata("o", TensorType.String, json=True)
NUMBERS = IOMetadata("x", TensorType.Float64)
ALL = ModelMetadata((LISTS, NUMBERS, OBJECTS))
ONLY = ModelMetadata((LISTS,))


def read(document: Any, model: ModelMetadata = ALL, verb: str = "predict") -> Any:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return codec_for(TFSERVING_REST, FQRV, model).decode(pack({"verb": verb, "signature": ""}, body))


def columns(request: Any) -> dict[str, Any]:
    return {c.fields[0]: (c.type.name, c.data.tolist()) for c in request.batch.columns}


ROWS = [
    {"l": [1.5, [2]], "x": 1, "o": {"a": [None, "ä"]}},
    {"l": [], "x": 2.5, "o": {}},
    {"l": None, "x": 3, "o": None},
]
READ = {
    "l": ("String", ["[1.5, [2]]", "[]", "null"]),
    "x": ("Float64", [1.0, 2.5, 3.0]),
    "o": ("String", ['{"a": [null, "ä"]}', "{}", "null"]),
}


def test_rows_of_named_values() -> None:
    request = read(json.dumps({"instances": ROWS}, ensure_ascii=False).encode())
    assert columns(request) == READ
    assert (request.batch.rows, request.batch.layout) == (3, Layout.TENSORS)
    codec = codec_for(TFSERVING_REST, FQRV, ALL)
    assert json.loads(codec.encode(request.batch, request.context))["predictions"][2]["x"] == 3.0
    with pytest.raises(InvalidInput, match="has 1 rows for 3 in the request"):
        codec.encode(request.batch.slice(0, 1), request.context)


def test_columns_of_values() -> None:
    document = {"inputs": {name: [row[name] for row in ROWS] for name in ("l", "x", "o")}}
    request = read(json.dumps(document, ensure_ascii=False).encode())
    assert columns(request) == READ
    assert "outputs" in json.loads(codec_for(TFSERVING_REST, FQRV, ALL).encode(request.batch, request.context))


@pytest.mark.parametrize("key", ["instances", "inputs"])
def test_values_of_the_only_input(key: str) -> None:
    values = [[1, [2]], [], "text", None, 1.5]
    assert columns(read({key: values}, ONLY)) == {"l": ("String", [json.dumps(value) for value in values])}
    named = [{"l": value} for value in values] if key == "instances" else {"l": values}
    assert columns(read({key: named}, ONLY)) == {"l": ("String", [json.dumps(value) for value in values])}


def test_numbers_stay_as_they_were_written() -> None:
    body = b'{"instances": [{"l": [1e400, 123456789012345678901234567890, 1.0], "x": 1, "o": 1.10}]}'
    found = columns(read(body))
    assert found["l"][1] == ["[1e400, 123456789012345678901234567890, 1.0]"]
    assert found["o"][1] == ["1.10"]


def test_long_bodies_say_the_same() -> None:
    rows = [{"l": list(range(i % 5)), "x": i / 2, "o": {"k": "v" * (i % 7)}} for i in range(5000)]
    body = json.dumps({"signature_name": "predict", "instances": rows, "params": {"n": 1}}).encode()
    assert len(body) > 5 * LONG
    request = read(body)
    assert columns(request) == {
        "l": ("String", [json.dumps(row["l"]) for row in rows]),
        "x": ("Float64", [row["x"] for row in rows]),
        "o": ("String", [json.dumps(row["o"]) for row in rows]),
    }
    assert request.configs == {SIGNATURE_KEY: "predict", PARAMS_KEY: '{"n": 1}'}
    lanes = {name: [row[name] for row in rows] for name in ("l", "x", "o")}
    assert columns(read({"inputs": lanes})) == columns(request)
    one = {"l": list(range(3 * LONG)), "x": 1.5, "o": "text" * LONG}
    assert columns(read({"instances": [one]}))["l"] == ("String", [json.dumps(one["l"])])
    assert columns(read({"instances": [one["l"]]}, ONLY)) == {"l": ("String", [json.dumps(one["l"])])}


@pytest.mark.parametrize(
    ("document", "model", "message"),
    [
        ({"instances": [{"l": [1]}, {"x": 1}]}, ALL, "Keys must be equal to: l"),
        ({"instances": [{"l": [1]}, [1]]}, ALL, "Expecting object but got list at item 1"),
        ({"instances": [[1], {"l": 1}]}, ONLY, "Expecting value/list but got object"),
        ({"instances": []}, ALL, "No values in 'instances' array"),
        ({"instances": {}}, ALL, "Expecting 'instances' to be an list/array"),
        ({"instances": [[1]], "inputs": [[1]]}, ONLY, "expecting only one of 'inputs' or 'instances'"),
        ({"instances": [{"x": {}, "l": 1}]}, ALL, "input 'x' holds an object"),
        ({"instances": [{"l": 1}], "signature_name": 5}, ALL, "'signature_name' key must be a string value"),
        ({}, ALL, "Missing 'inputs' or 'instances' key"),
        ({"inputs": {}}, ALL, "the request has no inputs"),
        ({"inputs": {"l": [1], "x": {}}}, ALL, "holds an object"),
        (b'{"instances": [{"l": [1}]}', ALL, "JSON Parse error"),
        (b'{"instances": [{"l": "\xff"}]}', ALL, "JSON Parse error"),
        (b"[", ALL, "JSON Parse error"),
        (b"[1]", ALL, "JSON Value: Is not object"),
        (b'{"instances": ' + b"[" * 100_000, ONLY, "JSON Parse error"),
    ],
)
def test_what_is_wrong_is_refused_in_the_same_words(document: Any, model: ModelMetadata, message: str) -> None:
    with pytest.raises((InvalidInput, Malformed), match=message):
        read(document, model)


def test_rows_of_other_verbs_and_b64_are_read_as_ever() -> None:
    request = read({"examples": [{"l": [1, 2]}]}, verb="classify")
    assert columns(request) == {"l": ("Int64", [[1, 2]])}
    assert columns(read({"instances": [{"b64": "eA=="}]}, ONLY)) == {"": ("Bytes", [b"x"])}


@pytest.mark.parametrize("number", CODECS)
def test_codecs_are_made_for_a_model(number: int) -> None:
    assert codec_for(number, FQRV, ALL)


# --- a name twice in one object ---------------------------------------------------------------------------------------

LONG_LIST = json.dumps(list(range(LONG)))


@pytest.mark.parametrize(
    ("model", "body", "member"),
    [
        (ALL, '{"instances":[{"l":[1],"x":1}]%s}', '"instances":[{"l":[2],"x":1}]'),
        (ALL, '{"instances":[{"l":[1],"x":1%s}]}', '"l":[2]'),
        (ALL, '{"instances":[{"l":[1],"x":1},{"l":[1],"x":1%s}]}', '"x":2'),
        (ALL, '{"inputs":{"l":[[1]],"x":[1]%s}}', '"l":[[2]]'),
        (ALL, '{"instances":[{"l":[1],"x":1}],"params":{"n":1%s}}', '"n":2'),
        (ONLY, '{"instances":[[1]]%s}', '"instances":[[2]]'),
        (ONLY, '{"instances":[{"l":1%s}]}', '"l":[2]'),
        # long bodies, lists and rows, which are read a piece at a time
        (ALL, '{"instances":[{"l":%l,"x":1%s}]}', '"l":[2]'),
        (ALL, '{"instances":[{"l":[1],"x":1%s},{"l":%l,"x":1}]}', '"l":[2]'),
        (ALL, '{"instances":[{"l":%l,"x":1}]%s}', '"instances":[{"l":[2],"x":1}]'),
        (ALL, '{"instances":[{"l":%l,"x":1}],"a":1%s}', '"a":2'),
        (ALL, '{"inputs":{"l":[%l],"x":[1]%s}}', '"x":[2]'),
        (ALL, '{"inputs":{"l":[%l],"x":[1]%s}}', '"l":[2]'),
    ],
)
def test_a_name_twice(model: ModelMetadata, body: str, member: str) -> None:
    body = body.replace("%l", LONG_LIST)
    read(body.replace("%s", "").encode(), model)
    name, _, value = member.partition(":")
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in name.strip('"'))
    for again in (member, f'"{escaped}" :{value}'):
        with pytest.raises(Malformed, match=f"{name.strip(chr(34))!r} is given twice in one object"):
            read(body.replace("%s", f",{again}").encode(), model)


def test_names_and_texts_may_hold_colons() -> None:
    odd = ModelMetadata((IOMetadata("a:b", TensorType.String, json=True),))
    for one in ({"c:d": "e:f"}, "g:h"):
        for document in ({"instances": [{"a:b": one}] * 3}, {"inputs": {"a:b": [one] * 3}}):
            assert columns(read(document, odd)) == {"a:b": ("String", [json.dumps(one)] * 3)}


# --- params beside the inputs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [ALL, ModelMetadata((NUMBERS,))])
def test_params_are_a_config(model: ModelMetadata) -> None:
    request = read({"instances": [{"x": 1.5}], "params": {"temp": 0.5, "stop": ["a"], "s": "0.5"}}, model)
    assert json.loads(request.configs[PARAMS_KEY]) == {"temp": 0.5, "stop": ["a"], "s": "0.5"}
    request = read({"signature_name": "p", "inputs": {"x": [1.5]}, "params": 5}, model)
    assert request.configs == {SIGNATURE_KEY: "p", PARAMS_KEY: "5"}
    assert read({"instances": [[1.5]]}, ModelMetadata((NUMBERS,))).configs == {}


def test_params_that_are_no_numbers_stay_for_the_model_to_refuse() -> None:
    body = b'{"instances": [{"x": 1.5}], "params": {"temp": NaN}}'
    assert read(body, ModelMetadata((NUMBERS,))).configs[PARAMS_KEY] == '{"temp": NaN}'


def test_long_params_are_refused() -> None:
    document = {"instances": [[1.5]], "params": {"stop": [1.5] * LONG}}
    with pytest.raises(InvalidInput, match="'params' holds a list of more than 32768 bytes"):
        read(document, ModelMetadata((NUMBERS,)))
