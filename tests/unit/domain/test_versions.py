"""Which versions are deployed and retired: the rules one by one, and what must hold whatever is found."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forestflow.domain.errors import InvalidSettings
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.requests import ServeRequest, TensorFlow
from forestflow.domain.versions import (
    RETRY_MAX_MS,
    AllVersions,
    Failure,
    LatestVersions,
    ObservedVersions,
    SpecificVersions,
    Step,
    Watch,
    plan_versions,
    version_number,
    wanted_versions,
)
from tests.profiles import up_to

CONTRACT = Contract("o", "p", 0)
WATCH = Watch(CONTRACT, "file:///Models/mnist/", TensorFlow("."))
ALL, LATEST = AllVersions(), LatestVersions()


def plan(policy, now_ms=0, *, still=(), new=(), **known):
    """Steps by version; ``still`` are found unchanged, ``new`` for the first time."""
    found = dict.fromkeys([*still, *new], "same") | dict.fromkeys(known.get("deployed", {}).keys() & {*still, *new})
    seen = ObservedVersions(found, dict.fromkeys(still, "same"), **{"taken": known.get("deployed", {}).keys(), **known})
    return {verdict.version: verdict.step for verdict in plan_versions(policy, seen, now_ms)}


@pytest.mark.parametrize(
    ("name", "number"),
    [("0", 0), ("1", 1), ("20240131", 20240131), (str(2**63 - 1), 2**63 - 1), (str(2**63), None), ("01", None),
     ("-1", None), ("+1", None),
     ("1.tmp", None), (".1", None), ("1 ", None), ("v1", None), ("", None), ("\u0661", None)],
)  # fmt: skip
def test_a_version_is_a_plain_number(name, number):
    assert version_number(name) == number


def test_what_policies_want():
    found = [10, 9, 2, 100]
    assert wanted_versions(LATEST, found) == {100}
    assert wanted_versions(LatestVersions(3), found) == {100, 10, 9}
    assert wanted_versions(LatestVersions(9), found) == set(found)
    assert wanted_versions(ALL, found) == set(found)
    assert wanted_versions(SpecificVersions((2, 3)), found) == {2}
    assert wanted_versions(LATEST, []) == set()


def test_a_version_is_a_release_of_its_own_directory():
    request = WATCH.request(3)
    assert (request.path, request.fqrv, request.flavor) == ("file:///Models/mnist/3", Fqrv(CONTRACT, "3"), WATCH.flavor)
    assert WATCH.version_of(request) == 3
    assert WATCH.version_of(dataclasses.replace(request, path="file:///elsewhere/3")) is None
    assert WATCH.version_of(ServeRequest("file:///Models/mnist/3", Fqrv(CONTRACT, "three"), WATCH.flavor)) is None
    assert WATCH.version_of(dataclasses.replace(request, fqrv=Fqrv(Contract("o", "p", 1), "3"))) is None


@pytest.mark.parametrize(
    "make",
    [
        lambda: LatestVersions(0),
        lambda: SpecificVersions(()),
        lambda: SpecificVersions((-1,)),
        lambda: dataclasses.replace(WATCH, poll_seconds=-1.0),
        lambda: dataclasses.replace(WATCH, poll_seconds=float("inf")),
    ],
)
def test_settings_that_make_no_sense(make):
    with pytest.raises(InvalidSettings):
        make()


def test_a_directory_must_rest_for_two_looks():
    assert plan(LATEST, new=[1]) == {1: Step.WAIT}
    assert plan(LATEST, still=[1]) == {1: Step.DEPLOY}
    changing = ObservedVersions({1: "b"}, {1: "a"})
    assert [v.step for v in plan_versions(LATEST, changing, 0)] == [Step.WAIT]
    empty = ObservedVersions({1: None}, {1: None})
    assert [v.step for v in plan_versions(LATEST, empty, 0)] == [Step.WAIT]


def test_one_at_a_time_and_the_lowest_first():
    assert plan(ALL, still=[1, 2, 3]) == {1: Step.DEPLOY, 2: Step.WAIT, 3: Step.WAIT}
    assert plan(ALL, still=[1, 2, 3], loading={1}) == {1: Step.LOAD, 2: Step.WAIT, 3: Step.WAIT}
    assert plan(ALL, still=[1, 2, 3], deployed={1: True}) == {1: Step.SERVE, 2: Step.DEPLOY, 3: Step.WAIT}


def test_a_load_that_is_overtaken_is_given_up():
    assert plan(LATEST, still=[1, 2], loading={1}) == {1: Step.CANCEL, 2: Step.WAIT}


def test_what_vanished_goes_when_another_answers():
    assert plan(ALL, still=[2], deployed={1: True, 2: True}) == {1: Step.RETIRE, 2: Step.SERVE}
    assert plan(ALL, still=[2], deployed={1: True, 2: False}) == {1: Step.KEEP, 2: Step.SERVE}
    assert plan(ALL, deployed={1: True}) == {1: Step.KEEP}
    assert plan(ALL, deployed={1: True}, others_answer=True) == {1: Step.RETIRE}


def test_an_empty_base_directory_retires_nothing():
    assert plan(ALL, deployed={1: True, 2: True, 3: True}) == dict.fromkeys((1, 2, 3), Step.KEEP)


def test_what_is_overtaken_stays_until_its_successor_had_its_turn():
    assert plan(LatestVersions(2), new=[3], still=[1, 2], deployed={1: True, 2: True}) == {
        1: Step.KEEP, 2: Step.SERVE, 3: Step.WAIT,
    }  # fmt: skip
    assert plan(LatestVersions(2), still=[1, 2, 3], deployed={1: True, 2: True, 3: True})[1] is Step.RETIRE


def test_a_broken_version_leaves_the_older_one_serving():
    failures = {2: Failure("same", 1, 1_000, "no good")}
    known = {"still": [1, 2], "deployed": {1: True}, "failures": failures}
    assert plan(LATEST, 5_999, **known) == {1: Step.KEEP, 2: Step.RETRY}
    assert plan(LATEST, 6_000, **known) == {1: Step.KEEP, 2: Step.DEPLOY}
    changed = {2: Failure("other", 1, 1_000, "no good")}
    assert plan(LATEST, 1_000, **{**known, "failures": changed})[2] is Step.DEPLOY, "its content changed"


def test_pauses_grow_and_end_growing():
    pauses = [Failure("x", count, 0, "").retry_at_ms for count in range(1, 40)]
    assert pauses[:3] == [5_000, 10_000, 20_000]
    assert pauses == sorted(pauses)
    assert pauses[-1] == RETRY_MAX_MS


def test_what_expired_is_not_deployed_again():
    assert plan(ALL, still=[1, 2], deployed={2: True}, taken={1, 2}) == {1: Step.REST, 2: Step.SERVE}
    assert plan(LATEST, still=[1, 2], deployed={2: True}, taken={1, 2}) == {1: Step.FORGET, 2: Step.SERVE}
    assert plan(ALL, still=[2], deployed={2: True}, taken={1, 2})[1] is Step.FORGET, "its directory is gone"


def test_who_removes_the_version_that_serves_gets_the_one_before():
    assert plan(LATEST, still=[1], deployed={2: True}, taken={2}) == {1: Step.DEPLOY, 2: Step.KEEP}
    assert plan(ALL, still=[1, 2], deployed={3: True}, taken={1, 2, 3}) == {1: Step.REST, 2: Step.DEPLOY, 3: Step.KEEP}
    failed = {2: Failure("same", 1, 0, "no good")}
    assert plan(ALL, still=[1, 2], deployed={3: True}, taken={1, 2, 3}, failures=failed)[1] is Step.DEPLOY


def test_a_release_from_elsewhere_is_left_alone():
    assert plan(ALL, still=[1, 2], occupied={1}) == {1: Step.REST, 2: Step.DEPLOY}


# --- whatever is found ---

NUMBERS = st.integers(0, 6)
POLICIES = (
    st.builds(LatestVersions, st.integers(1, 3))
    | st.just(ALL)
    | st.builds(SpecificVersions, st.lists(NUMBERS, min_size=1, max_size=3).map(tuple))
)
PRINTS = st.sampled_from(["a", "b", None])
NOW = 50_000


@st.composite
def observations(draw):
    deployed = draw(st.dictionaries(NUMBERS, st.booleans(), max_size=4))
    free = st.integers(0, 6).filter(lambda n: n not in deployed)
    loading = draw(st.sets(free, max_size=1)) if len(deployed) < 7 else set()
    return ObservedVersions(
        draw(st.dictionaries(NUMBERS, PRINTS)),
        draw(st.dictionaries(NUMBERS, PRINTS)),
        deployed,
        draw(st.booleans()),
        draw(st.sets(free, max_size=2)) - loading,
        deployed.keys() | draw(st.sets(free, max_size=3)),
        loading,
        draw(st.dictionaries(NUMBERS, st.builds(Failure, PRINTS, st.integers(1, 9), st.integers(0, NOW), st.just("")))),
    )


@settings(max_examples=up_to(1000), deadline=None)
@given(POLICIES, observations())
def test_never_too_much(policy, seen):
    verdicts = {verdict.version: verdict.step for verdict in plan_versions(policy, seen, NOW)}
    wanted = wanted_versions(policy, seen.found)
    gone = {n for n, step in verdicts.items() if step is Step.RETIRE}
    started = [n for n, step in verdicts.items() if step is Step.DEPLOY]
    assert verdicts.keys() == seen.found.keys() | seen.deployed.keys() | seen.taken | seen.loading
    assert not gone or seen.others_answer or any(seen.deployed[n] for n in seen.deployed.keys() - gone)
    assert gone <= seen.deployed.keys() - wanted
    assert len(started) + len(seen.loading) <= 1 or not started
    for version in started:
        assert version in wanted - seen.deployed.keys() - seen.occupied
        assert seen.found[version] is not None
        assert seen.found[version] == seen.before[version]
        failure = seen.failures.get(version)
        assert failure is None or failure.fingerprint != seen.found[version] or failure.retry_at_ms <= NOW
        assert version not in seen.taken or any(step is Step.KEEP for step in verdicts.values())


@settings(max_examples=up_to(300), deadline=None)
@given(POLICIES, st.sets(NUMBERS), st.dictionaries(NUMBERS, st.booleans(), max_size=4))
def test_a_directory_at_rest_ends_with_what_is_wanted(policy, there, deployed):
    """Every load works and makes its release answer at once; nothing expires."""
    taken = set(deployed)
    wanted = wanted_versions(policy, there)
    for _ in range(20):
        found = {n: None if n in deployed else "same" for n in there}
        seen = ObservedVersions(found, dict.fromkeys(there, "same"), deployed, False, set(), set(taken))
        steps = {verdict.version: verdict.step for verdict in plan_versions(policy, seen, NOW)}
        changed = False
        for version, step in steps.items():
            if step is Step.DEPLOY:
                deployed[version] = True
                taken.add(version)
            elif step is Step.RETIRE:
                del deployed[version]
            if step in (Step.RETIRE, Step.FORGET):
                taken.discard(version)
            changed |= step in (Step.DEPLOY, Step.RETIRE, Step.FORGET)
        if not changed:
            break
    else:
        pytest.fail("it never comes to rest")
    if any(deployed.get(n) for n in wanted):
        assert deployed.keys() == wanted
    else:
        assert wanted <= deployed.keys()
