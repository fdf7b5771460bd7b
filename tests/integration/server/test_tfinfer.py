"""tf-infer's documented payloads against the real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.serving import FIELDS, RunningServer, free_port, golden, rows_body, running, values

CONTRACT = "tf%20infer/gr%C3%B6%C3%9Fe/2"


@pytest.fixture(scope="module")
def energy(server: RunningServer) -> Iterator[str]:
    server.deploy(CONTRACT, "v1").raise_for_status()
    yield f"/{CONTRACT}/infer"
    server.http.delete(f"/{CONTRACT}/v1").raise_for_status()


def test_the_list_of_signatures(server: RunningServer, energy: str) -> None:
    for path in ("", "/", "/stats"):
        assert server.http.get(energy + path).json() == [
            {
                "name": "serving_default",
                "inputs": {"numeric": {"type": "float64", "shape": [-1, len(FIELDS)]}},
                "outputs": {"Regression": {"type": "float64", "shape": [-1]}},
            }
        ]


def test_examples(server: RunningServer, energy: str) -> None:
    rows, expected = golden()
    url = f"{energy}/serving_default"
    answer = server.http.post(url, json=[{"numeric": row} for row in rows])
    assert [example["Regression"] for example in answer.json()] == pytest.approx(expected, rel=1e-12)
    assert [example["Regression"] for example in answer.json()] == values(server.score(CONTRACT, rows_body(rows)))
    assert answer.headers["x-forestflow-fqrv"] == f"{CONTRACT}/v1"
    one = server.http.post(url, json={"numeric": rows[0]}, headers={"Origin": "https://elsewhere.example"})
    assert one.json() == answer.json()[0]
    assert one.headers["access-control-allow-origin"] == "*"
    assert server.http.post(url, json=[]).json() == []


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ([{"numeric": [1, 2]}], 400, "Shape of input numeric [1, 2] not compatible with [None, 4]"),
        ({"number": [1, 2, 3, 4]}, 400, "Request missing required key numeric for method serving_default"),
        ({"numeric": list("abcd")}, 400, "Incompatible types for key numeric: expected Float64, got String"),
        ({"numeric": {"url": "http://169.254.169.254/"}}, 403, "urls as inputs are off; the setting url_hosts allows"),
    ],
)
def test_refusals(server: RunningServer, energy: str, body: object, status: int, message: str) -> None:
    answer = server.http.post(f"{energy}/serving_default", json=body)
    assert answer.status_code == status
    assert answer.json()["error"].startswith(message)


def test_what_is_not_there(server: RunningServer, energy: str) -> None:
    answer = server.http.post(f"{energy}/classify_all", json=[])
    assert (answer.status_code, answer.json()) == (400, {"error": "Method classify_all not found"})
    assert server.http.post("/nobody/knows/0/infer/run", json=[]).status_code == 404
    answer = server.http.post(f"{energy}/serving_default", content=b" " * (10 << 20) + b"[]")
    assert answer.status_code == 413
    assert "at most 10485760" in answer.json()["error"]


def test_a_model_that_declares_nothing(server: RunningServer, tmp_path: Path) -> None:
    (tmp_path / "serve.py").write_text(
        "class Predict:\n  def predict(self, inputs): return [row[::-1] for row in inputs]\n"
    )
    payload = {
        "path": tmp_path.as_uri(),
        "flavor": {"Python": {"script": "serve.py"}},
        "servableSettings": {
            "policySettings": {"validityPolicy": [{"ImmediatelyValid": {}}], "phaseInPolicy": {"ImmediatePhaseIn": {}}}
        },
    }
    server.http.post("/servable/tf-infer/python/0/v1", json=payload).raise_for_status()
    url = "/tf-infer/python/0/infer/predict"
    assert server.http.post(url, json=[{"a": [1, 2]}, {"a": [3, 4]}]).json() == [
        {"prediction": [2, 1]},
        {"prediction": [4, 3]},
    ]
    assert server.http.post(url, json={"a": "abc"}).json() == {"prediction": "cba"}
    server.http.delete("/tf-infer/python/0/v1").raise_for_status()


@pytest.mark.slow
def test_a_contract_at_the_root_of_a_port_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "index.html").write_text("<h1>demo")
    port = free_port()
    flags = (
        "--tf-infer-root",
        "acme/energy/0",
        "--tf-infer",
        f"127.0.0.1:{port}",
        "--tf-infer-web",
        str(tmp_path / "web"),
    )
    with running(tmp_path / "data", *flags) as server, httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
        assert http.get("/").status_code == 404
        server.deploy("acme/energy/0", "v1").raise_for_status()
        rows, expected = golden()
        answer = http.post("/serving_default", json={"numeric": rows[0]})
        assert answer.json()["Regression"] == pytest.approx(expected[0], rel=1e-12)
        assert [signature["name"] for signature in http.get("/").json()] == ["serving_default"]
        assert http.get("/web/").text == "<h1>demo"
        assert http.post("/acme/energy/0/score", json=rows_body(rows)).status_code == 404
        assert http.get("/contracts/list").status_code == 404
