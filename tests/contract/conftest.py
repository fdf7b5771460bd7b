"""The server of the suite (its own, or that of ``--base-url`` and ``--grpc``), its protocols, and its servables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from secrets import token_hex
from urllib.parse import quote

import httpx
import pytest

from tests.contract.basic_http import BasicHttp
from tests.contract.forestflow_grpc import ForestFlowGrpc
from tests.contract.graphpipe_wires import GraphPipeGrpc, GraphPipeHttp
from tests.contract.protocol import Address, Target, Wire
from tests.contract.servables import RELEASE, SERVABLES, Deployed, IdentityCase, Servable
from tests.contract.tfinfer_http import TfInferHttp
from tests.contract.tfserving_wires import TfServingGrpc, TfServingRest
from tests.contract.triton_wires import TritonGrpc, TritonHttp, TritonJson
from tests.serving import MODELS

PROTOCOLS: dict[str, Callable[[Target], Wire]] = {
    "basic": BasicHttp,
    "grpc": ForestFlowGrpc,
    "graphpipe": GraphPipeHttp,
    "graphpipe-grpc": GraphPipeGrpc,
    "tf-infer": TfInferHttp,
    "tf-serving": TfServingRest,
    "tf-serving-grpc": TfServingGrpc,
    "open-inference": TritonHttp,
    "open-inference-json": TritonJson,
    "open-inference-grpc": TritonGrpc,
}
OVER_GRPC = {"grpc", "graphpipe-grpc", "tf-serving-grpc", "open-inference-grpc"}


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest) -> Target:
    base_url = request.config.getoption("--base-url")
    if base_url is not None:
        return Target(base_url, request.config.getoption("--grpc"))
    server = request.getfixturevalue("server")
    return Target(server.url, server.grpc)


@pytest.fixture(scope="session")
def wires(target: Target) -> Iterator[dict[str, Wire]]:
    """All protocols that the server is to answer."""
    wires = {name: new(target) for name, new in PROTOCOLS.items() if target.grpc or name not in OVER_GRPC}
    yield wires
    for wire in wires.values():
        wire.close()


@pytest.fixture(params=PROTOCOLS)
def wire(request: pytest.FixtureRequest, wires: dict[str, Wire]) -> Wire:
    if request.param not in wires:
        pytest.skip("the server was named without --grpc")
    return wires[request.param]


@pytest.fixture(scope="session")
def http(target: Target) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=target.http, timeout=120) as client:
        yield client


@pytest.fixture(scope="session")
def models(request: pytest.FixtureRequest) -> str:
    """The URI of the example models, as the server knows them."""
    return request.config.getoption("--models") or MODELS.as_uri()


@pytest.fixture(scope="session", params=SERVABLES, ids=lambda servable: servable.name)
def deployed(request: pytest.FixtureRequest, http: httpx.Client, models: str) -> Iterator[Deployed]:
    servable: Servable = request.param
    with release_of(servable, http, models, "ImmediatelyValid") as address:
        yield Deployed(servable, address)


@pytest.fixture(scope="session")
def dormant(http: httpx.Client, models: str) -> Iterator[Deployed]:
    """A servable whose only release never becomes valid."""
    with release_of(SERVABLES[0], http, models, "NeverValid") as address:
        yield Deployed(SERVABLES[0], address)


@pytest.fixture(scope="session")
def identity(request: pytest.FixtureRequest, http: httpx.Client) -> Iterator[Address]:
    """The contract of the model that answers what it is given."""
    if request.config.getoption("--models"):
        pytest.skip("the server has models of its own, and does not see identity/serve.py of this checkout")
    with release_of(IdentityCase(), http, IdentityCase.folder.as_uri(), "ImmediatelyValid") as address:
        yield address


@contextmanager
def release_of(servable: Servable | IdentityCase, http: httpx.Client, models: str, validity: str) -> Iterator[Address]:
    """One release under a contract of its own; the last release takes its contract along."""
    address = Address("contract suite", f"größe of {servable.name} {token_hex(4)}", 7)
    path = f"{quote(address.organization)}/{quote(address.project)}/{address.contract_number}/{quote(RELEASE)}"
    policies = {"validityPolicy": [{validity: {}}], "phaseInPolicy": {"ImmediatePhaseIn": {}}}
    payload = {"path": models, "flavor": servable.flavor, "servableSettings": {"policySettings": policies}}
    http.post(f"/servable/{path}", json=payload).raise_for_status()
    yield address
    http.delete(f"/{path}").raise_for_status()
