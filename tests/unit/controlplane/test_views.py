"""Payloads of long frames are views for codecs that read raw tensors: these decode them as they decode bytes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from graphpipe import convert

from forestflow.codecs import envelope
from forestflow.codecs.graphpipe.codec import payload_of
from forestflow.codecs.table import GRAPHPIPE, OIP_REST, READ_VIEWS, codec_for
from forestflow.domain.errors import ForestFlowError
from forestflow.domain.ids import Contract, Fqrv

NUMBERS = np.random.default_rng(1).normal(size=(64, 7)).astype(np.float32)


def graphpipe():
    return payload_of(bytes(convert.serialize_infer_request(convert.InferReq(None, [NUMBERS]))))


def open_inference():
    tensor = {"name": "x", "shape": [64, 7], "datatype": "FP32", "parameters": {"binary_data_size": NUMBERS.nbytes}}
    head = json.dumps({"inputs": [tensor]}).encode()
    return envelope.pack({"json": len(head), "model": "m", "version": None}, head + NUMBERS.tobytes())


PAYLOADS = {GRAPHPIPE: graphpipe, OIP_REST: open_inference}


def test_these_are_all():
    assert set(PAYLOADS) == READ_VIEWS


@pytest.mark.parametrize("number", PAYLOADS)
def test_are_decoded_as_bytes_are(number):
    codec = codec_for(number, Fqrv(Contract("o", "p", 0), "r"))
    payload = memoryview(bytearray(PAYLOADS[number]()))
    request = codec.decode(payload)
    assert np.asarray(request.batch.columns[0].data).tobytes() == NUMBERS.tobytes()
    for cut in (0, 3, 10, 40, 100, len(payload) - 1):
        assert outcome(codec, payload[:cut]) == outcome(codec, bytes(payload[:cut]))


def outcome(codec, payload):
    try:
        return np.asarray(codec.decode(payload).batch.columns[0].data).tobytes()
    except ForestFlowError as error:
        return str(error)
