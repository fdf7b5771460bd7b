"""The floor of gRPC, and its load: ``python -m benchmarks.grpc_echo serve PORT`` answers every call with its own bytes;
``python -m benchmarks.grpc_echo load ADDRESS METHOD FILE SECONDS`` keeps 16 calls in flight and prints calls/s.

Both with ``grpc.aio`` on bytes. The load runs in a process of its own, the same for the floor and for us.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import grpc.aio

IN_FLIGHT = 16
METHOD = "/echo.Echo/Echo"


async def serve(port: int) -> None:
    async def echo(message: bytes, context: grpc.aio.ServicerContext) -> bytes:
        return message

    server = grpc.aio.server()
    handlers = grpc.method_handlers_generic_handler("echo.Echo", {"Echo": grpc.unary_unary_rpc_method_handler(echo)})
    server.add_generic_rpc_handlers((handlers,))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


async def load(address: str, method: str, message: bytes, seconds: float) -> float:
    """Calls per second after a second of warming up; any error ends it."""
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary(method)
        calls = 0
        stop = time.perf_counter() + 1 + seconds

        async def one_after_another() -> None:
            nonlocal calls
            while time.perf_counter() < stop:
                await call(message, timeout=30, wait_for_ready=True)
                calls += 1

        workers = [asyncio.ensure_future(one_after_another()) for _ in range(IN_FLIGHT)]
        await asyncio.sleep(1)
        began, before = time.perf_counter(), calls
        await asyncio.gather(*workers)
        return (calls - before) / (time.perf_counter() - began)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(serve(int(sys.argv[2])))
    else:
        _, _, to, name, file, duration = sys.argv
        print(asyncio.run(load(to, name, Path(file).read_bytes(), float(duration))))
