"""A host without Ray: a real model loaded by a flavor module, real sockets, and whatever may go wrong on the way."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from forestflow.codecs.table import BASIC
from forestflow.dataplane import host as module
from forestflow.dataplane.dispatch import Dispatcher
from forestflow.dataplane.host import Host
from forestflow.domain.assignment import Assignment
from forestflow.domain.errors import Code, LoadFailed
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.independence import Independence, IndependentRows
from forestflow.domain.reports import ReplicaLoad
from forestflow.domain.requests import H2OMojo
from forestflow.domain.settings import Merging, Resources
from forestflow.servables import loading
from forestflow.settings.sections import DispatchSettings
from tests.unit.dataplane.models import SumModel
from tests.unit.dataplane.test_dispatch import CONTRACT, SECRET, plan, score, total
from tests.unit.dataplane.test_replica import body

A = Fqrv(Contract("o", "p", 0), "a")


@pytest.fixture
def flavor(monkeypatch):
    """``flavor.model`` is what its load gives."""
    fake = ModuleType("fake_flavor")
    fake.model = SumModel()
    fake.load = lambda path, flavor, resources: fake.model
    monkeypatch.setitem(sys.modules, "fake_flavor", fake)
    monkeypatch.setitem(loading.FLAVOR_MODULES, H2OMojo, "fake_flavor")
    for name in ("freeze", "set_threshold"):  # the collector of the tests' process stays as it is
        monkeypatch.setattr(module.gc, name, lambda *_: None)
    return fake


@pytest.fixture
def host(tmp_path, flavor):
    host = Host(node_id="here", bind_ip="127.0.0.1", socket_directory=tmp_path / "run", secret=SECRET)
    yield host
    if host._thread.is_alive():
        host.close()


def assignment(**changes):
    values = {"replica_id": "r1", "fqrv": A, "flavor": H2OMojo("m"), "artifact": Path("/m"), "digest": "d"}
    return Assignment(**{**values, "resources": Resources(), "max_queued": 10, "max_frame": 10_000, **changes})


async def ask(address, node_id, payload=None, timeout=5.0):
    dispatcher = Dispatcher(DispatchSettings(node_id, SECRET))
    try:
        from forestflow.domain.plan import ReleasePlan

        dispatcher.apply(plan(ReleasePlan(A, 100, replicas=(address,))))
        return await score(dispatcher, payload or body([1, 2]), timeout)
    finally:
        dispatcher.close()
        await asyncio.sleep(0.01)


async def test_a_loaded_model_answers_on_both_sockets(host, flavor):
    loaded = await asyncio.to_thread(host.load, assignment())
    known = SumModel().independence()
    assert loaded.metadata == replace(SumModel.metadata, independence=known), "what was found is reported"
    for node in ("here", "elsewhere"):
        assert total(await ask(loaded.address, node)) == 3.0
    assert await asyncio.to_thread(host.load, assignment()) is loaded, "again is harmless"
    assert host.drain(1)
    host.close()
    assert flavor.model.closed
    assert not Path(loaded.address.unix_path).parent.exists()
    assert not host._thread.is_alive()


@pytest.mark.parametrize(
    ("word", "shown", "apart"),
    [
        (IndependentRows.AUTO, True, False),
        (IndependentRows.AUTO, False, True),
        (IndependentRows.NO, True, True),
        (IndependentRows.YES, False, False),
    ],
)
async def test_rows_run_together_where_the_settings_say_so_or_it_was_shown(host, flavor, word, shown, apart):
    flavor.model.independence = lambda: {"serving_default": Independence(shown, "tried")}
    flavor.model.slice_rows = 2
    merging = Merging(independent_rows=word)
    loaded = await asyncio.to_thread(host.load, assignment(merging=merging))
    found = loaded.metadata.independence["serving_default"]
    assert found.shown is not apart
    assert found.reason == ("tried" if word is IndependentRows.AUTO else found.reason)
    assert total(await ask(loaded.address, "here", body(*[[1, 1]] * 5))) == 2.0
    assert flavor.model.calls == ([5] if apart else [2, 2, 1])


def test_the_socket_of_a_killed_predecessor_is_replaced(host, tmp_path):
    (tmp_path / "run").mkdir(mode=0o700)
    (tmp_path / "run" / "r1.sock").write_text("")
    loaded = host.load(assignment())
    assert Path(loaded.address.unix_path).is_socket()


def test_two_loads_at_once_are_one(host, flavor):
    loads = []

    def slow(path, flavor_, resources):
        loads.append(path)
        time.sleep(0.1)
        return flavor.model

    flavor.load = slow
    results = []
    threads = [threading.Thread(target=lambda: results.append(host.load(assignment()))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1
    assert len(set(map(id, results))) == 1


@pytest.mark.parametrize("error", [LoadFailed("no Java"), RuntimeError("boom"), ImportError("no h2o"), MemoryError()])
def test_a_load_that_fails_may_be_tried_again(host, flavor, error):
    good = flavor.load

    def bad(path, flavor_, resources):
        raise error

    flavor.load = bad
    with pytest.raises(LoadFailed if isinstance(error, ImportError) else type(error)):
        host.load(assignment())
    assert host.loaded is None
    flavor.load = good
    assert host.load(assignment())


@pytest.mark.parametrize("error", [ValueError("NaN weights"), SystemExit("NaN weights")])
def test_a_model_that_does_not_score_is_closed_again(host, flavor, error):
    def broken():
        raise error

    flavor.model.warm_up = broken
    with pytest.raises(LoadFailed, match=f"does not score: {type(error).__name__}: NaN weights"):
        host.load(assignment())
    assert flavor.model.closed
    flavor.model = SumModel()
    assert host.load(assignment())


@pytest.mark.parametrize("what", ["directory", "address"])
def test_sockets_that_cannot_be_opened_leave_nothing(host, flavor, tmp_path, what):
    if what == "directory":
        (tmp_path / "run").mkdir()
        (tmp_path / "run").chmod(0o777)
    else:
        host._bind_ip = "203.0.113.1"  # not of this machine
    with pytest.raises(OSError):  # noqa: PT011  whatever the system calls it
        host.load(assignment())
    assert flavor.model.closed is (what == "address"), "without a directory for its pulse it is not even loaded"
    assert host.loaded is None
    host._bind_ip = "127.0.0.1"
    (tmp_path / "run").chmod(0o700)
    flavor.model = SumModel()
    assert host.load(assignment())


async def test_what_its_replica_does_can_be_asked(host):
    assert host.inspect() is None
    loaded = await asyncio.to_thread(host.load, assignment())
    await ask(loaded.address, "here", body([1, 2], [3, 4]))
    load = await asyncio.to_thread(host.inspect)
    assert load == ReplicaLoad(os.getpid(), 0, 0, {2: 1})


async def test_draining_waits_for_what_is_queued_but_not_for_ever(host, flavor):
    gate = threading.Event()
    predict = flavor.model.predict

    def slow(batch, configs):
        gate.wait(5)
        return predict(batch, configs)

    flavor.model.predict = slow
    flavor.model.slice_rows = 1
    loaded = await asyncio.to_thread(host.load, assignment())
    asked = asyncio.ensure_future(ask(loaded.address, "here", body([1, 2], [3, 4], [5, 6])))
    await asyncio.sleep(0.1)
    draining = asyncio.ensure_future(asyncio.to_thread(host.drain, 0))
    await asyncio.sleep(0.05)
    gate.set()
    assert not await draining
    assert (await asked).code == Code.OK
    assert host.drain(1)


def test_an_empty_host_drains_and_closes(host):
    assert host.drain(0)
    host.close()


async def test_frames_for_nobody_and_of_no_kind_end_the_connection(host):
    from forestflow.dataplane import wire

    loaded = await asyncio.to_thread(host.load, assignment())
    for bad in (wire.request(0, BASIC, 99, 1, 1000, b"", b""), wire.hello(b"n" * 16), b"\xff\xff\xff\xff"):
        reader, writer = await asyncio.open_unix_connection(loaded.address.unix_path)
        hello = await reader.readexactly(21)
        writer.write(wire.proof(SECRET, hello[5:], b"n" * 16))
        length = int.from_bytes(await reader.readexactly(4), "little")
        welcome = await reader.readexactly(length)
        wire.check_mac(SECRET, b"replica", b"n" * 16, welcome[1:33])
        writer.write(bad)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await reader.readexactly(1)
        writer.close()
    assert total(await ask(loaded.address, "here")) == 3.0
    assert A.contract == CONTRACT
