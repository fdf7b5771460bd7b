"""How MLServer and BentoML are started, each from its own environment, with an sklearn iris model and one row."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import REPOSITORY

_ROW = [5.1, 3.5, 1.4, 0.2]
_HERE = Path(__file__).parent


class PeerMissing(RuntimeError):
    """The environment of a peer is not set up."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A server to start and load."""

    command: list[str]
    env: Mapping[str, str]
    cwd: Path
    url: str
    body: bytes
    answer_key: str


def environment(name: str) -> Path:
    """The virtual environment of ``mlserver`` or ``bentoml``."""
    return REPOSITORY / f".venv-bench-{name}"


def _bin(name: str, program: str) -> str:
    path = environment(name) / "bin" / program
    if not path.exists():
        raise PeerMissing(f"{path} is missing: run `python -m benchmarks.setup` first")
    return str(path)


def _trained(name: str, temp: Path) -> Path:
    model = temp / "iris.joblib"
    subprocess.run([_bin(name, "python"), str(_HERE / "train_iris.py"), str(model)], check=True, timeout=120)
    return model


def mlserver(ports: list[int], temp: Path, parallel_workers: int = 0) -> Peer:
    """MLServer with its sklearn runtime. Needs three free ports."""
    program = _bin("mlserver", "mlserver")
    model = _trained("mlserver", temp)
    http, grpc, metrics = ports
    settings = {
        "debug": False,
        "host": "127.0.0.1",
        "http_port": http,
        "grpc_port": grpc,
        "metrics_port": metrics,
        "metrics_endpoint": None,
        "parallel_workers": parallel_workers,
        "gzip_enabled": False,
    }
    described = {
        "name": "iris",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": str(model), "version": "v1"},
    }
    (temp / "settings.json").write_text(json.dumps(settings))
    (temp / "model-settings.json").write_text(json.dumps(described))
    # The server logs one line a request; at ERROR it does not.
    (temp / "logging.ini").write_text(
        "[loggers]\nkeys=root\n[handlers]\nkeys=h\n[formatters]\nkeys=f\n[logger_root]\nlevel=ERROR\nhandlers=h\n"
        "[handler_h]\nclass=StreamHandler\nformatter=f\nargs=(sys.stderr,)\n[formatter_f]\nformat=%(message)s\n"
    )
    body = {"inputs": [{"name": "predict", "shape": [1, 4], "datatype": "FP32", "data": [_ROW]}]}
    return Peer(
        [program, "start", "."],
        {"MLSERVER_LOGGING_SETTINGS": str(temp / "logging.ini")},
        temp,
        f"http://127.0.0.1:{http}/v2/models/iris/infer",
        json.dumps(body).encode(),
        "outputs",
    )


def bentoml(ports: list[int], temp: Path) -> Peer:
    """BentoML with one service and one worker. Needs one free port."""
    program = _bin("bentoml", "bentoml")
    model = _trained("bentoml", temp)
    (temp / "bento_iris.py").write_text((_HERE / "bento_iris.py").read_text())
    env = {
        "IRIS_MODEL": str(model),
        "BENTOML_HOME": str(temp / "home"),
        "BENTOML_DO_NOT_TRACK": "True",
        "PATH": f"{environment('bentoml')}/bin:{os.environ['PATH']}",
    }
    command = [program, "serve", "bento_iris:Iris", "--host", "127.0.0.1", "--port", str(ports[0])]
    return Peer(
        command, env, temp, f"http://127.0.0.1:{ports[0]}/predict", json.dumps({"rows": [_ROW]}).encode(), "labels"
    )
