"""Errors cross processes: each survives pickling with everything it carries."""

import pickle

import pytest

from forestflow.domain import errors, refusals
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.requests import H2OMojo, ServeRequest
from forestflow.domain.settings import ServableSettings

CONTRACT = Contract("o", "p", 1)
FQRV = Fqrv(CONTRACT, "r")
REQUEST = ServeRequest("file:///m", FQRV, H2OMojo("m.zip"))

ARGUMENTS = {
    errors.QueueFull: (2.5, "full"),
    errors.UnknownInputs: (("a", "b"), "there is no input 'a'"),
    refusals.UnknownContract: (CONTRACT,),
    refusals.UnknownServable: (FQRV,),
    refusals.NoActiveServables: (CONTRACT,),
    refusals.NotWatched: (CONTRACT,),
    refusals.ServableAlreadyExists: (FQRV, ServableSettings()),
    refusals.ContractValidationError: (CONTRACT, "no"),
    refusals.ServeRequestInvalid: (REQUEST, "no"),
}


def every_error(base=errors.ForestFlowError):
    for kind in base.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield kind
        yield from (k for k in every_error(kind) if k.__module__ == errors.__name__)


@pytest.mark.parametrize("kind", sorted(set(every_error()), key=lambda k: k.__name__))
def test_survives_pickling(kind):
    arguments = ARGUMENTS.get(kind, ("what happened",))
    error = kind(*arguments)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert copy.args == arguments
    assert copy.code is error.code
    assert copy.message == error.message
    assert str(copy)


def test_messages_name_what_is_unknown():
    assert refusals.UnknownContract(CONTRACT).message == "unknown contract o.p.1"
    assert refusals.UnknownServable(FQRV).message == "unknown servable o.p.1.r"
    assert refusals.NoActiveServables(CONTRACT).message == "no active servables for contract o.p.1"
    assert refusals.ServableAlreadyExists(FQRV, ServableSettings()).message == "servable o.p.1.r already exists"
    assert errors.ForestFlowError().message == "ForestFlowError"
    assert errors.QueueFull(2.5, "full").retry_after_seconds == 2.5


def test_a_message_does_not_give_back_all_that_a_client_sent():
    assert len(errors.Malformed("x" * 1_000_000).message) == errors.MAX_MESSAGE + 1
    assert errors.Malformed("x" * errors.MAX_MESSAGE).message == "x" * errors.MAX_MESSAGE
