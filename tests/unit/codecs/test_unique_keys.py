"""A name twice in one JSON object is refused over every protocol, wherever it is, and however it is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestflow.codecs.control import plans
from forestflow.codecs.control import rest as control
from forestflow.codecs.envelope import pack
from forestflow.codecs.json.long_json import LONG
from forestflow.codecs.messages import versions
from forestflow.codecs.table import BASIC, OIP_REST, TFINFER, TFSERVING_REST, codec_for
from forestflow.domain import unique_keys
from forestflow.domain.errors import Malformed
from forestflow.domain.ids import Contract, Fqrv

FQRV = Fqrv(Contract("o", "p", 0), "v")
Read = Callable[[bytes], Any]


def decoder(number: int, head: dict[str, Any] | None = None) -> Read:
    codec = codec_for(number, FQRV)
    return lambda body: codec.decode(body if head is None else pack(head, body))


basic = decoder(BASIC)
oip = decoder(OIP_REST, {})
predict = decoder(TFSERVING_REST, {"verb": "predict", "signature": ""})
hopsworks = decoder(TFSERVING_REST, {"verb": "predict", "signature": "", "inputs_key": "predictions"})
classify = decoder(TFSERVING_REST, {"verb": "classify", "signature": ""})
tfinfer = decoder(TFINFER, {"method": "m", "batched": True, "transpose": True, "inputs": {}})

SCHEMA = '"schema":[{"type":"Float64","fields":["a"]}]'
DATUM = '"datum":[{"tensors":[{"Float64":{"data":[1.5]}}]}]'
TENSOR = '{"name":"x","shape":[1],"datatype":"FP64","data":[1.5]}'
TEXT = '{"name":"x:y","shape":[1],"datatype":"BYTES","data":["12:30"]}'
DEPLOY = (
    '"path":"/m","fqrv":{"contract":{"organization":"o","project":"p","contractNumber":0},"releaseVersion":"r"},'
    '"servableSettings":{"policySettings":{"phaseInPolicy":{"ImmediatePhaseIn":{}}}},'
    '"flavor":{"H2OMojo":{"mojoPath":"m.zip"}}'
)
CONTRACT = '"router":{"FairPhaseInPctBasedRouter":{}},"expirationPolicy":{"KeepAll":{}}'


# Bodies with a place for one more member, and the member that is one too many there.
def parse_update(body: bytes) -> object:
    return versions.parse_update(body, Contract("o", "p", 0))


CASES: list[tuple[Read, str, str]] = [
    (basic, '{%s"configs":{},' + SCHEMA + "," + DATUM + "}", DATUM),
    (basic, '{"configs":{},' + SCHEMA + "," + DATUM + "%s}", '"configs":{"a":"b"}'),
    (basic, '{"configs":{"a":"b"%s},' + SCHEMA + "," + DATUM + "}", '"a":"c"'),
    (basic, "{" + SCHEMA.replace("]}", "]%s}") + "," + DATUM + "}", '"fields":["b"]'),
    (basic, "{" + SCHEMA + ',"datum":[{"tensors":[{"Float64":{"data":[1.5]%s}}]}]}', '"data":[2]'),
    (basic, "{" + SCHEMA + ',"datum":[{"tensors":[{"Float64":{"data":[1.5]}}]%s}]}', '"tensors":[]'),
    (oip, '{"inputs":[' + TENSOR + "]%s}", '"inputs":[' + TENSOR.replace("1.5", "2") + "]"),
    (oip, '{"inputs":[' + TENSOR.replace("1.5]", "1.5]%s") + "]}", '"data":[2]'),
    (oip, '{"inputs":[' + TENSOR + '],"id":"7","parameters":{"a":{"b":1}%s}}', '"a":2'),
    (oip, '{"inputs":[' + TENSOR + '],"outputs":[{"name":"y"%s}]}', '"name":"z"'),
    (oip, '{"unknown":{"a":1%s},"inputs":[' + TENSOR + "]}", '"a":2'),
    (predict, '{"instances":[[1.5]]%s}', '"instances":[[2.5]]'),
    (predict, '{"instances":[[1]]%s}', '"instances":[[2]]'),
    (predict, '{"instances":[[1.5]],"signature_name":"a"%s}', '"signature_name":"b"'),
    (predict, '{"instances":[{"a":1.5,"b":2%s}]}', '"a":3'),
    (predict, '{"instances":[{"a":{"b64":"YQ=="%s}}]}', '"b64":"Yg=="'),
    (predict, '{"inputs":{"a":[1.5],"b":[2]%s}}', '"b":[3]'),
    (predict, '{"inputs":{"a":[NaN],"b":[2]%s}}', '"b":[3]'),
    (hopsworks, '{"inputs":[[1.5]]%s}', '"inputs":[[2.5]]'),
    (classify, '{"examples":[{"a":1.5%s}]}', '"a":2'),
    (classify, '{"context":{"a":1.5%s},"examples":[{"b":1}]}', '"a":2'),
    (tfinfer, '{"a":1.5%s}', '"a":2'),
    (tfinfer, '[{"a":1.5},{"a":1.5%s}]', '"a":2'),
    (control.parse_deploy, "{" + DEPLOY + "%s}", '"path":"/n"'),
    (control.parse_deploy, "{" + DEPLOY.replace('"o"', '"o"%s') + "}", '"organization":"q"'),
    (control.parse_deploy, "{" + DEPLOY + ',"versions":{"all":{}}%s}', '"versions":{"latest":{"count":1}}'),
    (control.parse_contract_settings, "{" + CONTRACT + "%s}", '"router":{"LatestPhaseInPctBasedRouter":{}}'),
    (control.parse_logging_settings, '{"logLevel":"NONE"%s}', '"logLevel":"FULL"'),
    (control.parse_shadow_settings, '{"enabled":true%s}', '"enabled":false'),
    (control.parse_policy_settings, '{"phaseInPolicy":{"ManualPhaseIn":{"percent":1%s}}}', '"percent":2'),
    (lambda body: plans.parse_metric_reports(body, 0), '{"metrics":[{"name":"a","value":1%s}]}', '"value":2'),
    (plans.parse_simulation, '{"horizonSecs":60%s}', '"horizonSecs":61'),
    (plans.parse_rollback, '{"seq":1%s}', '"seq":2'),
    (
        lambda body: versions.parse_update(body, Contract("o", "p", 0)),
        '{"versions":{"all":{}}%s}',
        '"versions":{"all":{}}',
    ),
]


def with_member(body: str, member: str) -> bytes:
    """The place for it may be the first of an object, or behind others."""
    return body.replace("%s", f"{member}," if '{%s"' in body else f",{member}").encode()


@pytest.mark.parametrize(("read", "body", "member"), CASES)
def test_a_name_twice(read: Read, body: str, member: str) -> None:
    read(body.replace("%s", "").encode())
    name = json.loads(member.partition(":")[0])
    with pytest.raises(Malformed, match=f"'{name}' is given twice in one object"):
        read(with_member(body, member))


@pytest.mark.parametrize(("read", "body", "member"), CASES)
def test_a_name_twice_in_other_letters(read: Read, body: str, member: str) -> None:
    """A parser sees one name in both, a search in the text would not; blanks stand before the colon."""
    quoted, _, value = member.partition(":")
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in quoted.strip('"'))
    with pytest.raises(Malformed, match="is given twice in one object"):
        read(with_member(body, f'"{escaped}" \t:{value}'))


def datums(kind: str, value: str, *, odd: str = "") -> str:
    """So many records that they are read a piece at a time; the one in the middle has a place for a member."""
    record = '{"tensors":[{"' + kind + '":{"data":[' + value + "]}}]}"
    middle = '{"tensors":[{"' + kind + '":{"data":[' + (odd or value) + "]%s}}]}"
    return ",".join([record] * 3000 + [middle] + [record] * 3000)


NUMBERS = ",".join(["1.5"] * LONG)
OBJECTS = ",".join(['{"a":1.5,"b":"c:d"}'] * 5000)
LONG_CASES: list[tuple[Read, str, str]] = [
    (basic, "{" + SCHEMA + ',"datum":[' + datums("Float64", "1.5").replace("%s", "") + "]%s}", '"configs":{},' + DATUM),
    (basic, "{" + SCHEMA + ',"datum":[' + datums("Float64", "1.5") + "]}", '"data":[2]'),
    (basic, "{" + SCHEMA + ',"datum":[' + datums("Float64", "1.5", odd="1e0") + "]}", '"data":[2]'),
    (
        basic,
        "{" + SCHEMA.replace("Float64", "String") + ',"datum":[' + datums("String", '"a:b"') + "]}",
        '"data":["c"]',
    ),
    (basic, "{" + SCHEMA.replace("Float64", "Int8") + ',"datum":[ ' + datums("Int8", "1") + "]}", '"data":[2]'),
    (
        oip,
        '{"inputs":[{"name":"x","shape":[' + str(LONG) + '],"datatype":"FP64","data":[' + NUMBERS + "]%s}]}",
        '"data":[]',
    ),
    (predict, '{"instances":[' + NUMBERS + "]%s}", '"instances":[2.5]'),
    (predict, '{"instances":[' + NUMBERS + "]%s}", '"instances":[' + NUMBERS + "]"),
    (predict, '{"inputs":{"a":[' + NUMBERS + "]%s}}", '"a":[2.5]'),
    (predict, '{"instances":[' + OBJECTS + ',{"a":1.5,"b":"c"%s},' + OBJECTS + "]}", '"a":2'),
    (classify, '{"examples":[' + OBJECTS + ',{"a":1.5,"b":"c"%s},' + OBJECTS + "]}", '"a":2'),
    (tfinfer, "[" + OBJECTS + ',{"a":1.5,"b":"c"%s},' + OBJECTS + "]", '"a":2'),
]


@pytest.mark.parametrize(("read", "body", "member"), LONG_CASES, ids=range(len(LONG_CASES)))
def test_a_name_twice_in_a_long_body(read: Read, body: str, member: str) -> None:
    """Long bodies are read a piece at a time."""
    read(body.replace("%s", "").encode())
    with pytest.raises(Malformed, match="is given twice in one object"):
        read(body.replace("%s", f",{member}").encode())


@pytest.mark.parametrize(
    ("read", "body"),
    [
        (basic, '{"schema":[{"type":"String","fields":[":"]}],"datum":[{"tensors":[{"String":{"data":["1\\":"]}}]}]}'),
        (basic, '{"configs":{"a:":":b","c":"{"},' + SCHEMA + "," + DATUM + "}"),
        (oip, '{"inputs":[' + TEXT + '],"parameters":{"a":{":":[{}]}}}'),
        (oip, '{"parameters":{},"id":null,"inputs":[' + TENSOR + ']}'),
        (predict, '{"instances":[[1.5]],"signature_name":"a:b"}'),
        (predict, '{"instances":[{"a":"{}:{}","b":{"b64":"YQ=="}}]}'),
        (tfinfer, '[{"a":"\\\\"},{"a":"\\":\\""}]'),
    ],
)  # fmt: skip
def test_colons_and_braces_inside_of_texts(read: Read, body: str) -> None:
    assert read(body.encode()).batch.rows == 1 + (read is tfinfer)


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('ab:{}"\\\u00e9', max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(st.tuples(st.text('ab:"\\', max_size=2), inner), max_size=4).map(lambda pairs: Members(pairs))
    ),
    max_leaves=16,
)


class Members(tuple):
    """An object as its members, of which two may have one name."""


def written(value: Any) -> str:
    if isinstance(value, Members):
        return "{" + ",".join(f"{json.dumps(name)} : {written(member)}" for name, member in value) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    return json.dumps(value)


def any_twice(value: Any) -> bool:
    if isinstance(value, Members):
        return len({name for name, _ in value}) < len(value) or any(any_twice(member) for _, member in value)
    return isinstance(value, list) and any(map(any_twice, value))


@given(documents)
def test_exactly_what_has_a_name_twice_is_found(value: Any) -> None:
    text = written(value).encode()
    assert (unique_keys.repeated(text, json.loads(text)) is not None) == any_twice(value)
