"""Plans, simulations and histories byte for byte, and what their requests mean."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestflow.codecs.control import plans
from forestflow.codecs.control import rest as control
from forestflow.codecs.control.instants import parse_instant
from forestflow.codecs.journal import decode_event
from forestflow.codecs.messages.message_json import to_document
from forestflow.codecs.messages.values import contract_settings_to, policy_settings_to
from forestflow.domain.errors import Invalid, InvalidIdentifier, Malformed
from forestflow.domain.events import ContractSet, MetricReported, ServableBecameValid, ServablesDeleted, ServableUpdated
from forestflow.domain.explain import PlanExplanation, ReleaseExplanation, RuleExplanation
from forestflow.domain.history import HistoryEntry, PlanAt
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.metrics import MetricReport, Sample
from forestflow.domain.policies.phase_in import ManualPhaseIn
from forestflow.domain.settings import ContractSettings, PolicySettings, ServableSettings
from forestflow.domain.simulate import Proposal, TimelinePoint
from tests.unit.codecs.strategies import contract_settings, contracts, fqrvs, policy_settings, servable_settings, texts

CONTRACT = Contract("o", "p", 7)
V1, V2 = Fqrv(CONTRACT, "v1"), Fqrv(CONTRACT, "v2")
C = '{"organization":"o","project":"p","contractNumber":7}'
F1 = f'{{"contract":{C},"releaseVersion":"v1"}}'
F2 = f'{{"contract":{C},"releaseVersion":"v2"}}'
POLICY = '{"validityPolicy":[{"ImmediatelyValid":{}}],"phaseInPolicy":{"ManualPhaseIn":{"percent":5}}}'

PLAN = PlanExplanation(
    CONTRACT,
    2**40,
    (
        ReleaseExplanation(V1, 3, 1.0, True, True, 5, 100, (), "why", 2**41),
        ReleaseExplanation(
            V2, 0, 0.0, False, False, None, 0, (RuleExplanation("Rule", False, "1 of 2", 9),), "not yet"
        ),
    ),
    (V1,),
)
PLAN_JSON = (
    f'{{"contract":{C},"atMS":"1099511627776","releases":['
    f'{{"fqrv":{F1},"weight":3,"share":1.0,"shadows":true,"valid":true,"becameValidAtMS":"5","phaseInPct":100,'
    '"reason":"why","changesAtMS":"2199023255552"},'
    f'{{"fqrv":{F2},"weight":0,"share":0.0,"shadows":false,"valid":false,"phaseInPct":0,'
    '"rules":[{"rule":"Rule","holds":false,"detail":"1 of 2","changesAtMS":"9"}],"reason":"not yet"}],'
    f'"expiring":[{F1}]}}'
)
UPDATE = HistoryEntry(12, 6, ServableUpdated(V1, ServableSettings(PolicySettings(phase_in_policy=ManualPhaseIn(5)))))
UPDATE_JSON = (
    f'{{"seq":"12","atMS":"6","kind":"ServableUpdated","release":"v1","detail":{{"fqrv":{F1},'
    f'"servableSettings":{{"policySettings":{POLICY}}}}}}}'
)
POINTS = [TimelinePoint(5, {V1: 0.25, V2: 0.75}, (V1, V2)), TimelinePoint(6, {V2: 1.0}, (V2,), (V1,))]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (control.plan(PLAN), f'{{"PlanExplanation":{PLAN_JSON}}}'),
        (
            control.plan(PlanExplanation(CONTRACT, 0, ())),
            f'{{"PlanExplanation":{{"contract":{C},"atMS":"0"}}}}',
        ),
        (
            control.simulation(CONTRACT, POINTS),
            f'{{"Simulation":{{"contract":{C},"points":['
            f'{{"atMS":"5","shares":[{{"fqrv":{F1},"share":0.25}},{{"fqrv":{F2},"share":0.75}}],"valid":[{F1},{F2}]}},'
            f'{{"atMS":"6","shares":[{{"fqrv":{F2},"share":1.0}}],"valid":[{F2}],"expired":[{F1}]}}]}}}}',
        ),
        (control.history(CONTRACT, [UPDATE]), f'{{"History":{{"contract":{C},"entries":[{UPDATE_JSON}]}}}}'),
        (control.history(CONTRACT, []), f'{{"History":{{"contract":{C},"entries":[]}}}}'),
        (
            control.history(
                CONTRACT,
                [
                    HistoryEntry(1, 2, ServablesDeleted((V1,), (CONTRACT,))),
                    HistoryEntry(2, 3, ServablesDeleted((V1, V2))),
                    HistoryEntry(3, 4, ContractSet(CONTRACT, ContractSettings())),
                ],
            ),
            f'{{"History":{{"contract":{C},"entries":['
            f'{{"seq":"1","atMS":"2","kind":"ServablesDeleted","release":"v1","detail":{{"fqrv":[{F1}],"contract":[{C}]}}}},'
            f'{{"seq":"2","atMS":"3","kind":"ServablesDeleted","detail":{{"fqrv":[{F1},{F2}],"contract":[]}}}},'
            f'{{"seq":"3","atMS":"4","kind":"ContractSet","detail":{{"contract":{C},"contractSettings":'
            '{"expirationPolicy":{"KeepLatest":{"servablesToKeep":1}},"router":{"FairPhaseInPctBasedRouter":{}}}}}]}}',
        ),
        (control.plan_at(PlanAt(PLAN, UPDATE)), f'{{"PlanAt":{{"plan":{PLAN_JSON},"cause":{UPDATE_JSON}}}}}'),
    ],
)
def test_replies(reply, expected):
    assert reply.decode() == expected


def test_metric_reports():
    body = (
        b'{"metrics":[{"name":"auc","value":0.1,"timeMS":"5"},{"name":"rmse","value":2,"count":50},'
        b'{"name":"auc","value":-0.3}],"replace":true}'
    )
    assert list(plans.parse_metric_reports(body, 99)) == [
        MetricReport("auc", (Sample(0.1, 5), Sample(-0.3, 99)), replace=True),
        MetricReport("rmse", (Sample(2.0, 99, 50),), replace=True),
    ]


@pytest.mark.parametrize(
    "body", [b"{}", b'{"metrics":[{"name":"a","value":3.5e38}]}', b'{"metrics":[{"name":"a","value":"NaN"}]}']
)
def test_metric_reports_that_make_no_sense(body):
    with pytest.raises(Invalid):
        plans.parse_metric_reports(body, 0)


samples = st.builds(
    Sample,
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.integers(0, 2**63 - 1),
    st.integers(1, 2**31 - 1),
)


@given(
    st.dictionaries(texts.filter(bool), st.lists(samples, min_size=1, max_size=3).map(tuple), min_size=1), st.booleans()
)
def test_metric_reports_round_trip(reported, replace):
    listed = [
        {"name": name, "value": s.value, "timeMS": str(s.time_ms), "count": s.count}
        for name, values in reported.items()
        for s in values
    ]
    parsed = plans.parse_metric_reports(json.dumps({"metrics": listed, "replace": replace}).encode(), 0)
    assert list(parsed) == [MetricReport(name, values, replace) for name, values in reported.items()]


def test_a_simulation_of_nothing_new():
    assert plans.parse_simulation(b"{}") == Proposal(None, {}, 3_600_000, 6_000, 0.0)
    assert plans.parse_simulation(b'{"policies":null,"horizonSecs":60}') == Proposal(None, {}, 60_000, 1_000, 0.0)
    assert plans.parse_simulation(b'{"horizonSecs":601}').step_ms == 2_000


@given(
    st.none() | contract_settings,
    st.dictionaries(texts, policy_settings, max_size=3),
    st.integers(1, 2**31 - 1),
    st.integers(1, 2**31 - 1),
    st.floats(0, 1e9),
)
def test_simulations_round_trip(settings, policies, horizon, step, rate):
    body = {
        "policies": {release: to_document(policy_settings_to(policy)) for release, policy in policies.items()},
        "horizon_secs": horizon,
        "stepSecs": str(step),
        "eventsPerSecond": rate,
    }
    if settings is not None:
        body["contractSettings"] = to_document(contract_settings_to(settings))
    parsed = plans.parse_simulation(json.dumps(body).encode())
    assert parsed == Proposal(settings, policies, horizon * 1000, step * 1000, rate)


events = st.one_of(
    st.builds(ContractSet, contracts, contract_settings),
    st.builds(ServableUpdated, fqrvs, servable_settings),
    st.builds(ServableBecameValid, fqrvs, st.integers(0, 2**53)),
    st.builds(
        MetricReported, fqrvs, st.builds(MetricReport, texts.filter(bool), st.lists(samples, min_size=1).map(tuple))
    ),
)


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1), events)
def test_a_history_can_be_read_as_the_journal(seq, at_ms, event):
    document = json.loads(control.history(CONTRACT, [HistoryEntry(seq, at_ms, event)]))
    [entry] = document["History"]["entries"]
    assert (int(entry["seq"]), int(entry["atMS"])) == (seq, at_ms)
    assert decode_event(entry["kind"], entry["detail"]) == event


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("0", 0),
        ("1570054680000", 1570054680000),
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.0015z", 1),
        ("1969-12-31T23:59:59.25Z", -750),
        ("1970-01-01 01:30:00+01:30", 0),
        ("1969-12-31T22:30:00-01:30", 0),
        ("2019-10-02T22:18:00.123456789+00:00", 1570054680123),
    ],
)
def test_instants(text, instant):
    assert parse_instant(text) == instant


@pytest.mark.parametrize(
    "text",
    ["", " 1", "-1", "1.5", "1" * 16, "١٢", "2019-10-02", "2019-10-02T22:18Z", "2019-13-02T22:18:00Z",
     "2019-10-02T22:18:60Z", "2019-10-02T22:18:00", "2019-10-02T22:18:00+1:00", "0000-01-01T00:00:00Z",
     "0001-01-01T00:00:00+23:59x", "2019-10-02T22:18:00+25:00", "\ud800"],
)  # fmt: skip
def test_texts_that_are_no_instant(text):
    with pytest.raises(Malformed, match="is no time"):
        parse_instant(text)


@given(st.datetimes(timezones=st.timezones()))
def test_every_moment_has_an_instant(moment):
    text = moment.isoformat(timespec="milliseconds")
    if len(text) == len("2019-10-02T22:18:00.123+00:00"):  # offsets of seconds, long ago, are not of RFC 3339
        assert abs(parse_instant(text) - moment.timestamp() * 1000) < 1.01


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_body_does_more_than_be_refused(body):
    for parse in (plans.parse_simulation, plans.parse_rollback, lambda b: plans.parse_metric_reports(b, 0)):
        with contextlib.suppress(Malformed, Invalid, InvalidIdentifier):
            parse(body)
