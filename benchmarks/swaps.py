"""What version swaps cost users: ``python -m benchmarks.swaps [--swaps 100] [--rate 500] [--seconds 10] [--broken 5]``.

A base directory of numbered versions is watched, ``latest`` 1. An open-loop load runs on while version after version is
put there and takes over; then once more, with a version that does not load put there before each of a few swaps.
Printed: requests that failed (target 0), and the p99 of the first answers of the new versions, that is the first
``FIRST`` that each of them gave, latencies counted from the schedule, divided by two p99s: that of the same load
without swaps, half of it before and half after (target ≤ 1.5), and that of the other answers while versions were
loading and leaving. That a version took over is seen from its answers: nothing but the load asks the server anything.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import Value
from pathlib import Path

import httpx

from benchmarks import ours, payloads, steady
from benchmarks.payloads import MODELS, Address

FIRST = 20
POLL_SECONDS = 0.2
LOOK_SECONDS = 0.5  # at the state of a version that does not load
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


_answers = Value("q", -1)  # the latest version that answered a user, for the process that puts them there


def swap(versions_url: str, base: Path, numbers: range, broken: int, rest: float) -> int:
    """Put one version after another, each when the one before answers; before the first ``broken``, one that fails.

    Returns how many took over.
    """
    for number in numbers:
        version = number * 2  # odd ones are the broken
        if number - numbers[0] < broken:
            put(base, version - 1, broken=True)
            with httpx.Client(timeout=30) as client:
                wait(lambda: has_failed(client, versions_url, version - 1), LOOK_SECONDS)  # noqa: B023 – called here
        put(base, version)
        wait(lambda: _answers.value == version, 0.01)  # noqa: B023
        time.sleep(rest)
    return len(numbers)


def has_failed(client: httpx.Client, versions_url: str, version: int) -> bool:
    """Whether the server says so of that version."""
    status = client.get(versions_url).raise_for_status().json()["VersionsStatus"]
    return any(int(v["version"]) == version and v["state"] == "FAILED" for v in status.get("versions", []))


def wait(there: Callable[[], bool], pause: float) -> None:
    """Until it is there; seconds between looks."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not there():
        if time.monotonic() > deadline:
            raise SystemExit(f"a version did not do what it should within {WAIT_SECONDS:g} s")
        time.sleep(pause)


def note(release: str) -> None:
    """A version answers."""
    _answers.value = int(release)


def phase(server: ours.Ours, address: Address, base: Path, numbers: range, broken: int, rate: float) -> Phase:
    """Swap to each number under load."""
    url, versions_url = server.score_url(address), f"{server.http.base_url}{address.path}/versions"
    with ProcessPoolExecutor(1) as elsewhere:
        swaps = elsewhere.submit(swap, versions_url, base, numbers, broken, FIRST / rate + 1.0)
        found = steady.run(
            url,
            payloads.two_rows(),
            per_second=rate,
            seconds=LONGEST_SECONDS,
            connections=128,
            over=swaps.done,
            answered=note,
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


def told(name: str, phase: Phase, quiet: float, target: str = "") -> None:
    """One phase's figures."""
    first, other = p99(phase.first), p99(phase.other)
    asked = phase.answers + len(phase.failures)
    print(f"{name}: {phase.swaps} swaps, {len(phase.failures)} failed of {asked:,} (target 0)")
    print(f"  first {FIRST} answers of each version: p99 {first * 1e3:.2f} ms;",
          f"÷ steady {quiet * 1e3:.2f} ms: {first / quiet:.2f}{target};",
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

            def quiet(seconds: float) -> steady.Latencies:
                return steady.run(url, payloads.two_rows(), per_second=options.rate, seconds=seconds, connections=128)

            quiet(3)
            before, last = quiet(options.seconds), options.swaps + 1
            swaps = phase(server, address, base, range(1, last), 0, options.rate)
            after = quiet(options.seconds)
            resting = p99(before.all() + after.all())
            print(f"steady at {options.rate:g}/s: p50 {before.quantile(0.5) * 1e3:.2f} ms,",
                  f"p99 {resting * 1e3:.2f} ms ({before.quantile(0.99) * 1e3:.2f} before the swaps,",
                  f"{after.quantile(0.99) * 1e3:.2f} after),",
                  f"{len(before.failures + after.failures)} failed")  # fmt: skip
            told("swaps", swaps, resting, " (target ≤ 1.5)")
            if options.broken:
                numbers = range(last, last + options.broken)
                found = phase(server, address, base, numbers, options.broken, options.rate)
                told("swaps with a broken version before each", found, resting)
    finally:
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()
