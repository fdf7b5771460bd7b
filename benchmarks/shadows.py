"""What shadows cost users: ``python -m benchmarks.shadows [--seconds 10] [--runs 3]``; prints ratios.

1. One shadow of equal cost: 1,000 requests/s offered, p99 with the shadow ÷ without.
2. A shadow batch of 100,000 rows in the very replica that answers users: p99 ÷ without, and the worst single delay.
"""

from __future__ import annotations

import argparse
import random
import statistics
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import Manager

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


def contract(server: ours.Ours, address: Address, router: dict[str, object]) -> None:
    settings = {"expirationPolicy": {"KeepAll": {}}, "router": router}
    server.http.post(f"/contract{address.path}", json=settings).raise_for_status()


def equal_cost(seconds: float) -> tuple[float, float]:
    """p99 without and with one shadow that gets every request."""
    plain, shadowed = Address(contract_number=1), Address(contract_number=2)
    with ours.serving() as server:
        for address in (plain, shadowed):
            contract(server, address, {"FairPhaseInPctBasedRouter": {}})
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


def batches_beside(url: str, stats: str, key: str, stop: threading.Event, rest: float | None) -> list[float]:
    """Send big batches, answered by the release of ``key``, one at a time: the next when the other release has shaded
    it, or, where nothing shades, ``rest`` seconds after the answer. Returns how long each shadow outlasted its answer.
    """
    headers = {"content-type": "application/json", "x-forestflow-key": key}
    body, lasted = big_batch(), []
    with httpx.Client(timeout=120) as client:
        while not stop.is_set():
            before = shaded(client, stats)
            client.post(url, content=body, headers=headers).raise_for_status()
            answered = time.monotonic()
            if rest is not None:
                stop.wait(rest)
                continue
            while shaded(client, stats) == before:
                time.sleep(0.02)
            lasted.append(time.monotonic() - answered)
    return lasted


def shaded(client: httpx.Client, stats: str) -> int:
    """Requests that the shadows of the contract have scored."""
    return sum(int(each["ServableMetrics"]["shadeCount"]) for each in client.get(stats).json())


def big_batch() -> bytes:
    dice = random.Random(5)
    rows = [[round(dice.uniform(1, 99), 2) for _ in FIELDS] for _ in range(SHADOW_ROWS)]
    return orjson.dumps(
        {
            "schema": [{"type": "Float64", "fields": FIELDS}],
            "datum": [{"tensors": [{"Float64": {"data": row}}]} for row in rows],
        }
    )


def key_of(server: ours.Ours, url: str, release: str) -> str:
    """A key that the sticky contract sends to ``release``."""
    for number in range(1000):
        answer = server.http.post(url, content=payloads.two_rows(), headers={"x-forestflow-key": f"k{number}"})
        if answer.json()["Prediction"]["fqrv"]["releaseVersion"] == release:
            return f"k{number}"
    raise SystemExit(f"no key leads to {release}")


def big_shadow(seconds: float) -> tuple[steady.Latencies, steady.Latencies, steady.Latencies]:
    """What users of a release see: alone; while batches of 100,000 rows go to the other release of their contract;
    and while the users' own replica shades these batches, too.
    """
    dark, light = Address(contract_number=3), Address(contract_number=4)
    with ours.serving() as server, ProcessPoolExecutor(1) as elsewhere:
        for address, shadow in ((dark, False), (light, True)):
            contract(server, address, {"StickyRouter": {"keyConfig": "reqid"}})
            deploy(server, address, "v1", "ImmediatelyValid", shadow=False)
            deploy(server, address, "v2", "ImmediatelyValid", shadow=shadow)

        def users(address: Address, rest: float | None, *, batches: bool = True) -> tuple[steady.Latencies, float]:
            url, stats = server.score_url(address), f"{server.http.base_url}{address.path}/stats"
            key = key_of(server, url, "v2")
            steady.run(url, payloads.two_rows(), per_second=RATE, seconds=3, key=key)
            with Manager() as manager:
                stop = manager.Event()
                sent = None
                if batches:
                    sent = elsewhere.submit(batches_beside, url, stats, key_of(server, url, "v1"), stop, rest)
                found = steady.run(url, payloads.two_rows(), per_second=RATE, seconds=seconds, key=key)
                stop.set()
                lasted = sent.result() if sent else []
            if found.failures or set(found.seconds) != {"v2"}:
                raise SystemExit(f"answered by {set(found.seconds)}; failures {found.failures[:1]}")
            return found, statistics.mean(lasted or [0.0])

        alone, _ = users(light, None, batches=False)
        shading, lasted = users(light, None)
        beside, _ = users(dark, lasted)
        return alone, beside, shading


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", choices=("equal", "big"))
    options = parser.parse_args()
    if options.only != "big":
        equal = [equal_cost(options.seconds) for _ in range(options.runs)]
        ratio = statistics.median(b / a for a, b in equal)
        print(f"p99 with one shadow of equal cost ÷ without: {ratio:.2f} (target ≤ 1.3);",
              ", ".join(f"{a * 1e3:.2f} → {b * 1e3:.2f} ms" for a, b in equal))  # fmt: skip
    if options.only != "equal":
        runs = [big_shadow(options.seconds) for _ in range(options.runs)]
        for alone, beside, shading in runs:
            for name, found in (("alone", alone), ("batches beside", beside), ("batches shaded here", shading)):
                print(f"  {name:20} p50 {found.quantile(0.5) * 1e3:.2f}  p99 {found.quantile(0.99) * 1e3:.2f}",
                      f" worst {found.quantile(1) * 1e3:.2f} ms")  # fmt: skip
        ratio = statistics.median(s.quantile(0.99) / b.quantile(0.99) for _, b, s in runs)
        worst = statistics.median(s.quantile(1) - b.quantile(1) for _, b, s in runs)
        print(f"p99 while {SHADOW_ROWS:,}-row shadows run ÷ without: {ratio:.2f} (target ≤ 1.5);",
              f"worst single delay {worst * 1e3:.1f} ms above (target ≤ 15)")  # fmt: skip


if __name__ == "__main__":
    main()
