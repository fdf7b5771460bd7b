import pytest

from forestflow.domain.errors import InvalidIdentifier
from forestflow.domain.ids import MAX_CONTRACT_NUMBER, Contract, Fqrv


def test_prints_like_the_original():
    assert str(Fqrv(Contract("samples", "energy_output", 0), "v1")) == "samples.energy_output.0.v1"


@pytest.mark.parametrize("name", ["", "a/b", "a\nb", "\x00", ".", "..", "x" * 256, "\ud800"])
def test_refuses_names_that_cannot_stand_in_a_path(name):
    with pytest.raises(InvalidIdentifier):
        Contract(name, "p", 0)
    with pytest.raises(InvalidIdentifier):
        Contract("o", name, 0)
    with pytest.raises(InvalidIdentifier):
        Fqrv(Contract("o", "p", 0), name)


@pytest.mark.parametrize("name", ["a b", "ünï", "a.b", "v1-2_3~", "x" * 255])
def test_takes_other_names(name):
    assert Contract(name, name, MAX_CONTRACT_NUMBER).project == name


@pytest.mark.parametrize("number", [-1, MAX_CONTRACT_NUMBER + 1])
def test_refuses_numbers_out_of_range(number):
    with pytest.raises(InvalidIdentifier, match="contract_number"):
        Contract("o", "p", number)


@pytest.mark.parametrize("name", ["contract", "servable", "v2", "docs"])
def test_refuses_organizations_that_are_paths_of_the_server(name):
    with pytest.raises(InvalidIdentifier, match="path of the server"):
        Contract(name, "p", 0)
