"""GraphPipe's public clients, unmodified, and raw messages over gRPC, against the real server."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from graphpipe import convert, remote

from tests.serving import FIELDS, MODELS, RunningServer, golden, rows_body, values

CONTRACT = "größe of/graph pipe/4"
PATH = "gr%C3%B6%C3%9Fe%20of/graph%20pipe/4"
DOTTED = "größe of.graph pipe.4.v1".encode()
JS_CLIENT = "graphpipe@1.0.1"


def request_of(*arrays: np.ndarray, config: str = "", names: Any = (), outputs: Any = ()) -> bytes:
    return bytes(convert.serialize_infer_request(convert.InferReq(config, list(arrays), list(names), list(outputs))))


METADATA = bytes(convert.serialize_metadata_request())


@pytest.fixture(scope="module")
def energy(server: RunningServer) -> Iterator[str]:
    """The URL of a contract's GraphPipe."""
    server.deploy(PATH, "v1").raise_for_status()
    yield f"{server.url}/{PATH}/gp"
    server.http.delete(f"/{PATH}/v1").raise_for_status()


@pytest.fixture(scope="module")
def visits(server: RunningServer) -> Iterator[str]:
    server.deploy("graphpipe/visits/0", "v1", "visits_gbm.zip").raise_for_status()
    yield f"{server.url}/graphpipe/visits/0/gp"
    server.http.delete("/graphpipe/visits/0/v1").raise_for_status()


def visits_table() -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    document = json.loads((MODELS / "visits_gbm.json").read_text())
    column = {field: [row[i] for row in document["rows"]] for i, field in enumerate(document["fields"])}
    texts = np.array([[text or "" for text in column[f]] for f in ("channel", "weekday")], dtype=object).T
    numbers = np.array([column[f] for f in ("minutes", "price")], dtype=np.float64).T
    return texts, numbers, document["predictions"]


# --- the client in Python ---------------------------------------------------------------------------------------------


def test_values_are_those_of_h2o_and_of_basic(server: RunningServer, energy: str) -> None:
    rows, expected = golden()
    who, prediction = remote.execute(energy, np.array(rows))
    assert who.tolist() == [[DOTTED]]
    assert (prediction.dtype, prediction.shape) == (np.float64, (len(rows), 1))
    assert prediction[:, 0].tolist() == pytest.approx(expected, rel=1e-12)
    assert prediction[:, 0].tolist() == values(server.score(PATH, rows_body(rows)))


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.uint8, np.uint64])
def test_any_type_of_number(server: RunningServer, energy: str, dtype: type) -> None:
    rows = np.array(golden()[0]).astype(dtype)
    _, prediction = remote.execute(energy, rows)
    # A Float32 stands for its shortest decimal, as in the original.
    same = [[float(str(value)) for value in row] for row in rows]
    assert prediction[:, 0].tolist() == values(server.score(PATH, rows_body(same)))


def test_ten_thousand_rows_keep_their_order(energy: str) -> None:
    rows, _ = golden()
    few = remote.execute(energy, np.array(rows))[1]
    places = np.arange(10_000) ** 2 % len(rows)
    many = remote.execute(energy, np.array(rows)[places])[1]
    assert many.tobytes() == few[places].tobytes()


def test_text_and_numbers(visits: str) -> None:
    texts, numbers, predictions = visits_table()
    _, labels = remote.execute_multi(visits, [texts, numbers], None, None)
    assert labels[:, 0].astype(str).tolist() == predictions["predict"]
    names = ["numeric", "categorical"]
    _, labels, odds = remote.execute_multi(
        visits, [numbers, texts], names, None, config="h2o.outputs:prediction,probabilities"
    )
    assert labels[:, 0].astype(str).tolist() == predictions["predict"]
    expected = [list(row) for row in zip(*(predictions[k] for k in predictions if k != "predict"), strict=True)]
    np.testing.assert_allclose(odds, expected, rtol=1e-9)
    (only,) = remote.execute_multi(visits, [texts, numbers], None, ["probabilities"])
    assert only.tobytes() == odds.tobytes()


def test_fields_as_tensors_of_their_own(energy: str) -> None:
    rows = np.array(golden()[0])
    _, expected = remote.execute(energy, rows)
    columns = [rows[:, i : i + 1] for i in reversed(range(len(FIELDS)))]
    _, prediction = remote.execute_multi(energy, columns, FIELDS[::-1], None)
    assert prediction.tobytes() == expected.tobytes()


def test_one_output_by_its_name_and_by_the_url(energy: str) -> None:
    rows, expected = golden()
    for prediction in (
        remote.execute(energy, np.array(rows), "numeric", "Regression"),
        remote.execute(energy, np.array(rows), None, "prediction"),
        remote.execute(f"{energy}?outputs=prediction", np.array(rows)),
    ):
        assert prediction[:, 0].tolist() == pytest.approx(expected, rel=1e-12)


def test_metadata(energy: str, visits: str) -> None:
    assert remote.get_input_names(energy) == ["numeric"]
    assert remote.get_input_types(energy) == [np.float64]
    assert remote.get_input_shapes(energy) == [[None, 4]]
    assert remote.get_output_names(energy) == ["FQRV", "Regression"]
    assert remote.get_output_shapes(visits) == [[1, 1], [None, 1]]
    assert remote.get_input_types(visits) == [np.dtype("O"), np.float64]
    told = remote.metadata(energy)
    assert (told.Version(), told.Server()) == (b"v1", b"ForestFlow")
    assert told.Inputs(0).Description() == ("[" + ",".join(f"{i}:{f}" for i, f in enumerate(FIELDS)) + "]").encode()


@pytest.mark.parametrize(
    ("array", "names", "message"),
    [
        (
            np.zeros((3, 5)),
            None,
            "input 'numeric' takes the shape [-1, 4], 4 values in each row, got Float64 of shape [3",
        ),
        (np.zeros((3, 4)), "wind", "there is no input 'wind'; the model takes numeric Float64 [-1, 4] [0:Temp"),
        (np.zeros((0, 4)), None, "No input data provided"),
    ],
)
def test_refusals(energy: str, array: np.ndarray, names: str | None, message: str) -> None:
    with pytest.raises(Exception, match=r"the model takes|No input") as caught:
        remote.execute(energy, array, names)
    assert message in caught.value.args[0].decode()


def errors(body: bytes) -> list[tuple[int, str]]:
    tensors, errors = convert.deserialize_infer_response(body)
    assert tensors == []
    return [(error["code"], error["message"].decode()) for error in errors]


def test_errors_are_answers(server: RunningServer, energy: str) -> None:
    rows = np.array(golden()[0])

    def post(path: str, body: bytes, **headers: str) -> list[tuple[int, str]]:
        response = server.http.post(path, content=body, headers=headers)
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/octet-stream"
        return errors(response.content)

    assert post("/nobody/knows/0/gp", request_of(rows)) == [(404, "unknown contract nobody.knows.0")]
    ((code, message),) = post(f"/{PATH}/gp", b"\x07" * 100)
    assert (code, message[:28]) == (400, "not a GraphPipe Request: 4 b")
    assert post(f"/{PATH}/gp", request_of(rows), **{"X-Request-Timeout": "soon"})[0][0] == 400
    assert post(f"/{PATH}/gp", request_of(rows, outputs=["future"])) == [
        (422, "unknown outputs future; known are prediction, probabilities, leaf_assignments, contributions")
    ]
    assert post(f"/{PATH}/gp?outputs=probabilities", request_of(rows)) == [
        (501, "a model of category Regression has no probabilities")
    ]
    assert server.http.post("/nobody/knows/0/gp", content=METADATA).status_code == 404
    assert server.http.get(f"/{PATH}/gp").status_code == 405


def test_a_body_in_chunks_of_any_type(server: RunningServer, energy: str) -> None:
    body = request_of(np.array(golden()[0]))
    whole = server.http.post(f"/{PATH}/gp", content=body, headers={"Content-Type": "application/x-www-form-urlencoded"})
    chunked = server.http.post(f"/{PATH}/gp", content=(body[i : i + 100] for i in range(0, len(body), 100)))
    assert chunked.content == whole.content
    assert whole.headers["x-forestflow-fqrv"] == f"{PATH}/v1"


def test_a_client_that_waits_to_be_asked_for_its_body(server: RunningServer, energy: str) -> None:
    body = request_of(np.array(golden()[0]))
    head = f"POST /{PATH}/gp HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Length: {len(body)}\r\n"
    with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
        connection.sendall(head.encode() + b"Expect: 100-continue\r\nConnection: close\r\n\r\n")
        answered = connection.recv(1000)
        assert answered.startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        while part := connection.recv(65_536):
            answered += part
    tensors, _ = convert.deserialize_infer_response(answered.rpartition(b"\r\n\r\n")[2])
    assert tensors[0].tolist() == [[DOTTED]]


def two_releases(server: RunningServer, contract: str, router: dict[str, Any], routing: str) -> str:
    settings = {"expirationPolicy": {"KeepAll": {}}, "router": router, "routing": routing}
    half = {"validityPolicy": [{"ImmediatelyValid": {}}], "phaseInPolicy": {"ManualPhaseIn": {"percent": 50}}}
    server.http.post(f"/contract/{contract}", json=settings).raise_for_status()
    for release, model in (("v1", "energy_gbm_v1.zip"), ("v2", "energy_gbm_v2.zip")):
        server.deploy(contract, release, model, policySettings=half).raise_for_status()
    return f"{server.url}/{contract}/gp"


def test_a_batch_that_is_split_by_record_says_who_answered_each(server: RunningServer) -> None:
    contract = "graphpipe/records/0"
    url = two_releases(server, contract, {"FairPhaseInPctBasedRouter": {}}, "RECORD")
    rows, first = golden()
    _, second = golden("energy_gbm_v2")
    who, prediction = remote.execute(url, np.array(rows))
    releases = [text.rsplit(b".", 1)[1].decode() for (text,) in who.tolist()]
    assert sorted(releases) == ["v1"] * (len(rows) // 2) + ["v2"] * (len(rows) // 2)
    expected = [first[i] if release == "v1" else second[i] for i, release in enumerate(releases)]
    assert prediction[:, 0].tolist() == pytest.approx(expected, rel=1e-12)
    for release in ("v1", "v2"):
        server.http.delete(f"/{contract}/{release}").raise_for_status()


def test_a_config_is_a_key_to_route_by(server: RunningServer) -> None:
    contract = "graphpipe/sticky/0"
    url = two_releases(server, contract, {"StickyRouter": {"keyConfig": "customer"}}, "BATCH")
    rows = np.array(golden()[0])
    answered = {
        customer: {remote.execute_multi(url, [rows], None, None, f"customer:{customer}")[0].item() for _ in range(3)}
        for customer in range(20)
    }
    assert all(len(releases) == 1 for releases in answered.values())
    assert len(set.union(*answered.values())) == 2
    for release in ("v1", "v2"):
        server.http.delete(f"/{contract}/{release}").raise_for_status()


# --- the client in JavaScript -----------------------------------------------------------------------------------------

SCRIPT = """
const ndarray = require("ndarray"), graphpipe = require("graphpipe");
const [url, rows, width, data] = JSON.parse(process.argv[2]);
const input = ndarray(new Float64Array(data), [rows, width]);
(async () => {
  const scored = await graphpipe.remote(url + "?outputs=prediction", input, "", "", "{}");
  const told = await graphpipe.metadata(url);
  const [output] = scored.data;
  console.log(JSON.stringify({shape: output.shape, data: Array.from(output.data), metadata: told.data}));
})().catch((error) => { console.error(error); process.exit(1); });
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the JavaScript client installed."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("there is no Node.js")
    folder = tmp_path_factory.mktemp("node")
    command = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--silent", JS_CLIENT]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=90, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not install {JS_CLIENT} in 90 s")
    if done.returncode:
        pytest.skip(f"npm does not install {JS_CLIENT}: {done.stderr[-300:]}")
    (folder / "score.js").write_text(SCRIPT)
    return folder


@pytest.mark.slow
def test_the_client_in_javascript(energy: str, node: Path) -> None:
    rows, expected = golden()
    argument = json.dumps([energy, len(rows), len(FIELDS), [value for row in rows for value in row]])
    done = subprocess.run(
        ["node", "score.js", argument], cwd=node, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["shape"] == [len(rows), 1]
    assert answer["data"] == pytest.approx(expected, rel=1e-12)
    metadata = answer["metadata"]
    assert (metadata["Server"], metadata["Version"]) == ("ForestFlow", "v1")
    assert [(io["Name"], io["Type"]) for io in metadata["Inputs"]] == [("numeric", 11)]
    assert [(io["Name"], io["Type"]) for io in metadata["Outputs"]] == [("FQRV", 12), ("Regression", 11)]


# --- gRPC -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def channel(server: RunningServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.grpc) as channel:
        yield channel


ADDRESS = [("x-forestflow-contract", PATH)]


def infer(channel: grpc.Channel, body: bytes, metadata: list[tuple[str, str]], timeout: float = 30) -> Any:
    call = channel.unary_unary("/graphpipe.GraphPipe/Infer")
    return call.with_call(body, metadata=metadata, timeout=timeout)


def test_messages_are_those_of_http(server: RunningServer, energy: str, channel: grpc.Channel) -> None:
    rows = np.array(golden()[0])
    answer, call = infer(channel, request_of(rows), ADDRESS)
    assert answer == server.http.post(f"/{PATH}/gp", content=request_of(rows)).content
    assert dict(call.trailing_metadata())["x-forestflow-fqrv"] == f"{PATH}/v1"
    answer, _ = infer(channel, request_of(rows, config=f"a:b,contract:{PATH}"), [])
    assert answer == server.http.post(f"/{PATH}/gp", content=request_of(rows)).content
    told = channel.unary_unary("/graphpipe.GraphPipe/Metadata")
    for message in (METADATA, b""):
        assert told(message, metadata=ADDRESS, timeout=30) == server.http.post(f"/{PATH}/gp", content=METADATA).content


def test_what_a_model_refuses_is_an_answer(energy: str, channel: grpc.Channel) -> None:
    answer, call = infer(channel, request_of(np.zeros((3, 2))), ADDRESS)
    ((code, message),) = errors(answer)
    assert (code, message[:35]) == (422, "input 'numeric' takes the shape [-1")
    assert dict(call.trailing_metadata())["x-forestflow-fqrv"] == f"{PATH}/v1"


@pytest.mark.parametrize(
    ("body", "metadata", "status"),
    [
        (b"\x07" * 100, ADDRESS, grpc.StatusCode.INVALID_ARGUMENT),
        (METADATA, ADDRESS, grpc.StatusCode.INVALID_ARGUMENT),
        (request_of(np.zeros((1, 4))), [], grpc.StatusCode.INVALID_ARGUMENT),
        (request_of(np.zeros((1, 4))), [("x-forestflow-contract", "a/b")], grpc.StatusCode.INVALID_ARGUMENT),
        (request_of(np.zeros((1, 4))), [("x-forestflow-contract", "a/b/-1")], grpc.StatusCode.INVALID_ARGUMENT),
        (request_of(np.zeros((1, 4))), [("x-forestflow-contract", "nobody/knows/0")], grpc.StatusCode.NOT_FOUND),
    ],
)
def test_statuses(
    energy: str, channel: grpc.Channel, body: bytes, metadata: list[tuple[str, str]], status: grpc.StatusCode
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        infer(channel, body, metadata)
    assert caught.value.code() is status


def test_a_contract_without_a_valid_release(server: RunningServer, channel: grpc.Channel) -> None:
    never = {"validityPolicy": [{"NeverValid": {}}], "phaseInPolicy": {"ImmediatePhaseIn": {}}}
    server.deploy("graphpipe/dormant/0", "v1", policySettings=never).raise_for_status()
    with pytest.raises(grpc.RpcError) as caught:
        infer(channel, request_of(np.zeros((1, 4))), [("x-forestflow-contract", "graphpipe/dormant/0")])
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert remote.get_input_names(f"{server.url}/graphpipe/dormant/0/gp") == ["numeric"]
    server.http.delete("/graphpipe/dormant/0/v1").raise_for_status()
