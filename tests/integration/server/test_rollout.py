"""Rollouts from end to end with real models, counted by the client who is answered."""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from itertools import accumulate

import pytest

from forestflow.sdk import Client
from tests.integration.server.test_routing import FAIR, KEEP_ALL, answered, counts, manual
from tests.serving import golden, rows_body, running, wait_for

ROWS, _ = golden()
BODY = rows_body(ROWS[:1])
LATEST = {"LatestPhaseInPctBasedRouter": {}}
IMMEDIATE = {"ImmediatePhaseIn": {}}
LAG_MS = 1500  # a weight of the Plan is half a second old at most, plus what a busy machine takes
NOTICE = 8  # decisions after which weights that moved take effect (domain/routing.py)


def linear(seconds):
    return {
        "validityPolicy": [{"ImmediatelyValid": {}}],
        "phaseInPolicy": {"LinearTimeBasedPhaseIn": {"phaseInOverSecs": seconds}},
    }


def rules(*validity):
    return {"validityPolicy": list(validity), "phaseInPolicy": IMMEDIATE}


def contract_of(server, contract, expiration=KEEP_ALL, router=FAIR):
    reply = server.http.post(f"/contract/{contract}", json={"expirationPolicy": expiration, "router": router})
    assert reply.status_code == 200, reply.text


def deploy(server, contract, release, model="energy_gbm_v1", **settings):
    reply = server.deploy(contract, release, f"{model}.zip", **settings)
    assert reply.status_code == 200, reply.text


def ask(server, contract, times=1):
    return [answered(server.score(contract, BODY)) for _ in range(times)]


def plan_of(server, contract):
    plan = server.http.get(f"/{contract}/plan").raise_for_status().json()["PlanExplanation"]
    return plan, {release["fqrv"]["releaseVersion"]: release for release in plan["releases"]}


def shadows(server, contract, release):
    """How many the release has shaded, and dropped."""
    stats = [entry["ServableMetrics"] for entry in server.http.get(f"/{contract}/stats").json()]
    (found,) = [entry for entry in stats if entry["fqrv"]["releaseVersion"] == release]
    return int(found["shadeCount"]), int(found.get("shadowDropCount", 0))


def shade_one(server, contract, release):
    """Score until the release has shaded one; how many it dropped before, for want of a connection to its replica."""
    for asked in range(1, 100):
        ask(server, contract)
        wait_for(lambda asked=asked: sum(shadows(server, contract, release)) == asked)
        if shadows(server, contract, release)[0]:
            return asked - 1
    raise AssertionError("nothing was shaded")


def now_ms():
    return time.time() * 1000


def test_a_canary_takes_over_along_the_line_that_its_policy_draws(server, contract):
    """Latest among two: p % phased in, the canary's share is p / (100 + p); at 100 % it answers alone."""
    seconds = 6
    contract_of(server, contract, router=LATEST)
    deploy(server, contract, "v1")
    deploy(server, contract, "v2", "energy_gbm_v2", policySettings=linear(seconds))
    began = int(plan_of(server, contract)[1]["v2"]["becameValidAtMS"])

    def share(at_ms):
        percent = max(0, min(100, (at_ms - began) // (seconds * 10)))
        return 1.0 if percent == 100 else percent / (100 + percent)

    seen = []
    while now_ms() < began + seconds * 1000 + 2 * LAG_MS:
        before = now_ms()
        release = ask(server, contract)[0]
        seen.append((before, now_ms(), release == "v2"))
    at_least = list(accumulate(share(before - LAG_MS) for before, _, _ in seen))
    at_most = list(accumulate(share(after) for _, after, _ in seen))
    canary = list(accumulate(to_canary for _, _, to_canary in seen))
    for low, count, high in zip(at_least, canary, at_most, strict=True):
        assert low - 1.5 <= count <= high + 1.5
    assert not any(to_canary for _, after, to_canary in seen if after < began + seconds * 10), "0 % are nobody"
    assert all(to_canary for before, _, to_canary in seen if before > began + seconds * 1000 + LAG_MS)
    assert counts(server, contract) == {"v1": len(seen) - canary[-1], "v2": canary[-1]}


@pytest.mark.slow
def test_a_phase_in_goes_on_through_a_power_failure_as_if_there_had_been_none(tmp_path):
    seconds, contract = 60, "tests/power/0"
    with running(tmp_path / "data") as server:
        contract_of(server, contract)
        deploy(server, contract, "v1")
        deploy(server, contract, "v2", "energy_gbm_v2", policySettings=linear(seconds))
        asked = now_ms()
        plan, before = plan_of(server, contract)
        elapsed_ms, told = int(plan["atMS"]) - int(before["v2"]["becameValidAtMS"]), now_ms()
        server.kill_all()
        server.start()
        earliest = elapsed_ms + now_ms() - told
        plan, after = plan_of(server, contract)
        latest = elapsed_ms + now_ms() - asked
        assert after["v2"]["becameValidAtMS"] == before["v2"]["becameValidAtMS"]
        percent = after["v2"]["phaseInPct"]
        assert 5 < percent < 95, "it was restarted in the middle"
        assert earliest / (seconds * 10) - 1 <= percent <= latest / (seconds * 10) + 1
        assert (after["v1"]["weight"], after["v2"]["weight"]) == (100, percent)
        n = 60
        canary = ask(server, contract, n).count("v2")
        low = max(0, percent - LAG_MS / (seconds * 10))
        high = plan_of(server, contract)[1]["v2"]["phaseInPct"]
        assert n * low / (100 + low) - 1.5 <= canary <= n * high / (100 + high) + 1.5


def test_a_shadow_becomes_valid_after_the_events_it_has_shaded(server, contract):
    contract_of(server, contract)
    deploy(server, contract, "v1")
    rule = {"MinServedEventsBasedValidity": {"validAfterMinServedEvents": "20"}}
    deploy(server, contract, "v2", "energy_gbm_v2", policySettings=rules(rule), shadow={"enabled": True})
    shade_one(server, contract, "v2")
    assert set(ask(server, contract, 18)) == {"v1"}
    wait_for(lambda: shadows(server, contract, "v2")[0] == 19)
    time.sleep(1)  # so long a rule that holds takes to take effect
    assert plan_of(server, contract)[1]["v2"].get("becameValidAtMS") is None
    assert ask(server, contract) == ["v1"]
    wait_for(lambda: plan_of(server, contract)[1]["v2"]["weight"] == 100)
    wait_for(lambda: "v2" in ask(server, contract, NOTICE))
    assert sorted(ask(server, contract, 20)) == ["v1"] * 10 + ["v2"] * 10


def test_the_worst_by_a_reported_metric_goes_and_nobody_notices(server, contract):
    contract_of(server, contract, {"KeepTopRanked": {"servablesToKeep": 2, "metricToEvaluate": "auc"}})
    reported = {"PerformanceBasedValidity": {"minThreshold": 0.0, "metric": "auc"}}
    hosts = set()
    with Client(server.url) as client:
        for release, auc in (("a", 0.9), ("b", 0.5), ("c", 0.7)):
            deploy(server, contract, release, policySettings=rules(reported))
            hosts |= server.hosts_of(contract, release)
            assert len(client.releases(contract)) == len(hosts)
            client.report_metrics(contract, release, {"auc": auc})
        answers = set()
        while len(client.releases(contract)) > 2:
            answers.update(ask(server, contract))
        # The third is drained, then stopped.
        wait_for(lambda: hosts & set(server.pids("host")) == server.hosts_of(contract, "a", "c"))
        assert [release["releaseVersion"] for release in client.releases(contract)] == ["a", "c"]
        ask(server, contract, NOTICE)
        assert sorted(ask(server, contract, 10)) == ["a"] * 5 + ["c"] * 5


def test_a_rollback_brings_the_earlier_split_back(server, contract):
    contract_of(server, contract)
    for release in ("v1", "v2"):
        deploy(server, contract, release, f"energy_gbm_{release}", policySettings=manual(50))
    with Client(server.url) as client:
        good = int(client.history(contract)["entries"][-1]["seq"])
        client.update_policy(contract, "v2", manual(0))
        client.update_shadow(contract, "v1", {"enabled": True})
        client.update_contract(contract, {"expirationPolicy": KEEP_ALL, "router": LATEST})
        ask(server, contract, NOTICE)
        assert set(ask(server, contract, 10)) == {"v1"}
        client.rollback(contract, good)
        assert client.settings_of(contract, "v1").get("shadow") is None
        assert client.contract_settings(contract)["router"] == FAIR
    ask(server, contract, NOTICE)
    assert sorted(ask(server, contract, 20)) == ["v1"] * 10 + ["v2"] * 10


@contextmanager
def stopped(pid):
    """The process does nothing meanwhile; what it is sent waits in its sockets."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_shadows_over_the_backlog_are_dropped_and_told_and_a_new_backlog_needs_no_reload(server, contract):
    contract_of(server, contract)
    deploy(server, contract, "v1")
    shadow = {"enabled": True, "maxBacklog": 2}
    deploy(server, contract, "dark", policySettings=rules({"NeverValid": {}}), shadow=shadow)
    (pid,) = server.hosts_of(contract, "dark")

    early = shade_one(server, contract, "dark")

    def told():
        shaded, dropped = shadows(server, contract, "dark")
        return shaded, dropped - early

    with stopped(pid):
        ask(server, contract, 10)
    wait_for(lambda: told() == (3, 8))
    reply = server.http.put(f"/{contract}/dark/shadow", json={"enabled": True, "maxBacklog": 7})
    assert reply.status_code == 200, reply.text
    with stopped(pid):
        ask(server, contract, 10)
    wait_for(lambda: told() == (10, 11))
    refused = server.http.put(f"/{contract}/dark/shadow-settings", json={"samplePercent": 101})
    assert refused.status_code == 422
    assert refused.json()["error"]["message"] == "samplePercent must be in 0..100, got 101"
    assert server.http.put(f"/{contract}/dark/shadow", json={"enabled": False}).status_code == 200
    assert ask(server, contract, 5) == ["v1"] * 5
    assert told() == (10, 11)
    assert server.hosts_of(contract, "dark") == {pid}, "the same process all the time"
