"""BASIC requests: what is accepted, what it means, and how the rest is refused. Oracle: google.protobuf.json_format."""

import json
import subprocess
import sys

import numpy as np
import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st

from forestflow.codecs.basic import body as basic_body
from forestflow.codecs.basic import codec as basic
from forestflow.codecs.basic import protobuf
from forestflow.codecs.basic.codec import decode_request
from forestflow.domain.errors import InvalidInput, Malformed
from forestflow.domain.tensors import DTYPES, TensorType
from tests.profiles import up_to
from tests.unit.codecs.strategies import assert_same, inference_requests


def body(schema, *datums, **more) -> bytes:
    """Schema entries as (type, fields...), datums as lists of (key, values)."""
    document = {
        "schema": [{"type": kind, "fields": list(fields)} for kind, *fields in schema],
        "datum": [{"tensors": [{key: {"data": values}} for key, values in datum]} for datum in datums],
    }
    return json.dumps(document | more).encode()


@settings(deadline=None)
@given(inference_requests(), st.sampled_from([None, 1]))
def test_configs_are_read_alone(message, indent):
    text = json.dumps(MessageToDict(message), indent=indent).encode()
    assert basic.decode_configs(text) == protobuf.decode_configs(message.SerializeToString()) == dict(message.configs)


def test_configs_of_what_is_no_request_are_refused():
    for wrong in (b"", b"{", b"[]", b'{"configs":{"a":1}}'):
        with pytest.raises(Malformed):
            basic.decode_configs(wrong)


@settings(deadline=None, max_examples=up_to(300))
@given(inference_requests(), st.booleans(), st.booleans(), st.sampled_from([None, 1]))
def test_what_protobuf_prints_is_read_exactly(message, snake_case, enum_numbers, indent):
    document = MessageToDict(message, preserving_proto_field_name=snake_case, use_integers_for_enums=enum_numbers)
    text = json.dumps(document, indent=indent).encode()
    ours, theirs = decode_request(text), protobuf.from_message(message)
    assert ours.configs == dict(message.configs)
    assert_same(ours.batch, theirs.batch)
    assert_same(basic_body._decode_any(text).batch, theirs.batch)
    assert_same(decode_request(memoryview(text)).batch, theirs.batch)


@settings(deadline=None, max_examples=up_to(200))
@given(inference_requests())
def test_columns_hold_the_values_of_the_message(message):
    batch = protobuf.from_message(message).batch
    for i, column in enumerate(batch.columns):
        for row, datum in zip(column.data, message.datum, strict=True):
            tensor = datum.tensors[i]
            values = getattr(tensor, tensor.WhichOneof("sealed_value")).data
            np.testing.assert_array_equal(row, np.array(list(values), dtype=column.data.dtype))


def test_every_type_has_its_dtype_and_shape():
    values = {"String": ["a"], "Byte": ["YQ=="], "Bool": [True]}
    for kind in TensorType:
        key = "Byte" if kind is TensorType.Bytes else kind.name
        (column,) = decode_request(body([(kind.name, "x")], [(key, values.get(key, [1]) * 3)])).batch.columns
        assert column.data.dtype == DTYPES[kind]
        assert column.data.shape == (1, 3)


@pytest.mark.parametrize(
    ("key", "given_values", "values"),
    [
        ("Float64", ["1.5", "-2e3", 4, "NaN", "Infinity", "-Infinity"], [1.5, -2e3, 4, np.nan, np.inf, -np.inf]),
        ("Float32", ["1.5", 2], [1.5, 2]),
        ("Float32", [3.4028235e38, "-3.4028235e+38"], [np.finfo("f4").max, np.finfo("f4").min]),
        ("Float16", ["1.5", 65504], [1.5, 65504]),
        ("Int64", ["9223372036854775807", -9223372036854775808, "3.0", "1e2"], [2**63 - 1, -(2**63), 3, 100]),
        ("Int32", [1.0, 1e2, "7", -0.0], [1, 100, 7, 0]),
        ("Int8", ["-128", 127], [-128, 127]),
        ("Byte", ["-_8", "+/8=", ""], [b"\xfb\xff", b"\xfb\xff", b""]),
    ],
)
def test_protobufs_leniency(key, given_values, values):
    name = "Bytes" if key == "Byte" else key
    (column,) = decode_request(body([(name, "x")], [(key, given_values)])).batch.columns
    np.testing.assert_array_equal(column.data[0], np.array(values, dtype=column.data.dtype))


def test_null_is_absent():
    request = decode_request(
        b'{"schema":[{"type":5,"fields":["a","b"]}],"configs":null,"datum":['
        b'{"tensors":[{"Float64":null,"Int16":{"data":[1,2],"tensorType":null}}]}]}'
    )
    assert request.configs == {}
    assert request.batch.columns[0].data.tolist() == [[1, 2]]


def test_of_two_members_of_the_oneof_the_lowest_number_counts():
    tensor = {"Float64": {"data": [1.5]}, "Int8": {"data": [3]}}
    text = json.dumps({"schema": [{"type": "Int8", "fields": ["x"]}], "datum": [{"tensors": [tensor]}]})
    (column,) = decode_request(text.encode()).batch.columns
    assert column.type is TensorType.Int8
    assert column.data.tolist() == [[3]]


def test_tensors_find_their_entry_by_type_in_any_order():
    text = body(
        [("String", "s"), ("Float64", "f", "g")],
        [("Float64", [1, 2]), ("String", ["a"])],
        [("String", ["b"]), ("Float64", [3, 4])],
    )
    strings, floats = decode_request(text).batch.columns
    assert strings.data.tolist() == [["a"], ["b"]]
    assert floats.data.tolist() == [[1, 2], [3, 4]]


def test_several_entries_of_one_type_take_the_tensors_in_order():
    text = body(
        [("Float64", "a"), ("Int8", "i"), ("Float64", "b")], [("Float64", [1]), ("Float64", [2, 3]), ("Int8", [4])]
    )
    columns = decode_request(text).batch.columns
    assert [(c.fields, c.data.tolist()) for c in columns] == [(("a",), [[1]]), (("i",), [[4]]), (("b",), [[2, 3]])]


def test_a_single_tensor_takes_the_last_entry_of_its_type_as_in_the_original():
    (column,) = decode_request(body([("Float64", "a"), ("Float64", "b")], [("Float64", [1])])).batch.columns
    assert column.fields == ("b",)


def test_entries_without_data_make_no_column():
    (column,) = decode_request(body([("String", "s"), ("Float64", "f")], [("Float64", [1])])).batch.columns
    assert column.fields == ("f",)


def test_a_schema_too_long_for_the_fast_path():
    schema = [("Float64", f"x{i}") for i in range(100)]
    batch = decode_request(body(schema, [("Float64", [i]) for i in range(100)])).batch
    assert [column.data.item() for column in batch.columns] == list(range(100))


F = ("Float64", "a", "b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (body([F]), "No input data provided"),
        (b"{}", "No input data provided"),
        (body([F], []), "No input data provided"),
        (body([F], [], [("Float64", [1, 2])]), "No input data provided"),
        (
            body([F], [("Float64", [1, 2])], []),
            "Number of inputs (Found min: 0 max: 1) does not match expected number for a request 1",
        ),
        (
            body([("String", "s"), F], [("String", ["a"]), ("Float64", [1, 2])], [("Float64", [1, 2])]),
            "Number of inputs (Found min: 1 max: 2) does not match expected number for a request 2",
        ),
        (body([F], [("Float64", [1, 2])], [("Float64", [1])]), "datum 1, Float64 tensor: 1 values for 2 fields"),
        (
            body([("Float64", "a")], [("Float64", [1, 2])], [("Float64", [1])]),
            "datum 1, Float64 tensor: 1 values for 'a'",
        ),
        (body([F], [("String", ["a"])]), "String tensor, the schema names only Float64"),
        (body([], [("String", ["a"])]), "the schema names only nothing"),
        (body([F], [("Float64", [1, 2])], [("String", ["a"])]), "datum 1 has tensors of String, datum 0 has Float64"),
        (body([F], [("Float64", [1, 2]), ("Float64", [1, 2])]), "(Found min: 2 max: 2) does not match"),
        (body([("Float64",)], [("Float64", [1])]), "1 values for 0 fields"),
        (body([("Int8", "x")], [("Int8", [1])], [("Int8", [128])]), "datum 1, Int8 tensor: value 128 at position 0"),
        (body([("Int8", "x", "y")], [("Int8", [1, 10**30])]), "position 1 is not in -128..127"),
        (body([("Int64", "x")], [("Int64", [2**63])]), "is not in -9223372036854775808"),
        (body([("Int64", "x")], [("Int64", ["1e300"])]), "is not in -9223372036854775808"),
        (body([("Float16", "x")], [("Float16", [65520])]), "datum 0, Float16 tensor: value 65520.0"),
        (body([("Float32", "x")], [("Float32", [3.41e38])]), "datum 0, Float32 tensor: value 3.41e+38"),
        (
            b'{"schema":[{"type":"Int8","fields":["x"]}],"datum":[{"tensors":[{}]}]}',
            "datum[0].tensors[0] holds no data",
        ),
        (
            b'{"schema":[{"type":"Int8"}],"datum":[{"tensors":[{"Int8":{"data":[],"tensor_type":"Int16"}}]}]}',
            "its tensorType is 'Int16'",
        ),
    ],
)
def test_requests_that_make_no_sense(text, message):
    with pytest.raises(InvalidInput) as raised:
        decode_request(text)
    assert message in str(raised.value)


DATUM = '{"schema":[{"type":"Float64","fields":["x"]}],"datum":[{"tensors":[{"Float64":{"data":[%s]}}]}]}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "Input is a zero-length"),
        (b"[]", "expected an object, got an array"),
        (b"null", "expected an object, got null"),
        (DATUM % "NaN", "unexpected character"),
        (DATUM % "-Infinity", ""),
        (DATUM % "1e400", "infinity"),
        (DATUM % '"1e400"', "datum[0].tensors[0].Float64.data[0]: '1e400' is not a number"),
        (DATUM % "1,true", "data[1]: expected a number, got a boolean"),
        (DATUM % "null", "got null"),
        (DATUM % "[1]", "got an array"),
        (DATUM % '"1_0"', "'1_0' is not a number"),
        (DATUM % '" 1"', "is not a number"),
        (DATUM % '"nan"', "is not a number"),
        (DATUM % "1" + "x", ""),
        (DATUM.replace("%s", "1").replace('"x"', '"\\ud800"'), "surrogate"),
        (DATUM.replace("%s", "1").encode().replace(b'"x"', b'"\xff"'), "UTF-8"),
        (DATUM.replace("%s", "1").replace("tensors", "Tensors"), "datum[0]: unknown field 'Tensors'"),
        (DATUM.replace("%s", "1").replace("data", "values"), "datum[0].tensors[0].Float64: unknown field 'values'"),
        (DATUM.replace("%s", "1").replace('"Float64":', '"Bytes":'), "unknown field 'Bytes'"),
        (DATUM.replace("%s", "1").replace('"type":"Float64"', '"type":"Byte"'), "schema[0].type"),
        (DATUM.replace("%s", "1").replace('"type":"Float64",', ""), "schema[0]: required field 'type' is missing"),
        (DATUM.replace("%s", "1").replace('"Float64",', "11,"), "11 is not a tensor type"),
        (DATUM.replace("%s", "1").replace('"x"', "1"), "schema[0].fields: expected a string"),
        (DATUM.replace("%s", "1")[:-1] + ',"configs":{"a":1}}', "configs['a']: expected a string"),
        (DATUM.replace("%s", "1")[:-1] + ',"configs":[]}', "configs: expected an object"),
        (DATUM.replace("%s", "1")[:-1] + ',"extra":1}', "unknown field 'extra'"),
        (b'{"datum":[null]}', "datum[0]: expected an object, got null"),
        (b'{"datum":' + b"[" * 100_000, ""),
        (b'{"a":' * 100_000, ""),
        (b'{"schema":[{"type":"Bytes","fields":["x"]}],"datum":[{"tensors":[{"Byte":{"data":["a!"]}}]}]}', "base64"),
        (b'{"schema":[{"type":"Bytes","fields":["x"]}],"datum":[{"tensors":[{"Byte":{"data":["a"]}}]}]}', "base64"),
        (
            b'{"schema":[{"type":"Int8","fields":["x"]}],"datum":[{"tensors":[{"Int8":{"data":[1.5]}}]}]}',
            "whole number",
        ),
        (
            b'{"schema":[{"type":"Int8","fields":["x"]}],"datum":[{"tensors":[{"Int8":{"data":["NaN"]}}]}]}',
            "whole number",
        ),
        (
            b'{"schema":[{"type":"Bool","fields":["x"]}],"datum":[{"tensors":[{"Bool":{"data":["true"]}}]}]}',
            "true or false",
        ),
    ],
)
def test_bodies_that_are_no_request(text, message):
    with pytest.raises(Malformed) as raised:
        decode_request(text.encode() if isinstance(text, str) else text)
    assert str(raised.value).startswith("The request content was malformed:\n")
    assert message in str(raised.value)


def test_the_hot_path_loads_no_protobuf():
    code = (
        "import sys; from forestflow.codecs.basic.codec import decode_request; "
        'decode_request(b\'{"schema":[{"type":1}],"datum":[{"tensors":[{"Float16":{}}]}]}\'); '
        "sys.exit(any(name.startswith('google') for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_many_float32_are_rounded_as_numpy_does_and_refused_where_it_overflows():
    """Long lists of floats are packed, short ones are not; both as NumPy converts them."""
    limit = float(np.finfo("f4").max)
    values = [0.1, -1e-45, 1e-46, 16777217.0, limit, -limit, 3.4028235e38, 7, *np.random.default_rng(1).normal(size=99)]
    assert len(values) > 64
    for rows in ([values], [values, values[::-1]]):
        batch = decode_request(body([("Float32", "x")], *[[("Float32", row)] for row in rows])).batch
        assert np.array_equal(batch.columns[0].data, np.array(rows, dtype=np.float32))
        assert batch.columns[0].data.flags.writeable
    special = decode_request(body([("Float32", "x")], [("Float32", ["NaN", "-Infinity", *values])])).batch
    assert np.isnan(special.columns[0].data[0, 0])
    assert special.columns[0].data[0, 1] == -np.inf
    with pytest.raises(InvalidInput, match=r"datum 1, Float32 tensor: value 3.41e\+38 at position 2 is not in"):
        decode_request(body([("Float32", "x")], [("Float32", values)], [("Float32", [0, 0, 3.41e38, *values[3:]])]))
