"""What the command line says of fields: its examples name those of the model that ships, and strange ones are told."""

from __future__ import annotations

import json
import re

import pytest

from forestflow.cli import app, score
from forestflow.sdk import Client
from forestflow.sdk.basic import Prediction
from tests.serving import MODELS
from tests.unit.api.memory_registry import MemoryRegistry
from tests.unit.cli.conftest import Run

C = "samples/energy_output/0"
MODEL_FIELDS = set(json.loads((MODELS / "energy_gbm_v1.json").read_text())["fields"])

pytestmark = pytest.mark.usefixtures("server")


@pytest.mark.parametrize("text", [app.HELP, score.score.__doc__])
def test_rows_of_examples_have_fields_of_the_example_model(text: str) -> None:
    rows = re.findall(r"--row (\S+)", text)
    assert rows
    for row in score.rows_of_flags(rows):
        assert MODEL_FIELDS.issuperset(row)


def test_the_example_model_is_there() -> None:
    (mojo,) = re.findall(r"--mojo (\S+)", app.HELP)
    assert (MODELS.parents[2] / mojo).is_file()


def test_score_tells_which_fields_were_left_out(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = Prediction("o/p/0/v1", [{"y": 1.5}], "id", {"Prediction": {}}, ("Temp", "evil\x1b[31m"))
    monkeypatch.setattr(Client, "score_request", lambda *_, **__: answer)
    for flags in ((), ("--json",)):
        result = run("score", C, "--row", "T=1", *flags)
        assert "fields that the model does not have were left out: Temp, evil\\x1b[31m\n" in result.stderr
        assert "Temp" not in result.stdout


def test_warnings_of_a_model_are_told_at_its_deploy_and_with_its_metadata(
    run: Run, registry: MemoryRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ("--release", "v1", "--mojo", "model.zip")
    assert run("deploy", C, *flags).stderr == ""
    assert run("metadata", C).stderr == ""
    asked = Client.metadata_of
    monkeypatch.setattr(Client, "metadata_of", lambda *address: {**asked(*address), "warnings": ["it is odd"]})
    run("delete", C, "v1")
    assert run("deploy", C, *flags).stderr == "v1: it is odd\n"
    assert run("metadata", C, "v1").stderr == "v1: it is odd\n"
