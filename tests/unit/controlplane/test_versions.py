"""Version directories on a real disk, watched by a registry whose hosts are in memory."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from forestflow.artifacts.sources.directories import SourceDirectories
from forestflow.artifacts.sources.rules import SourceRules
from forestflow.controlplane import versions
from forestflow.domain import settings as s
from forestflow.domain.errors import ArtifactRejected, LoadFailed, Malformed
from forestflow.domain.ids import Fqrv
from forestflow.domain.policies.expiration import KeepAll, KeepLatest
from forestflow.domain.refusals import ContractValidationError, NotWatched, UnknownContract
from forestflow.domain.requests import H2OMojo
from forestflow.domain.versions import (
    AllVersions,
    LatestVersions,
    VersionState,
    VersionStatus,
    Watch,
    WatchRequest,
    retry_pause_ms,
)
from tests.unit.controlplane.test_registry import CONTRACT, MODELS, World, plan_of, request, until

KEEP_ALL = s.ContractSettings(KeepAll())
WAITING, AVAILABLE, FAILED, RETIRED = (
    VersionState.WAITING, VersionState.AVAILABLE, VersionState.FAILED, VersionState.RETIRED,
)  # fmt: skip


@pytest.fixture
async def world(tmp_path):
    world = World(tmp_path / "data")
    await world.start()
    yield world
    await world.registry.stop()


@pytest.fixture
def base(tmp_path):
    base = tmp_path / "models"
    base.mkdir()
    return base


def put(base, number, model="energy_gbm_v1.zip"):
    """A version as a careful writer makes it: elsewhere, then renamed."""
    new = base / f".{number}.new"
    new.mkdir()
    shutil.copy(MODELS / model, new / "model.zip")
    new.rename(base / str(number))


def watching(base, policy=None, **changes):
    watch = Watch(CONTRACT, base.as_uri(), H2OMojo("model.zip"), policy or LatestVersions(), 0.01)
    return WatchRequest(replace(watch, **changes), KEEP_ALL)


async def states(registry):
    return {v.version: v.state for v in (await registry.versions(CONTRACT)).versions}


async def become(registry, expected):
    async with asyncio.timeout(10):
        while await states(registry) != expected:
            await asyncio.sleep(0.01)


def serving(registry):
    return sorted(registry._state.contracts[CONTRACT].releases)


async def test_versions_become_releases_and_leave(world, base):
    put(base, 1)
    put(base, 2, "energy_gbm_v2.zip")
    (base / "3.tmp").mkdir()
    (base / "notes.txt").write_text("not a version")
    report = await world.registry.watch_versions(watching(base, AllVersions()))
    assert [(v.version, v.state, v.message) for v in report.versions] == [(1, AVAILABLE, None), (2, AVAILABLE, None)]
    assert list(await plan_of(world.registry)) == ["1", "2"]
    put(base, 10)
    await become(world.registry, {1: AVAILABLE, 2: AVAILABLE, 10: AVAILABLE})
    shutil.rmtree(base / "2")
    await become(world.registry, {1: AVAILABLE, 10: AVAILABLE})
    assert serving(world.registry) == ["1", "10"]


async def test_the_latest_takes_over(world, base):
    put(base, 9)
    await world.registry.watch_versions(watching(base))
    put(base, 10)
    await become(world.registry, {9: RETIRED, 10: AVAILABLE})
    await world.registry.update_versions(CONTRACT, AllVersions(), None)
    await become(world.registry, {9: AVAILABLE, 10: AVAILABLE})


async def test_the_last_one_stays_and_its_predecessor_comes_back(world, base):
    put(base, 1)
    await world.registry.watch_versions(watching(base))
    shutil.rmtree(base / "1")
    await until(lambda: not world.registry._versions._watching[CONTRACT].found)
    (only,) = (await world.registry.versions(CONTRACT)).versions
    assert (only.state, only.message) == (
        AVAILABLE, "is gone from the directory, but no other release can answer: it stays until one can",
    )  # fmt: skip
    put(base, 0)
    await become(world.registry, {0: AVAILABLE})
    assert serving(world.registry) == ["0"]


async def test_a_directory_that_cannot_be_read_changes_nothing_and_is_reported(world, base):
    put(base, 1)
    put(base, 2)
    await world.registry.watch_versions(watching(base, AllVersions()))
    base.rename(base.with_name("away"))
    watch = world.registry._versions._watching[CONTRACT]
    await until(lambda: watch.message)
    report = await world.registry.versions(CONTRACT)
    assert report.message == "the base directory cannot be read: No such file or directory"
    assert [v.state for v in report.versions] == [AVAILABLE, AVAILABLE]
    base.with_name("away").rename(base)
    await until(lambda: watch.message is None)
    assert serving(world.registry) == ["1", "2"]


async def test_a_directory_that_hangs_holds_nobody_up(world, base, monkeypatch):
    monkeypatch.setattr(versions, "SLOW_SECONDS", 0.05)
    put(base, 1)
    await world.registry.watch_versions(watching(base, AllVersions()))
    goes_on = threading.Event()
    look = SourceDirectories.look
    monkeypatch.setattr(SourceDirectories, "look", lambda *arguments: goes_on.wait(10) and look(*arguments))
    watch = world.registry._versions._watching[CONTRACT]
    await until(lambda: watch.message)
    assert "has not been listed within" in (await world.registry.versions(CONTRACT)).message
    await world.registry.deploy(request("by-hand"))
    monkeypatch.setattr(versions, "LIST_SECONDS", 0.05)
    with pytest.raises(ArtifactRejected, match="was not listed within"):
        await world.registry.watch_versions(replace(watching(base), contract_settings=None))
    goes_on.set()
    await until(lambda: watch.message is None)
    assert serving(world.registry) == ["1", "by-hand"]


async def test_looks_that_hang_are_given_up_and_do_not_pile_up(world, base, monkeypatch):
    monkeypatch.setattr(versions, "SLOW_SECONDS", 0.01)
    monkeypatch.setattr(versions, "LIST_SECONDS", 0.02)
    put(base, 1)
    await world.registry.watch_versions(watching(base, AllVersions()))
    goes_on = threading.Event()
    look, began = SourceDirectories.look, []

    def hangs(*arguments):
        began.append(threading.current_thread())
        return goes_on.wait(10) and look(*arguments)

    monkeypatch.setattr(SourceDirectories, "look", hangs)
    watch = world.registry._versions._watching[CONTRACT]
    await until(lambda: "looks at the base directory hang" in (watch.message or ""))
    assert len(began) == versions.MAX_HANGING
    assert [v.state for v in (await world.registry.versions(CONTRACT)).versions] == [AVAILABLE]
    goes_on.set()
    await until(lambda: watch.message is None)
    assert serving(world.registry) == ["1"]


class Remote:
    """A storage elsewhere: its ``content`` by version, or the error that a look ends with."""

    def __init__(self):
        self.content = {}
        self.looks = 0

    def look(self, watch, unread):
        self.looks += 1
        if isinstance(self.content, Exception):
            raise self.content
        new = unread(list(self.content))
        return {version: content if version in new else None for version, content in self.content.items()}


@pytest.fixture
async def far(tmp_path):
    """A world whose base directories are remote."""
    world = World(tmp_path / "data")
    world.directories = Remote()
    await world.start()
    yield world
    await world.registry.stop()


async def test_a_remote_directory_that_cannot_be_listed_is_left_alone_for_longer_each_time(far):
    request = watching(MODELS, AllVersions(), path="s3://bucket/models", poll_seconds=2.0)
    far.directories.content = {1: None}
    await far.registry.create_contract(CONTRACT, KEEP_ALL)
    await far.registry.watch_versions(replace(request, contract_settings=None))
    far.directories.content = ArtifactRejected("S3 answered 403")
    pauses = [await far.registry._versions.look(CONTRACT) for _ in range(8)]
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300]
    report = await far.registry.versions(CONTRACT)
    assert report.message == "S3 answered 403"
    assert report.versions == (VersionStatus(1, WAITING, "its directory must be the same in two looks in succession"),)
    far.directories.content = {1: None}
    assert await far.registry._versions.look(CONTRACT) == 2
    assert (await far.registry.versions(CONTRACT)).message is None
    far.directories.content = ArtifactRejected("S3 answered 503")
    assert await far.registry._versions.look(CONTRACT) == retry_pause_ms(1) / 1000


async def test_a_directory_that_is_being_written_waits(world, base, monkeypatch):
    sizes = iter(range(1, 10**6))
    (base / "1").mkdir()
    look = SourceDirectories.look

    def written_meanwhile(*arguments):
        (base / "1" / "model.zip").write_bytes(b"x" * next(sizes))
        return look(*arguments)

    monkeypatch.setattr(SourceDirectories, "look", written_meanwhile)
    await world.registry.create_contract(CONTRACT, KEEP_ALL)
    asking = asyncio.ensure_future(world.registry.watch_versions(replace(watching(base), contract_settings=None)))
    await until(lambda: next(sizes) > 20)
    assert await states(world.registry) == {1: WAITING}
    assert not asking.done()
    monkeypatch.setattr(SourceDirectories, "look", look)
    shutil.copy(MODELS / "energy_gbm_v1.zip", base / "1" / "model.zip")
    assert [v.state for v in (await asking).versions] == [AVAILABLE]


async def test_a_broken_version_leaves_the_older_one_and_is_tried_again_when_it_changes(world, base):
    put(base, 1)
    await world.registry.watch_versions(watching(base))
    put(base, 2, "energy_gbm_v1.json")
    await become(world.registry, {1: AVAILABLE, 2: FAILED})
    failed = (await world.registry.versions(CONTRACT)).versions[1]
    assert "zip" in failed.message
    assert (await plan_of(world.registry))["1"].weight == 100
    shutil.copy(MODELS / "energy_gbm_v2.zip", base / "2" / "model.zip")
    await become(world.registry, {1: RETIRED, 2: AVAILABLE})


async def test_a_broken_version_is_tried_again_after_a_pause(world, base):
    put(base, 1)
    world.hosts.fail_load = LoadFailed("no Java")
    report = await world.registry.watch_versions(watching(base))
    assert [(v.state, v.message) for v in report.versions] == [(FAILED, "no Java")]
    assert await world.registry.queries.contracts() == [CONTRACT], "the watch goes on"
    world.hosts.fail_load = None
    world.now_ms += 5_000
    await become(world.registry, {1: AVAILABLE})


async def test_the_contracts_policies_decide_further(world, base, monkeypatch):
    load = world.hosts.load

    async def takes_a_millisecond(*arguments):
        world.now_ms += 1
        return await load(*arguments)

    monkeypatch.setattr(world.hosts, "load", takes_a_millisecond)
    for number in (1, 2, 3):
        put(base, number)
    settings = s.ContractSettings(KeepLatest(1))
    await world.registry.watch_versions(replace(watching(base, AllVersions()), contract_settings=settings))
    assert await states(world.registry) == {1: RETIRED, 2: RETIRED, 3: AVAILABLE}
    looked = world.registry._versions._watching[CONTRACT]
    before = looked.looked_at_ms
    world.now_ms += 1
    await until(lambda: looked.looked_at_ms > before)
    assert await states(world.registry) == {1: RETIRED, 2: RETIRED, 3: AVAILABLE}


async def test_the_watch_survives_a_crash(world, base):
    put(base, 1)
    await world.registry.watch_versions(watching(base, AllVersions(), poll_seconds=0.02))
    world.registry._versions.close()
    put(base, 2)
    registry = await world.restart()
    await become(registry, {1: AVAILABLE, 2: AVAILABLE})
    report = await registry.versions(CONTRACT)
    assert (report.watch.policy, report.watch.poll_seconds) == (AllVersions(), 0.02)


async def test_a_watch_ends_and_its_releases_stay(world, base):
    put(base, 1)
    await world.registry.watch_versions(watching(base, AllVersions()))
    await world.registry.unwatch_versions(CONTRACT)
    with pytest.raises(NotWatched):
        await world.registry.versions(CONTRACT)
    assert serving(world.registry) == ["1"]
    await until(lambda: not world.registry._versions._watching)
    put(base, 2)
    await world.registry.watch_versions(replace(watching(base, AllVersions()), contract_settings=None))
    assert await states(world.registry) == {1: AVAILABLE, 2: AVAILABLE}, "1 is one of its versions again"


async def test_a_contract_takes_its_watch_along(world, base):
    put(base, 1)
    await world.registry.watch_versions(watching(base))
    await world.registry.delete(Fqrv(CONTRACT, "1"))
    with pytest.raises(UnknownContract):
        await world.registry.versions(CONTRACT)
    assert not world.registry._versions._watching


async def test_releases_from_elsewhere_are_left_alone(world, base):
    await world.registry.deploy(request("1", contract_settings=KEEP_ALL))
    put(base, 1)
    with pytest.raises(ContractValidationError, match="already exists"):
        await world.registry.watch_versions(watching(base))
    report = await world.registry.watch_versions(replace(watching(base), contract_settings=None))
    assert [(v.state, v.message) for v in report.versions] == [
        (RETIRED, "a release 1 that came from elsewhere is there already")
    ]


async def test_looking_once(world, base, monkeypatch):
    monkeypatch.setattr(versions, "SETTLE_SECONDS", 0.02)
    put(base, 1)
    await world.registry.watch_versions(watching(base, AllVersions(), poll_seconds=0.0))
    assert await states(world.registry) == {1: AVAILABLE}
    put(base, 2)
    await world.registry.update_versions(CONTRACT, AllVersions(), None)  # the same: nothing to look for
    assert await states(world.registry) == {1: AVAILABLE}
    await world.registry.update_versions(CONTRACT, LatestVersions(2), None)
    await become(world.registry, {1: AVAILABLE, 2: AVAILABLE})


@pytest.mark.parametrize(
    ("path", "reason"),
    [("/nowhere", "cannot be read"), ("s3://bucket/models", "'s3' are not allowed here"), ("models", "protocol")],
)
async def test_a_base_directory_that_is_none_is_refused(world, base, path, reason):
    with pytest.raises(ArtifactRejected, match=reason):
        await world.registry.watch_versions(watching(base, path=path))
    assert await world.registry.queries.contracts() == []


def look_at(base, *versions, hosts=(), schemes=("file",)):
    """What a look finds below ``base``, with the fingerprints of these versions."""
    watch = watching(base).watch if isinstance(base, Path) else replace(watching(MODELS).watch, path=base)
    return SourceDirectories(SourceRules(schemes, hosts, 10, 1 << 20)).look(watch, lambda numbers: frozenset(versions))


def test_fingerprints_change_with_the_content(base):
    put(base, 1)
    one = base / "1"
    before = look_at(base, 1)[1]
    assert before == look_at(str(base), 1)[1] != None  # noqa: E711 - three values compared
    assert look_at(base) == {1: None}
    status = (one / "model.zip").stat()
    content = (one / "model.zip").read_bytes()
    (one / "model.zip").write_bytes(content[::-1])
    os.utime(one / "model.zip", ns=(status.st_atime_ns, status.st_mtime_ns))  # as who copies times along
    after = look_at(base, 1)[1]
    assert after != before
    (one / "more").mkdir()
    (one / "more" / "labels.txt").touch()
    assert look_at(base, 1)[1] not in (None, before, after)
    (base / "2").mkdir()
    assert look_at(base, 2) == {1: None, 2: None}


def test_links_are_no_versions(base):
    put(base, 1)
    (base / "2").symlink_to(base / "1")
    (base / "3").write_text("a file")
    assert look_at(base) == {1: None}


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("https://example.com/models", "over https a directory cannot be listed"),
        ("git@example.com:org/models.git", "a git repository has no version directories"),
        ("https://example.com/org/models.git#v0.1", "a git repository has no version directories"),
        ("ftp://example.com/models#1", "no fragment"),
        ("memory://models", "supported protocol"),
    ],
)
def test_what_cannot_be_listed_is_refused_with_what_to_do(path, reason, monkeypatch):
    monkeypatch.setattr("fsspec.url_to_fs", lambda *_, **__: (None, ""))  # no connection
    monkeypatch.setattr(SourceRules, "address", lambda self, host, port: "192.0.2.1")
    with pytest.raises(ArtifactRejected, match=reason):
        look_at(path, schemes=("https", "ssh", "ftp", "memory"), hosts=("example.com",))


def test_secrets_in_a_base_directory_are_refused():
    with pytest.raises(Malformed):
        look_at("ftp://me:s3cret@example.com/models", schemes=("ftp",), hosts=("example.com",))
