"""The control application behind a real socket, for tests of clients; it scores every row as 42."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from forestflow.api.http.control import create_control_app
from forestflow.controlplane.control import ControlPlane
from tests.unit.api.memory_registry import MemoryRegistry


async def score_42(request: Request) -> Response:
    body = json.loads(await request.body())
    if not body.get("datum"):
        return JSONResponse({"error": {"code": "INVALID", "message": "no datum", "requestId": "r"}}, 422)
    address = request.path_params
    contract = {
        "organization": address["organization"],
        "project": address["project"],
        "contractNumber": int(address["contract_number"]),
    }
    prediction = {
        "fqrv": {"contract": contract, "releaseVersion": body.get("configs", {}).get("answer-as", "v1")},
        "schema": [{"type": "Float64", "fields": ["Regression"]}, {"type": "Int64", "fields": ["rank", "of"]}],
        "datum": [{"tensors": [{"Float64": {"data": [42.5]}}, {"Int64": {"data": ["1", "9"]}}]}] * len(body["datum"]),
    }
    return JSONResponse({"Prediction": prediction})


@contextmanager
def serving(registry: MemoryRegistry) -> Iterator[str]:
    """Serve on a free port until the end of the block; its URL."""
    app = create_control_app(ControlPlane(registry), score=score_42)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", ws="none"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.005)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
