"""What GraphPipe over HTTP costs: ``python -m benchmarks.graphpipe [--seconds 3] [--runs 3]``.

1. 10,000 x 4 float64 to the example GBM, one connection: rows/s ÷ a plain Java loop over ``score0``, one thread.
2. A batch of 1,000 rows, one connection: rows/s ÷ BASIC JSON with the same rows.
"""

from __future__ import annotations

import argparse
import statistics

import numpy as np
import orjson

from benchmarks import java_loop, ours, payloads, wrk
from benchmarks.payloads import Address

FEW_ROWS = 1_000
TARGETS = (0.7, 1.5)


def rows(count: int) -> np.ndarray:
    """The first rows of ``payloads.batch()``, shape (count, 4)."""
    datums = orjson.loads(payloads.batch())["datum"][:count]
    return np.array([datum["tensors"][0]["Float64"]["data"] for datum in datums])


def message(matrix: np.ndarray) -> bytes:
    """An InferRequest as the public client writes it."""
    from graphpipe import convert

    return bytes(convert.serialize_infer_request(convert.InferReq(None, [matrix])))


def basic(count: int) -> bytes:
    """The first records of ``payloads.batch()``."""
    document = orjson.loads(payloads.batch())
    return orjson.dumps(document | {"datum": document["datum"][:count]})


def measure(seconds: float) -> tuple[float, float, float, float]:
    """Rows/s: GraphPipe with 10,000 rows, the Java loop, GraphPipe and BASIC with 1,000 rows."""
    address = Address()
    with ours.serving() as server:
        server.deploy(address)
        url = f"{str(server.http.base_url).rstrip('/')}{address.path}/gp"

        def rate(where: str, body: bytes, count: int) -> float:
            return wrk.run(where, body, connections=1, seconds=seconds, warm_up=2).per_second * count

        answer = server.http.post(url, content=message(rows(FEW_ROWS)))
        expected = server.http.post(server.score_url(address), content=basic(FEW_ROWS)).json()["Prediction"]["datum"]
        _check(answer.content, [datum["tensors"][0]["Float64"]["data"][0] for datum in expected])
        many = rate(url, message(rows(payloads.BATCH_ROWS)), payloads.BATCH_ROWS)
        few = rate(url, message(rows(FEW_ROWS)), FEW_ROWS)
        json = rate(server.score_url(address), basic(FEW_ROWS), FEW_ROWS)
    return many, java_loop.rows_per_second(), few, json


def _check(answer: bytes, expected: list[float]) -> None:
    from graphpipe import convert

    tensors, errors = convert.deserialize_infer_response(answer)
    if errors or tensors[1][:, 0].tolist() != expected:
        raise SystemExit(f"GraphPipe and BASIC disagree: {errors or tensors[1][:3]}, expected {expected[:3]}")


def main() -> None:
    """Print both ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    taken = [measure(options.seconds) for _ in range(options.runs)]
    for title, target, place in (
        ("10,000 rows, GraphPipe ÷ Java score0 loop", TARGETS[0], 0),
        ("1,000 rows, GraphPipe ÷ BASIC JSON", TARGETS[1], 2),
    ):
        ratios = [figures[place] / figures[place + 1] for figures in taken]
        above, below = (statistics.median(figures[place + i] for figures in taken) for i in (0, 1))
        ratio = statistics.median(ratios)
        verdict = "met" if ratio >= target else "MISSED"
        print(
            f"{title}: {above:,.0f} ÷ {below:,.0f} rows/s = {ratio:.3f} "
            f"({min(ratios):.3f} to {max(ratios):.3f}); target ≥ {target:g}: {verdict}"
        )


if __name__ == "__main__":
    main()
