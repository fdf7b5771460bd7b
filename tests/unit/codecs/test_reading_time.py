"""Codecs and readers of bodies take time by the length of what they read, whatever it is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest

from forestflow.codecs.control import plans
from forestflow.codecs.control import rest as control
from forestflow.codecs.control.instants import parse_instant
from forestflow.codecs.envelope import pack
from forestflow.codecs.graphpipe.codec import configs_of
from forestflow.codecs.json.number_lists import numbers
from forestflow.codecs.table import BASIC, OIP_REST, TFINFER, TFSERVING_REST, codec_for
from forestflow.domain.errors import ForestFlowError
from forestflow.domain.ids import Contract, Fqrv
from tests.growth import assert_linear

FQRV = Fqrv(Contract("o", "p", 0), "v")
Read = Callable[[bytes], object]


def decoder(number: int, head: dict[str, object] | None = None) -> Read:
    codec = codec_for(number, FQRV)
    return lambda body: codec.decode(body if head is None else pack(head, body))


READERS: dict[str, tuple[Read, bytes]] = {
    "BASIC": (decoder(BASIC), b'{"schema":[{"type":"Float64","fields":["a"]}],"datum":%b}'),
    "OIP": (decoder(OIP_REST, {}), b'{"inputs":[{"name":"x","shape":[1],"datatype":"FP64","data":%b}]}'),
    "inputs": (decoder(OIP_REST, {}), b'{"inputs":%b}'),
    "instances": (decoder(TFSERVING_REST, {"verb": "predict", "signature": ""}), b'{"instances":%b}'),
    "examples": (decoder(TFSERVING_REST, {"verb": "classify", "signature": ""}), b'{"examples":%b}'),
    "tf-infer": (decoder(TFINFER, {"method": "m", "batched": True, "transpose": True, "inputs": {}}), b"%b"),
    "deploy": (control.parse_deploy, b'{"path":%b}'),
    "metrics": (lambda body: plans.parse_metric_reports(body, 0), b'{"metrics":%b}'),
}
VALUES: dict[str, Callable[[int], bytes]] = {
    "deep lists": lambda n: b"[" * (n // 2) + b"]" * (n // 2),
    "lists as deep as a tensor": lambda n: b"[" + b",".join([b"[" * 30 + b"]" * 30] * (n // 61)) + b"]",
    "deep objects": lambda n: b'{"a":' * (n // 6) + b"1" + b"}" * (n // 6),
    "empty lists": lambda n: b"[" + b",".join([b"[]"] * (n // 3)) + b"]",
    "different objects": lambda n: b"[" + b",".join(b'{"k%d":1}' % i for i in range(n // 10)) + b"]",
    "names": lambda n: b"{" + b",".join(b'"k%d":1' % i for i in range(n // 10)) + b"}",
    "a name of quotes": lambda n: b'{"' + b'\\"' * (n // 2) + b'":1}',
    "backslashes": lambda n: b'"' + b"\\\\" * (n // 2) + b'"',
    "digits": lambda n: b"[" + b"1" * n + b"]",
    "digits beside NaN": lambda n: b"[NaN," + b"1" * n + b"]",
    "an exponent": lambda n: b"[1e" + b"9" * n + b"]",
    "a fraction": lambda n: b"[0." + b"1" * n + b"]",
    "blanks": lambda n: b"[" + b" " * n + b"1]",
    "whole numbers, then fractions": lambda n: b"[" + b"1," * (n // 3) + b",".join([b"1.5"] * (n // 6)) + b"]",
}
LENGTH = 70_000  # over what is read whole: the way of longer ones takes longer for each byte


@pytest.mark.parametrize(("read", "around"), READERS.values(), ids=READERS)
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_json(read: Read, around: bytes, value: Callable[[int], bytes]) -> None:
    def refused_or_not(body: bytes) -> None:
        with suppress(ForestFlowError):  # most of them are no request
            read(body)

    assert_linear(lambda n: around % value(n), refused_or_not, LENGTH)


@pytest.mark.parametrize("text", [b"[", b"[[],", b"[1,", b"]", b"[[1],[2]],"])
def test_lists_of_numbers(text: bytes) -> None:
    """Each level of brackets was a search of its own."""
    assert_linear(lambda n: text * n + b"]" * n, numbers, 4000)


@pytest.mark.parametrize("text", ["x,", "a:b,", ":", ",", "a:"])
def test_configs_of_graphpipe(text: str) -> None:
    def read(configs: str) -> None:
        with suppress(ForestFlowError):
            configs_of(configs)

    assert_linear(lambda n: "a:b," + text * n, read, 40_000)


@pytest.mark.parametrize("text", ["1", "2026-11-21T", "2026-11-21T05:34:21.1"])
def test_instants(text: str) -> None:
    def read(instant: str) -> None:
        with suppress(ForestFlowError):
            parse_instant(instant)

    assert_linear(lambda n: text + "1" * n, read, 2000)
