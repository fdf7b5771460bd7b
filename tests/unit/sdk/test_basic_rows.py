"""Python values as BASIC requests and back."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from forestflow.codecs.basic.codec import decode_request
from forestflow.sdk.basic import basic_request, prediction, rows_of


def tensor(type_: str, *data: object) -> dict[str, object]:
    return {type_: {"data": list(data)}}


def test_scalars_of_one_type_share_an_entry() -> None:
    request = basic_request(
        [{"a": 1.5, "s": "x", "b": 2, "i": 7, "t": True}, {"a": 1, "s": "y", "b": 2.5, "i": 8, "t": False}],
        configs={"k": "v"},
        types={"i": "Int64"},
    )
    assert request == {
        "schema": [
            {"type": "Float64", "fields": ["a", "b"]},
            {"type": "String", "fields": ["s"]},
            {"type": "Int64", "fields": ["i"]},
            {"type": "Bool", "fields": ["t"]},
        ],
        "datum": [
            {"tensors": [tensor("Float64", 1.5, 2), tensor("String", "x"), tensor("Int64", 7), tensor("Bool", True)]},
            {"tensors": [tensor("Float64", 1, 2.5), tensor("String", "y"), tensor("Int64", 8), tensor("Bool", False)]},
        ],
        "configs": {"k": "v"},
    }


def test_the_names_of_unknown_fields_are_read_from_their_header() -> None:
    raw = {"Prediction": {"fqrv": {}, "schema": [], "datum": []}}
    assert prediction(raw, "id").unknown_fields == ()
    assert prediction(raw, "id", "Temp,Wind%20speed,a%2Cb,gr%C3%B6%C3%9Fe").unknown_fields == (
        "Temp", "Wind speed", "a,b", "größe",
    )  # fmt: skip


def test_lists_arrays_types_and_bytes() -> None:
    request = basic_request(
        [{"image": np.ones((2, 2), np.float32), "x": np.float64(2), "raw": b"\xff", "n": 3}],
        types={"n": "Int32"},
    )
    assert request["schema"] == [
        {"type": "Float64", "fields": ["image"]},
        {"type": "Float64", "fields": ["x"]},
        {"type": "Bytes", "fields": ["raw"]},
        {"type": "Int32", "fields": ["n"]},
    ]
    assert request["datum"][0]["tensors"] == [
        {"Float64": {"data": [1.0, 1.0, 1.0, 1.0]}},
        {"Float64": {"data": [2.0]}},
        {"Byte": {"data": ["/w=="]}},
        {"Int32": {"data": [3]}},
    ]


def test_numbers_that_json_lacks_travel_as_text() -> None:
    request = basic_request([{"a": math.nan, "b": math.inf, "c": -math.inf}])
    assert request["datum"][0]["tensors"][0] == {"Float64": {"data": ["NaN", "Infinity", "-Infinity"]}}
    json.dumps(request, allow_nan=False)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "no rows"),
        ([{"a": 1}, {"b": 1}], r"row 1 differs from row 0 in the fields \['a', 'b'\]"),
        ([{"a": None}], "field 'a' holds NoneType"),
        ([{"a": 1}, {"a": "x"}], "field 'a' holds int, str"),
    ],
)
def test_rows_that_make_no_request(rows: list[dict[str, object]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        basic_request(rows)


def test_whole_numbers_beside_fractions_are_numbers_like_them() -> None:
    request = basic_request([{"t": 33.2, "h": 30}])
    assert request["schema"] == [{"type": "Float64", "fields": ["t", "h"]}]
    assert basic_request([{"t": 33, "h": 30}])["schema"] == [{"type": "Int64", "fields": ["t", "h"]}]
    assert basic_request([{"v": [1.5], "n": 1}])["schema"][1] == {"type": "Int64", "fields": ["n"]}


def test_columns() -> None:
    assert rows_of({"a": np.arange(2), "b": ["x", "y"]}) == [{"a": 0, "b": "x"}, {"a": 1, "b": "y"}]
    with pytest.raises(ValueError, match="columns differ in length"):
        rows_of({"a": [1], "b": [1, 2]})


def test_predictions() -> None:
    raw = {
        "Prediction": {
            "fqrv": {"contract": {"organization": "o", "project": "p", "contractNumber": 0}, "releaseVersion": "v"},
            "schema": [{"type": "Float64", "fields": ["vector"]}, {"type": "Int64", "fields": ["n"]}],
            "datum": [{"tensors": [{"Float64": {"data": [1.5, 2.5]}}, {"Int64": {"data": ["9007199254740993"]}}]}],
        }
    }
    answer = prediction(raw, "id")
    assert answer.rows == [{"vector": [1.5, 2.5], "n": 9007199254740993}]
    assert (answer.release, answer.request_id, answer.raw) == ("o/p/0/v", "id", raw)


def test_what_is_made_is_read_by_the_codec() -> None:
    request = basic_request([{"a": 1.5, "s": "x", "i": 7, "t": True, "l": [1.0, 2.0], "nan": math.nan, "b": b"\xff"}])
    decoded = decode_request(json.dumps(request).encode())
    assert decoded.batch.rows == 1
