"""What version swaps cost users: ``python -m benchmarks.swaps [--swaps 100] [--rate 500] [--seconds 10] [--broken 5]``.

A base directory of numbered versions is watched, ``latest`` 1. An open-loop load runs on while version after version is
put there and takes over; then once more, with a version that does not load put there before each of a few swaps.
Printed: requests that failed (target 0), and the p99 of the first answers of the new versions, that is the first
``FIRST`` that each of them gave, latencies counted from the schedule, divided by two p99s: that of the same load before
any swap (target ≤ 1.5), and that of the other answers while versions were loading and leaving.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
import zipfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks import ours, payloads, steady
from benchmarks.payloads import MODELS, Address

FIRST = 20
POLL_SECONDS = 0.2
WAIT_SECONDS = 120.0
LONGEST_SECONDS = 3600.0  # of a phase


@dataclass(frozen=True, slots=True)
class Phase:
    """What users saw during some swaps. Times in seconds."""

    answers: int
    failures: list[bytes]
    first: list[float]
    other: list[float]
    swaps: int


def put(base: Path, version: int, *, broken: bool = False) -> None:
    """Write a version elsewhere and rename it; ``broken``: one that passes every check and does not load."""
    new = base / f".{version}"
    new.mkdir()
    model = MODELS / ("energy_gbm_v1.zip" if version % 2 else "energy_gbm_v2.zip")
    if broken:
        with zipfile.ZipFile(model) as good, zipfile.ZipFile(new / "model.zip", "w") as bad:
            for name in good.namelist():
                bad.writestr(name, good.read(name).replace(b"n_trees = ", b"n_trees = x"))
    else:
        shutil.copy(model, new / "model.zip")
    new.rename(base / str(version))


def watch(server: ours.Ours, address: Address, base: Path) -> None:
    """Have the versions in ``base`` deployed."""
    payload = payloads.deploy(address) | {"path": base.as_uri(), "flavor": {"H2OMojo": {"mojoPath": "model.zip"}}}
    payload |= {"versions": {"latest": {"count": 1}}, "pollSeconds": POLL_SECONDS}
    server.http.post("/servable", json=payload).raise_for_status()


def swap(versions_url: str, base: Path, numbers: range, broken: int, rest: float) -> int:
    """Put one version after another, each when the one before serves; before the first ``broken``, one that fails.

    Returns how many took over.
    """
    with httpx.Client(timeout=30) as client:
        for number in numbers:
            version = number * 2  # odd ones are the broken
            if number - numbers[0] < broken:
                put(base, version - 1, broken=True)
                wait(client, versions_url, version - 1, "FAILED")
            put(base, version)
            wait(client, versions_url, version, "AVAILABLE")
            time.sleep(rest)
    return len(numbers)


def wait(client: httpx.Client, versions_url: str, version: int, state: str) -> None:
    """Until a version is in that state."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        status = client.get(versions_url).raise_for_status().json()["VersionsStatus"]
        if any(int(v["version"]) == version and v["state"] == state for v in status.get("versions", [])):
            return
        time.sleep(0.05)
    raise SystemExit(f"version {version} is not {state} after {WAIT_SECONDS:g} s: {status}")


def phase(server: ours.Ours, address: Address, base: Path, numbers: range, broken: int, rate: float) -> Phase:
    """Swap to each number under load."""
    url, versions_url = server.score_url(address), f"{server.http.base_url}{address.path}/versions"
    with ProcessPoolExecutor(1) as elsewhere:
        swaps = elsewhere.submit(swap, versions_url, base, numbers, broken, FIRST / rate + 1.0)
        found = steady.run(
            url, payloads.two_rows(), per_second=rate, seconds=LONGEST_SECONDS, connections=128, over=swaps.done
        )
        made = swaps.result()
    new = {str(number * 2) for number in numbers}
    if missing := new - found.seconds.keys():
        raise SystemExit(f"versions that answered nobody: {sorted(missing)}")
    first = [value for version in new for value in found.seconds[version][:FIRST]]
    other = [v for version, values in found.seconds.items() for v in values[FIRST if version in new else 0 :]]
    return Phase(len(found.all()), found.failures, first, other, made)


def p99(values: list[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(0.99 * len(values)))]


def told(name: str, phase: Phase, quiet: float) -> None:
    """One phase's figures."""
    first, other = p99(phase.first), p99(phase.other)
    asked = phase.answers + len(phase.failures)
    print(f"{name}: {phase.swaps} swaps, {len(phase.failures)} failed of {asked:,} (target 0)")
    print(f"  first {FIRST} answers of each version: p99 {first * 1e3:.2f} ms;",
          f"÷ steady {quiet * 1e3:.2f} ms: {first / quiet:.2f} (target ≤ 1.5);",
          f"÷ other answers of these minutes {other * 1e3:.2f} ms: {first / other:.2f};",
          f"worst {max(phase.first) * 1e3:.1f} ms, of the others {max(phase.other) * 1e3:.1f} ms")  # fmt: skip
    for answer in phase.failures[:3]:
        print(f"  {answer!r}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--swaps", type=int, default=100)
    parser.add_argument("--rate", type=float, default=500.0, help="requests per second")
    parser.add_argument("--seconds", type=float, default=10.0, help="of the steady load before")
    parser.add_argument("--broken", type=int, default=5, help="swaps with a version that fails before each")
    options = parser.parse_args()
    address, base = Address(), Path(tempfile.mkdtemp(prefix="ff-bench-versions-"))
    try:
        with ours.serving() as server:
            put(base, 0)
            watch(server, address, base)
            url = server.score_url(address)
            steady.run(url, payloads.two_rows(), per_second=options.rate, seconds=3, connections=128)
            before = steady.run(
                url, payloads.two_rows(), per_second=options.rate, seconds=options.seconds, connections=128
            )
            quiet = before.quantile(0.99)
            print(f"steady at {options.rate:g}/s: p50 {before.quantile(0.5) * 1e3:.2f} ms, p99 {quiet * 1e3:.2f} ms,",
                  f"{len(before.failures)} failed")  # fmt: skip
            last = options.swaps + 1
            told("swaps", phase(server, address, base, range(1, last), 0, options.rate), quiet)
            if options.broken:
                numbers = range(last, last + options.broken)
                found = phase(server, address, base, numbers, options.broken, options.rate)
                told("swaps with a broken version before each", found, quiet)
    finally:
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()
