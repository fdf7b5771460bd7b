"""Who answers, with real models: sticky keys while weights change, batches split by record, exact shadow samples."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.serving import FIELDS, golden, rows_body, values, wait_for

ROWS, V1 = golden("energy_gbm_v1")
_, V2 = golden("energy_gbm_v2")
TRUTH = {"v1": V1, "v2": V2}
KEEP_ALL = {"KeepAll": {}}
FAIR = {"FairPhaseInPctBasedRouter": {}}
STICKY = {"StickyRouter": {"keyConfig": "user"}}


def manual(percent):
    return {"validityPolicy": [{"ImmediatelyValid": {}}], "phaseInPolicy": {"ManualPhaseIn": {"percent": percent}}}


def deploy_two(server, contract, router, routing="BATCH", share=50):
    settings = {"expirationPolicy": KEEP_ALL, "router": router, "routing": routing}
    assert server.http.post(f"/contract/{contract}", json=settings).status_code == 200
    for release, percent in (("v1", 50), ("v2", share)):
        reply = server.deploy(contract, release, f"energy_gbm_{release}.zip", policySettings=manual(percent))
        assert reply.status_code == 200, reply.text


def answered(reply):
    assert reply.status_code == 200, reply.text
    return reply.json()["Prediction"]["fqrv"]["releaseVersion"]


def counts(server, contract, name="scoreCount"):
    stats = [entry["ServableMetrics"] for entry in server.http.get(f"/{contract}/stats").json()]
    return {entry["fqrv"]["releaseVersion"]: int(entry[name]) for entry in stats}


def test_only_the_necessary_share_of_keys_moves_with_the_weights(server, contract):
    deploy_two(server, contract, STICKY)
    users = [f"user-{n}" for n in range(300)]

    def ask():
        by_config = [answered(server.score(contract, rows_body(ROWS[:1], user=user))) for user in users]
        by_header = [
            answered(server.score(contract, rows_body(ROWS[:1]), **{"X-ForestFlow-Key": user})) for user in users
        ]
        assert by_config == by_header
        return by_config

    before = ask()
    assert ask() == before
    assert before.count("v1") == pytest.approx(150, abs=40)
    firsts = [user for user, release in zip(users, before, strict=True) if release == "v1"]
    assert server.http.put(f"/{contract}/v2/policy", json=manual(100)).status_code == 200
    wait_for(lambda: any(answered(server.score(contract, rows_body(ROWS[:1], user=user))) == "v2" for user in firsts))
    after = ask()
    assert all(new == "v2" or old == "v1" for old, new in zip(before, after, strict=True)), "nobody moved to v1"
    moved = sum(old != new for old, new in zip(before, after, strict=True))
    assert moved == pytest.approx(300 * (1 / 2 - 1 / 3), abs=30)


def test_a_batch_is_split_by_record(server, contract):
    deploy_two(server, contract, FAIR, "RECORD")
    seen = Counter()
    for size in (1, 2, 5, 12, 12):
        reply = server.score(contract, rows_body(ROWS[:size]))
        owners = [fqrv["releaseVersion"] for fqrv in reply.json()["Prediction"]["recordFqrvs"]]
        assert values(reply) == pytest.approx([TRUTH[who][n] for n, who in enumerate(owners)], rel=1e-9)
        seen.update(owners)
    assert seen == {"v1": 16, "v2": 16}
    assert sum(counts(server, contract).values()) in (8, 9)  # five requests, of which the smallest have one part


def test_records_stick_by_a_field_of_their_own(server, contract):
    deploy_two(server, contract, {"StickyRouter": {"keyConfig": "customer"}}, "RECORD")
    body = {
        "schema": [{"type": "Float64", "fields": [*FIELDS, "customer"]}],
        "datum": [{"tensors": [{"Float64": {"data": [*row, n % 5]}}]} for n, row in enumerate(ROWS)],
    }
    reply = server.score(contract, body)
    owners = [fqrv["releaseVersion"] for fqrv in reply.json()["Prediction"]["recordFqrvs"]]
    assert values(reply) == pytest.approx([TRUTH[who][n] for n, who in enumerate(owners)], rel=1e-9)
    by_customer = {(n % 5, who) for n, who in enumerate(owners)}
    assert len(by_customer) == len({n % 5 for n in range(len(owners))})


def test_a_sample_is_shadowed_exactly(server, contract):
    server.http.post(f"/contract/{contract}", json={"expirationPolicy": KEEP_ALL, "router": FAIR})
    never = {"validityPolicy": [{"NeverValid": {}}], "phaseInPolicy": {"ImmediatePhaseIn": {}}}
    server.deploy(contract, "v1")
    for release, percent in (("tenth", 10), ("third", 33), ("none", 0)):
        shadow = {"enabled": True, "samplePercent": percent, "maxBacklog": 100}
        reply = server.deploy(contract, release, "energy_gbm_v2.zip", policySettings=never, shadow=shadow)
        assert reply.status_code == 200, reply.text
    for _ in range(100):
        assert answered(server.score(contract, rows_body(ROWS[:2]))) == "v1"
    wanted = {"v1": 0, "tenth": 10, "third": 33, "none": 0}
    wait_for(lambda: sum(counts(server, contract, "shadeCount").values()) >= sum(wanted.values()))
    assert counts(server, contract, "shadeCount") == wanted
    assert counts(server, contract)["v1"] == 100
