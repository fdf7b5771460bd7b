"""What of our codecs reads a client's bytes, and bytes to begin with."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from graphpipe import convert

from forestflow._gen import inference_pb2 as pb
from forestflow.codecs.basic.codec import decode_request
from forestflow.codecs.basic.float_rows import decode_floats
from forestflow.codecs.envelope import pack
from forestflow.codecs.graphpipe.codec import GraphPipeCodec, payload_of
from forestflow.codecs.table import BASIC, OIP_REST, PROTOBUF, TFINFER, TFSERVING_REST, codec_for
from forestflow.codecs.tfinfer import payload_of as tfinfer_payload
from forestflow.domain.errors import ForestFlowError
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.tensors import IOMetadata, ModelMetadata, Signature, TensorType

FQRV = Fqrv(Contract("o", "p", 0), "v")
_SIGNATURE = Signature((IOMetadata("x", TensorType.Float32, (2,)), IOMetadata("s", TensorType.String)), ())


@dataclass(frozen=True)
class Target:
    """``read`` decodes a payload as a replica does, and answers what it made of it; ``payload`` makes it of a message,
    as a router does. Where a message ``grows``, parts of it may be repeated.
    """

    read: Callable[[bytes], Any]
    seeds: tuple[bytes, ...]
    payload: Callable[[bytes], bytes] = bytes
    grows: bool = True


def _graphpipe() -> Target:
    codec = GraphPipeCodec(FQRV)
    texts = np.array([["mail", "naïve 😀"], ["", "a" * 40]], dtype=object)
    requests = [
        convert.InferReq("a:b", [texts, np.arange(8.0).reshape(2, 4)], ["categorical", "numeric"], ["prediction"]),
        convert.InferReq("", [np.arange(6, dtype=np.int8), np.float16(1.5), np.zeros((0, 3), np.uint64)]),
    ]
    seeds = tuple(bytes(convert.serialize_infer_request(request)) for request in requests)
    return Target(codec.decode, seeds, payload_of, grows=False)


def _tfinfer() -> Target:
    codec = codec_for(TFINFER, FQRV)
    seeds = (b'[{"x":[1,2.5],"s":"a"},{"x":[NaN,4],"s":{"b64":"/w=="}}]', b'{"x":[1,2],"s":"a","t":null}')
    seeds += (
        b'[{"x":[1,2.5],"s":"a"},{"x":[1,2],"s":"b"},{"x":[1,2],"s":{"b64":"/w=="}}]',
        b'[{"x":[1,1],"s":"","y":[1,1,1,1]}]',
    )
    return Target(codec.decode, seeds, lambda body: tfinfer_payload("run", _SIGNATURE, body, transpose=True))


def _basic() -> Target:
    floats = b'{"schema":[{"type":"Float64","fields":["a","b"]},{"type":"String","fields":["c"]}],"datum":[{"tensors":'
    floats += b'[{"Float64":{"data":[1.5,"NaN"]}},{"String":{"data":["x"]}}]}],"configs":{"k":"v"}}'
    vector = (
        b'{"schema":[{"type":"Float32","fields":["x"]}],"datum":[{"tensors":[{"Float32":{"data":[1,1,1,"1","1",1]}}]}]}'
    )
    record = b'{"tensors":[{"Int8":{"data":[1]}}]}'
    records = b'{"schema":[{"type":"Int8","fields":["a"]}],"datum":[%b]}' % b",".join([record] * 3)
    seeds = (floats, floats.replace(b"Float64", b"Int64").replace(b'1.5,"NaN"', b'1,"-2"'), vector, records)
    return Target(codec_for(BASIC, FQRV).decode, (*seeds, records.replace(b'{"tensors"', b'{ "tensors"')))


def _basic_long() -> Target:
    """As a body over 64 KiB is read."""
    rows = b",".join([b'{"tensors":[{"Float64":{"data":[%d,2.5e3]}}]}' % n for n in range(3)])
    body = b'{"schema":[{"type":"Float64","fields":["a","b"]}],"datum":[%b],"configs":{}}' % rows

    def read(data: bytes) -> Any:
        found, expected = decode_floats(data, decode_request), None
        with suppress(ForestFlowError):
            expected = decode_request(data)
        if found is not None:
            same = expected is not None and [c.data.tobytes() for c in expected.batch.columns]
            assert same == [c.data.tobytes() for c in found.batch.columns], "read as something else"
        return found

    return Target(read, (body, body.replace(b",", b", ")))


def _tfserving() -> Target:
    codec = codec_for(TFSERVING_REST, FQRV)
    seeds = (b'{"instances":[{"x":[1,2],"s":{"b64":"/w=="}}]}', b'{"inputs":{"x":[[1.5,NaN]]},"signature_name":"a"}')
    seeds += (
        b'{"examples":[{"a":1,"b":["x"]}],"context":{"c":2.5}}',
        b'{"examples":[{"a":1},{"a":1},{"b":[1,1,1]},{"a":2}]}',
    )
    seeds += (
        b'{"instances":[1,1,1,1]}',
        b'{"instances":[[1,2.5],[1,2],[1,2]]}',
        b'{"instances":["a","b","c",{"b64":"/w=="}]}',
    )
    seeds += (
        b'{"instances":[{"x":[1,2]},{"x":[1,2]},{"x":[3,4]}]}',
        b'{"inputs":{"x":[[[true],[true],[false]]],"y":[]}}',
    )
    return Target(codec.decode, seeds, lambda body: pack({"verb": "classify"}, body))


def _tfserving_json() -> Target:
    """As a model with inputs that take JSON reads it."""
    inputs = (IOMetadata("j", TensorType.String, json=True), IOMetadata("x", TensorType.Float32))
    codec = codec_for(TFSERVING_REST, FQRV, ModelMetadata(inputs))
    seeds = (
        b'{"instances":[{"j":[1,[null]],"x":1.5},{"j":{"a":"b"},"x":2}],"params":{"p":[1]}}',
        b'{"signature_name":"a","inputs":{"j":[[],{},"a",null,1,1],"x":[1,1,1,1,1,1]}}',
    )
    return Target(codec.decode, seeds, lambda body: pack({"verb": "predict"}, body))


def _openinference() -> Target:
    codec = codec_for(OIP_REST, FQRV)
    seeds = (
        b'{"id":"1","inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2.5]}],"outputs":[{"name":"y"}]}',
        b'{"inputs":[{"name":"s","shape":[2],"datatype":"BYTES","data":["a","b"],"parameters":{"k":1}}]}',
        b'{"inputs":[{"name":"x","shape":[4],"datatype":"FP32","data":[1,1,1,1]}]}',
        b'{"inputs":[{"name":"x","shape":[3],"datatype":"INT8","data":[[1],[1],[1]]}]}',
        b'{"inputs":[{"name":"x","shape":[3],"datatype":"BYTES","data":["a","b","c"]}]}',
    )
    return Target(codec.decode, seeds, lambda body: pack({}, body))


def _openinference_binary() -> Target:
    """The first two bytes say how long the JSON is."""
    codec = codec_for(OIP_REST, FQRV)
    head = b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","parameters":{"binary_data_size":8}},'
    head += b'{"name":"s","shape":[1],"datatype":"BYTES","parameters":{"binary_data_size":6}}]}'
    seed = len(head).to_bytes(2, "little") + head + np.float32([1, 2.5]).tobytes() + b"\x02\x00\x00\x00ab"

    def payload(body: bytes) -> bytes:
        return pack({"json": int.from_bytes(body[:2], "little")}, body[2:])

    return Target(codec.decode, (seed,), payload, grows=False)


def _protobuf() -> Target:
    codec = codec_for(PROTOBUF, FQRV)
    datum = [pb.Datum(tensors=[pb.Tensor(Float64=pb.Float64Data(data=[1.5, n]))]) for n in range(3)]
    floats = pb.InferenceRequest(schema=[pb.TensorSchema(type="Float64", fields=["a", "b"])], datum=datum)
    texts = pb.InferenceRequest(schema=[pb.TensorSchema(type="String", fields=["c"])], configs={"k": "v"})
    texts.datum.add().tensors.add(String=pb.StringData(data=["x"]))
    return Target(codec.decode, (floats.SerializeToString(), texts.SerializeToString()), grows=False)


TARGETS: dict[str, Callable[[], Target]] = {
    "graphpipe": _graphpipe,
    "tfinfer": _tfinfer,
    "basic": _basic,
    "basic-long": _basic_long,
    "tfserving": _tfserving,
    "tfserving-json": _tfserving_json,
    "openinference": _openinference,
    "openinference-binary": _openinference_binary,
    "protobuf": _protobuf,
}
