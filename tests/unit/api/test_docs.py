"""The OpenAPI document tells the truth, and its page needs no internet."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from forestflow.api.http import further_docs
from forestflow.api.http.operations import OPERATIONS
from forestflow.api.http.samples import REQUESTS
from forestflow.codecs.control import rest as codec


@pytest.fixture
async def document(http: httpx.AsyncClient) -> dict[str, Any]:
    reply = await http.get("/openapi.json")
    assert reply.status_code == 200
    return dict(reply.json())


async def test_every_spelling_of_every_operation_is_there(document: dict[str, Any]) -> None:
    listed = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    further = {(method.upper(), path) for path, methods in further_docs.paths().items() for method in methods}
    assert listed == {(operation.method, path) for operation in OPERATIONS for path in operation.paths} | further
    ids = [o["operationId"] for methods in document["paths"].values() for o in methods.values()]
    assert len(ids) == len(set(ids)) == len(listed)


async def test_every_operation_has_words_examples_and_errors(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], path
            assert operation["description"], path
            if "application/octet-stream" in operation["responses"]["200"]["content"]:
                continue  # bytes have no examples, and errors come as answers
            (content,) = operation["responses"]["200"]["content"].values()
            assert "example" in content, path
            if method in ("post", "put"):
                body = operation["requestBody"]["content"]["application/json"]
                assert body["examples"], path
                own = {"400", "413"} if path in further_docs.paths() else {"400", "413", "415", "422"}
                assert own <= operation["responses"].keys(), path
    number = document["paths"]["/contract/{organization}/{project}/{contract_number}"]["put"]["parameters"][2]
    assert number["schema"]["type"] == "integer"


async def test_references_resolve_and_examples_fit_their_schemas(document: dict[str, Any]) -> None:
    used = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert used == document["components"]["schemas"].keys()
    checked = 0
    for methods in document["paths"].values():
        for operation in methods.values():
            bodies = [operation["requestBody"]] if "requestBody" in operation else []
            for body in [*bodies, *operation["responses"].values()]:
                (content,) = body["content"].values()
                schema = {**content["schema"], "components": document["components"]}
                examples = [e["value"] for e in content.get("examples", {}).values()]
                for example in [*examples, *([content["example"]] if "example" in content else [])]:
                    Draft202012Validator(schema).validate(example)
                    checked += 1
    assert checked > 50


@pytest.mark.parametrize(
    ("schema", "parse"),
    [
        ("BasicServeRequest", codec.parse_deploy),
        ("ContractSettings", codec.parse_contract_settings),
        ("PolicySettings", codec.parse_policy_settings),
        ("LoggingSettings", codec.parse_logging_settings),
    ],
)
def test_request_examples_are_accepted(schema: str, parse: Any) -> None:
    for example in REQUESTS[schema].values():
        parse(json.dumps(example).encode())


async def test_the_page_and_its_assets_come_from_here(http: httpx.AsyncClient) -> None:
    page = await http.get("/docs")
    assert page.status_code == 200
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(links) == 3
    for link in links:
        assert link.startswith("/docs/")
        assert (await http.get(link)).status_code == 200
    assert "://" not in page.text
    assert (await http.get("/docs/other.js")).status_code == 404
