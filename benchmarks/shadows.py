"""What shadows cost users: ``python -m benchmarks.shadows [--seconds 10] [--runs 3]``; prints ratios.

1. One shadow of equal cost: 1,000 requests/s offered, p99 with the shadow ÷ without.
2. A shadow batch of 100,000 rows in the very replica that answers users: p99 ÷ without, and the worst single delay.
"""

from __future__ import annotations

import argparse
import random
import statistics
import threading

import httpx
import orjson

from benchmarks import ours, payloads, steady
from benchmarks.payloads import FIELDS, Address

RATE = 1000.0
SHADOW_ROWS = 100_000


def deploy(server: ours.Ours, address: Address, release: str, rule: str, *, shadow: bool) -> None:
    """Deploy the example as ``release`` with this validity rule."""
    payload = payloads.deploy(Address(address.organization, address.project, address.contract_number, release))
    payload["servableSettings"] = {
        "policySettings": {"validityPolicy": [{rule: {}}], "phaseInPolicy": {"ImmediatePhaseIn": {}}},
        "shadow": {"enabled": shadow},
    }
    server.http.post("/servable", json=payload).raise_for_status()


def contract(server: ours.Ours, address: Address) -> None:
    settings = {"expirationPolicy": {"KeepAll": {}}, "router": {"FairPhaseInPctBasedRouter": {}}}
    server.http.post(f"/contract{address.path}", json=settings).raise_for_status()


def equal_cost(seconds: float) -> tuple[float, float]:
    """p99 without and with one shadow that gets every request."""
    plain, shadowed = Address(contract_number=1), Address(contract_number=2)
    with ours.serving() as server:
        for address in (plain, shadowed):
            contract(server, address)
            deploy(server, address, "v1", "ImmediatelyValid", shadow=False)
        deploy(server, shadowed, "dark", "NeverValid", shadow=True)
        p99 = []
        for address in (plain, shadowed):
            url = server.score_url(address)
            steady.run(url, payloads.two_rows(), per_second=RATE, seconds=3)
            found = steady.run(url, payloads.two_rows(), per_second=RATE, seconds=seconds)
            if found.failures:
                raise SystemExit(f"not answered: {found.failures[0]!r}")
            p99.append(found.quantile(0.99))
        return p99[0], p99[1]


def big_shadow(seconds: float) -> tuple[float, float, float, float]:
    """p99 and worst delay of users of one release, without and with a big shadow batch in its replica."""
    address = Address(contract_number=3)
    dice = random.Random(5)
    rows = [[round(dice.uniform(1, 99), 2) for _ in FIELDS] for _ in range(SHADOW_ROWS)]
    body = orjson.dumps(
        {
            "schema": [{"type": "Float64", "fields": FIELDS}],
            "datum": [{"tensors": [{"Float64": {"data": row}}]} for row in rows],
        }
    )
    with ours.serving() as server:
        contract(server, address)
        deploy(server, address, "v1", "ImmediatelyValid", shadow=False)
        deploy(server, address, "v2", "ImmediatelyValid", shadow=True)  # answers every other request, shadows the rest
        url = server.score_url(address)
        steady.run(url, payloads.two_rows(), per_second=RATE, seconds=3)
        before = steady.run(url, payloads.two_rows(), per_second=RATE, seconds=seconds)
        stop = threading.Event()

        def batches() -> None:
            with httpx.Client(timeout=120) as client:
                while not stop.is_set():
                    client.post(url, content=body, headers={"content-type": "application/json"}).raise_for_status()

        sender = threading.Thread(target=batches)
        sender.start()
        during = steady.run(url, payloads.two_rows(), per_second=RATE, seconds=seconds)
        stop.set()
        sender.join()
        return (
            before.quantile(0.99, "v2"), during.quantile(0.99, "v2"),
            before.quantile(1, "v2"), during.quantile(1, "v2"),
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    equal = [equal_cost(options.seconds) for _ in range(options.runs)]
    ratio = statistics.median(b / a for a, b in equal)
    print(f"p99 with one shadow of equal cost ÷ without: {ratio:.2f} (target ≤ 1.3);",
          ", ".join(f"{a * 1e3:.2f} → {b * 1e3:.2f} ms" for a, b in equal))  # fmt: skip
    big = [big_shadow(options.seconds) for _ in range(options.runs)]
    ratio = statistics.median(b / a for a, b, _, _ in big)
    worst = statistics.median(d - c for _, _, c, d in big)
    print(f"p99 while {SHADOW_ROWS:,}-row shadows run ÷ without: {ratio:.2f} (target ≤ 1.5);",
          f"worst single delay {worst * 1e3:.1f} ms above (target ≤ 15)")  # fmt: skip


if __name__ == "__main__":
    main()
