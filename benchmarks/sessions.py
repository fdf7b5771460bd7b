"""One session: start one server, take the wanted figures from it, stop it.

Figures are plain numbers under dotted names; ``wanted`` says which. Times are in seconds, memory in MB, rates per
second.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import TypeVar

import httpx

from benchmarks import java_loop, ours, payloads, policies, routing, shadows, wrk
from benchmarks.payloads import Address
from benchmarks.peers import iris, ray_serve
from benchmarks.processes import PYTHON, Running, StartFailed, free_ports, poll

T = TypeVar("T")

Figures = dict[str, float]
CONNECTIONS = 16
JIT_WARM_UP = 3.0  # the JVM compiles a hot MOJO within a second or two


def floor(wanted: set[str], seconds: float) -> Figures:
    """The bare echo, same body."""
    (port,) = free_ports(1)
    with Running([PYTHON, "-m", "benchmarks.floor", str(port)]) as running:
        url = f"http://127.0.0.1:{port}/score"
        _wait_answer(running, url, payloads.two_rows(), "Float64")
        return _loads("floor", url, payloads.two_rows(), wanted, seconds)


def forestflow(wanted: set[str], seconds: float) -> Figures:
    """Ours: start, memory, deploy, load, a further replica, a killed replica."""
    first, second = Address(), Address(contract_number=1)
    with ours.serving() as server:
        figures = {"ours.ready": server.ready_seconds}
        if "ours.idle_mb" in wanted:
            figures["ours.idle_mb"], _ = server.memory_mb()
        figures["ours.deploy"] = server.deploy(first)
        figures |= _loads("ours", server.score_url(first), payloads.two_rows(), wanted, seconds)
        if "ours.batch_rows" in wanted:
            load = wrk.run(server.score_url(first), payloads.batch(), connections=1, seconds=seconds, warm_up=2)
            figures["ours.batch_rows"] = load.per_second * payloads.BATCH_ROWS
        if "ours.recovery" in wanted:
            server.warm(first)
            figures["ours.recovery"] = server.kill_replica(first)
        if "ours.replica_mb" in wanted:
            before, _ = server.memory_mb()
            server.deploy(second)
            server.warm(second)
            figures["ours.replica_mb"] = server.memory_mb()[0] - before
    return figures


def plan(contracts: int, releases: int, name: str, wanted: set[str], seconds: float) -> Figures:
    """Our router with a Plan of that size, one contract really served."""
    (port,) = free_ports(1)
    command = [PYTHON, "-m", "benchmarks.plan_server", str(port), str(contracts), str(releases)]
    with Running(command) as running:
        url = f"http://127.0.0.1:{port}{Address().path}/score"
        _wait_answer(running, url, payloads.two_rows(), "Prediction")
        listed = httpx.get(f"http://127.0.0.1:{port}/contracts/list").raise_for_status().json()
        if (count := len(listed["Contracts"]["contracts"])) != contracts:
            raise StartFailed(f"the router lists {count} contracts, not {contracts}")
        return _loads(name, url, payloads.two_rows(), wanted, seconds)


def java(wanted: set[str], seconds: float) -> Figures:
    """The plain Java loop."""
    return {"java.rows": java_loop.rows_per_second()}


def decisions(wanted: set[str], seconds: float) -> Figures:
    """Choosing among eight releases, without a network."""
    steady, grown = routing.rate(routing.steady(), routing.DECISIONS)
    moving, grown_too = routing.rate(routing.phasing_in(), routing.DECISIONS, 1000)
    return {"decisions.steady": steady, "decisions.moving": moving, "decisions.grown_kib": grown + grown_too}


def policy_evaluation(wanted: set[str], seconds: float) -> Figures:
    """All policies of 1,000 contracts, once."""
    return {"policies.ms": median(policies.evaluations())}


def equal_shadow(wanted: set[str], seconds: float) -> Figures:
    """Users beside a shadow that costs as much as they do."""
    alone, shadowed = _or_failed(shadows.equal_cost, seconds)
    return {"shadow.p99_alone": alone, "shadow.p99": shadowed}


def big_shadow(wanted: set[str], seconds: float) -> Figures:
    """Users of a replica that shades batches of 100,000 rows, and of one beside which they are only answered."""
    _, beside, shading = _or_failed(shadows.big_shadow, seconds)
    figures = {}
    for name, found in (("beside", beside), ("shading", shading)):
        figures |= {f"big-shadow.{name}_p99": found.quantile(0.99), f"big-shadow.{name}_worst": found.quantile(1)}
    return figures


def _or_failed(measure: Callable[[float], T], seconds: float) -> T:
    """These end their process when something was not answered; here the other sessions go on."""
    try:
        return measure(seconds)
    except SystemExit as failed:
        raise StartFailed(str(failed)) from failed


def ray(variant: str, wanted: set[str], seconds: float) -> Figures:
    """One configuration of Ray Serve."""
    temp = Path(tempfile.mkdtemp(prefix="ffb", dir="/tmp"))  # Ray's socket paths must stay short
    command, env, port = ray_serve.command(variant, free_ports(2), temp)
    try:
        with Running(command, env=env) as running:
            url = f"http://127.0.0.1:{port}/score"
            _wait_answer(running, url, payloads.two_rows(), "Prediction")
            return _loads(f"ray-{variant}", url, payloads.two_rows(), wanted, seconds)
    finally:
        shutil.rmtree(temp, ignore_errors=True)


@contextmanager
def serving_peer(name: str) -> Iterator[iris.Peer]:
    """MLServer or BentoML with an iris model, that answers."""
    temp = Path(tempfile.mkdtemp(prefix="ffb"))
    try:
        started = iris.mlserver(free_ports(3), temp) if name == "mlserver" else iris.bentoml(free_ports(1), temp)
        with Running(started.command, env=started.env, cwd=started.cwd) as running:
            _wait_answer(running, started.url, started.body, started.answer_key)
            yield started
    finally:
        shutil.rmtree(temp, ignore_errors=True)


def peer(name: str, wanted: set[str], seconds: float) -> Figures:
    """The same, one row."""
    with serving_peer(name) as started:
        return _loads(name, started.url, started.body, wanted, seconds)


def _loads(name: str, url: str, body: bytes, wanted: set[str], seconds: float) -> Figures:
    figures: Figures = {}
    if f"{name}.rate" in wanted or f"{name}.tail" in wanted:
        load = wrk.run(url, body, connections=CONNECTIONS, seconds=seconds, warm_up=JIT_WARM_UP)
        figures |= {f"{name}.rate": load.per_second, f"{name}.tail": load.p99 / load.p50, f"{name}.p99": load.p99}
    if f"{name}.p50_alone" in wanted:
        figures[f"{name}.p50_alone"] = wrk.run(url, body, connections=1, seconds=seconds).p50
    return figures


def _wait_answer(running: Running, url: str, body: bytes, expected: str) -> None:
    """Ask until the answer is a 200 that holds ``expected``."""
    with httpx.Client(timeout=20) as client:
        for _ in poll(running, ours.START_TIMEOUT, interval=0.1):
            try:
                answer = client.post(url, content=body, headers={"content-type": "application/json"})
            except httpx.TransportError:
                continue
            if answer.status_code == 200:
                if expected not in answer.text:
                    raise StartFailed(f"{url} answers {answer.text[:300]}")
                return


Session = Callable[[set[str], float], Figures]


def _ray(variant: str) -> Session:
    return lambda wanted, seconds: ray(variant, wanted, seconds)


def _peer(name: str) -> Session:
    return lambda wanted, seconds: peer(name, wanted, seconds)


# By the prefix of the figures that each takes, in the order they run.
SESSIONS: Mapping[str, Session] = {
    "floor": floor,
    "ours": forestflow,
    "plan": partial(plan, 1000, 8, "plan"),
    "plan-of-one": partial(plan, 1, 1, "plan-of-one"),
    "java": java,
    "decisions": decisions,
    "policies": policy_evaluation,
    "shadow": equal_shadow,
    "big-shadow": big_shadow,
    **{f"ray-{variant}": _ray(variant) for variant in ray_serve.VARIANTS},
    "mlserver": _peer("mlserver"),
    "bentoml": _peer("bentoml"),
}
