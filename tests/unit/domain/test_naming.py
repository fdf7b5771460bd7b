"""Models and versions: which contract and which release a flat name means."""

from __future__ import annotations

import pytest

from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.naming import ModelNames, find_label, find_version, speaker, version_of_name
from forestflow.domain.plan import ReleasePlan

IRIS = Contract("acme", "iris", 0)
IRIS_2 = Contract("acme", "iris", 2)
OTHERS = Contract("rivals", "price", 1)
OURS = Contract("acme", "price", 5)
ALIASES = {"flowers": IRIS, "price": OTHERS}


def release(version: str, weight: int = 0) -> ReleasePlan:
    return ReleasePlan(Fqrv(IRIS, version), weight)


@pytest.mark.parametrize(
    ("name", "contract"),
    [
        ("acme.iris.0", IRIS),
        ("acme.iris.2", IRIS_2),
        ("iris", IRIS_2),  # the highest number of its only organization
        ("flowers", IRIS),
        ("price", OTHERS),  # two organizations have it, but an alias settles it
        ("acme.price.5", OURS),
        ("acme.iris", None),
        ("acme.iris.1", None),
        ("", None),
    ],
)
def test_models_are_contracts(name, contract):
    assert ModelNames([IRIS, IRIS_2, OTHERS, OURS], ALIASES).find(name) == contract


def test_a_project_of_two_organizations_is_nobodys():
    assert ModelNames([OTHERS, OURS], {}).find("price") is None
    assert ModelNames([OURS], {}).find("price") == OURS


def test_a_name_that_dots_leave_open_is_nobodys():
    assert ModelNames([Contract("a.b", "c", 0)], {}).find("a.b.c.0") == Contract("a.b", "c", 0)
    assert ModelNames([Contract("a.b", "c", 0), Contract("a", "b.c", 0)], {}).find("a.b.c.0") is None


@pytest.mark.parametrize("version", ["0", "1", "42", str(2**63 - 1)])
def test_numbers_are_versions(version):
    assert version_of_name(version) == int(version)


@pytest.mark.parametrize("version", ["v1", "007", "-1", "1.0", "٣", str(2**63), "größe"])
def test_other_names_get_a_number_that_stays_exact_in_a_double(version):
    number = version_of_name(version)
    assert 2**47 <= number < 2**53
    assert number == int(float(number))


def test_numbers_of_names_do_not_change():
    # blake2b("v1", digest_size=6) is 658321d8edc9 by coreutils' b2sum -l 48; its highest bit is set in a number
    assert version_of_name("v1") == int("658321d8edc9", 16) | 1 << 47
    assert version_of_name("v1") != version_of_name("v2")


def test_versions_are_found_by_name_and_number():
    releases = [release("1"), release("v1"), release("01")]
    assert find_version("1", releases) is releases[0]
    assert find_version("v1", releases) is releases[1]
    assert find_version(str(version_of_name("v1")), releases) is releases[1]
    assert find_version("01", releases) is releases[2]
    assert find_version("2", releases) is None


@pytest.mark.parametrize(
    ("weights", "stable", "canary"),
    [
        ({"1": 100, "2": 30, "3": 0}, "1", "2"),
        ({"1": 40, "2": 60}, "2", "2"),
        ({"1": 100, "2": 100}, "2", "2"),
        ({"1": 100, "2": 20, "3": 10, "4": 0}, "1", "3"),
        ({"1": 0, "2": 0}, None, None),
    ],
)
def test_labels(weights, stable, canary):
    releases = [release(version, weight) for version, weight in weights.items()]
    labelled = {label: find_label(label, releases) for label in ("stable", "canary", "latest")}
    assert {label: found and found.fqrv.release_version for label, found in labelled.items()} == {
        "stable": stable,
        "canary": canary,
        "latest": list(weights)[-1],
    }
    assert find_label("gold", releases) is None


def test_nobody_speaks_for_nothing():
    assert speaker([]) is None
    assert find_label("latest", []) is None
