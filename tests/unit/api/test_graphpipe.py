"""GraphPipe through a real router with a real replica: what takes the shortcut, and that nobody can tell."""

from __future__ import annotations

import numpy as np
from graphpipe import convert

from forestflow.api.http.exchange import ProtocolRoute
from tests.unit.api.test_exchange import post
from tests.unit.cluster.routers import site

PATH = "/o/p/0/gp"


def message(*rows):
    array = np.array(rows, dtype=np.float64).reshape(len(rows), -1)
    return bytes(convert.serialize_infer_request(convert.InferReq(None, [array])))


def sums(answer):
    tensors, errors = convert.deserialize_infer_response(answer.body)
    return [tensor.tolist() for tensor in tensors[1:]] or errors


async def test_nobody_can_tell_the_shortcut_from_the_general_case(tmp_path, monkeypatch):
    general = []
    call = ProtocolRoute.__call__

    async def counted(self, *asgi):
        general.append(asgi)
        await call(self, *asgi)

    monkeypatch.setattr(ProtocolRoute, "__call__", counted)
    async with site(tmp_path) as here:
        for body, expected in (
            (message([1, 2], [3, 4.5]), [[[3.0], [7.5]]]),
            (message([-1, 2]), [{"code": 422, "message": b"a negative number"}]),
            (message([13, 2]), [{"code": 500, "message": b"the model failed: RuntimeError: thirteen"}]),
        ):
            direct = await here.ask(post(PATH, body, "X-Request-Id: mine"))
            assert not general
            other = await here.ask(post(PATH, body, "X-Request-Id: mine", "X-Anything: else"))
            assert general.pop()
            assert direct == other
            assert direct.status == 200
            assert sums(direct) == expected
        for body in (b"", b"nonsense", bytes(convert.serialize_metadata_request())):
            await here.ask(post(PATH, body))
            assert general.pop()
        await here.ask(post(PATH + "?outputs=prediction", message([1, 2])))
        assert general.pop()
        assert sums(await here.ask(post("/o/p/9/gp", message([1, 2])))) == [
            {"code": 404, "message": b"unknown contract o.p.9"}
        ]
