"""What the journal holds comes back as it was."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forestflow.codecs import journal
from forestflow.codecs.control import rest as control
from forestflow.domain.errors import Malformed
from forestflow.domain.events import (
    ContractSet,
    ServableBecameValid,
    ServableDeployed,
    ServablesDeleted,
    ServableUpdated,
    VersionsForgotten,
    VersionsUnwatched,
    VersionsWatched,
)
from forestflow.domain.requests import H2OMojo
from forestflow.domain.versions import MAX_VERSION, AllVersions, LatestVersions, SpecificVersions, Watch
from tests.profiles import up_to
from tests.unit.codecs.strategies import (
    contract_settings,
    contracts,
    fqrvs,
    int64s,
    servable_settings,
    serve_requests,
    texts,
)

numbers = st.lists(st.integers(0, MAX_VERSION), min_size=1, max_size=3).map(tuple)
watches = st.builds(
    Watch,
    contracts,
    texts,
    st.builds(H2OMojo, texts, st.none() | texts),
    st.builds(LatestVersions, st.integers(1, 2**31 - 1))
    | st.builds(AllVersions)
    | st.builds(SpecificVersions, numbers),
    st.floats(0, 86_400),
    servable_settings,
    st.dictionaries(texts, texts, max_size=3),
)

events = st.one_of(
    st.builds(VersionsWatched, watches),
    st.builds(VersionsUnwatched, contracts),
    st.builds(VersionsForgotten, contracts, numbers),
    st.builds(ContractSet, contracts, contract_settings),
    st.builds(ServableDeployed, serve_requests, texts, int64s),
    st.builds(ServableUpdated, fqrvs, servable_settings),
    st.builds(ServableBecameValid, fqrvs, int64s),
    st.builds(ServablesDeleted, st.lists(fqrvs, max_size=3).map(tuple), st.lists(contracts, max_size=2).map(tuple)),
)


@settings(deadline=None, max_examples=up_to(500))
@given(events)
def test_events(event):
    kind, document = journal.encode_event(event)
    assert journal.decode_event(kind, json.loads(json.dumps(document))) == event


@settings(deadline=None)
@given(serve_requests)
def test_a_journalled_request_is_a_body_of_the_control_api(request):
    assert control.parse_serve_request(json.dumps(journal.encode_serve_request(request)).encode()) == request


@settings(deadline=None)
@given(contract_settings)
def test_printed_contract_settings_are_read_back(value):
    printed = json.loads(control.contract_settings(value))["ContractSettings"]
    assert control.parse_contract_settings(json.dumps(printed).encode()) == value


@settings(deadline=None)
@given(servable_settings)
def test_printed_servable_settings_are_read_back(value):
    printed = json.loads(control.servable_settings(value))["ServableSettings"]
    assert journal.decode_servable_settings(printed) == value


@pytest.mark.parametrize(("kind", "body"), [("Later", {}), ("ContractSet", {}), ("ServableUpdated", {"fqrv": {}})])
def test_what_this_version_does_not_know(kind, body):
    with pytest.raises(Malformed):
        journal.decode_event(kind, body)
