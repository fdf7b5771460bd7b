"""What is refused before TensorFlow sees it; nothing here imports TensorFlow."""

import json
import sys
import zipfile

import pytest

from forestflow.domain.errors import ArtifactRejected
from forestflow.domain.requests import TensorFlow
from forestflow.servables import loading
from forestflow.servables.tensorflow import artifact

CONFIG = json.dumps({"class_name": "Sequential"})


def refused(path):
    with pytest.raises(ArtifactRejected) as error:
        loading.check(path, TensorFlow(path.name))
    assert str(path.parent) not in error.value.message
    return error.value.message


@pytest.fixture
def saved_model(tmp_path):
    path = tmp_path / "model"
    (path / "variables").mkdir(parents=True)
    (path / "saved_model.pb").write_bytes(b"\x08\x01")
    return path


def archive(path, **entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries.items():
            file.writestr(name.replace("__", "/").replace("_json", ".json"), content)
    return path


def test_what_is_fine(saved_model, tmp_path):
    loading.check(saved_model, TensorFlow("."))
    loading.check(archive(tmp_path / "m.keras", config_json=CONFIG), TensorFlow("m.keras"))
    assert loading.artifact_path(TensorFlow(".")) == "."
    if "tensorflow" not in sys.modules:  # another test of this process may need it
        assert "keras" not in sys.modules


def test_directories_that_are_no_saved_model(saved_model, tmp_path):
    (tmp_path / "empty").mkdir()
    assert refused(tmp_path / "empty") == "empty has no saved_model.pb: not a SavedModel"
    (tmp_path / "versions" / "12").mkdir(parents=True)
    assert "name one of its versions, such as 12" in refused(tmp_path / "versions")
    assert "name the directory that it lies in" in refused(saved_model / "saved_model.pb")
    (saved_model / "saved_model.pb").write_bytes(b"")
    assert "has 0 bytes" in refused(saved_model)


def test_links_are_refused_wherever_they_lie(saved_model, tmp_path):
    (saved_model / "variables" / "v").symlink_to("/etc/hostname")
    assert refused(saved_model) == "model holds a link or a device: variables/v"
    (tmp_path / "link").symlink_to(saved_model)
    assert refused(tmp_path / "link") == "link is a link"


def test_files_that_are_no_keras_model(tmp_path):
    (tmp_path / "m.h5").write_bytes(b"\x89HDF")
    assert "save the model as .keras" in refused(tmp_path / "m.h5")
    (tmp_path / "m.keras").write_bytes(b"PK, or not")
    assert "is not a Keras model, or a damaged one" in refused(tmp_path / "m.keras")
    assert "has no config.json" in refused(archive(tmp_path / "a.keras", other="x"))
    assert "is not a Keras model" in refused(archive(tmp_path / "b.keras", config_json="{"))
    assert "describes no Keras model" in refused(archive(tmp_path / "c.keras", config_json="[]"))


def test_hostile_archives(tmp_path, monkeypatch):
    assert "points out of the archive: '../x'" in refused(
        archive(tmp_path / "a.keras", config_json=CONFIG, **{"..__x": ""})
    )
    link = zipfile.ZipInfo("assets/link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(archive(tmp_path / "b.keras", config_json=CONFIG), "a") as file:
        file.writestr(link, "/etc/passwd")
    assert "a link or a device: 'assets/link'" in refused(tmp_path / "b.keras")
    monkeypatch.setattr(artifact, "RATIO_MATTERS_FROM", 1 << 20)
    bomb = archive(tmp_path / "c.keras", config_json=CONFIG, weights=bytes(4 << 20))
    assert "a zip bomb" in refused(bomb)
    monkeypatch.setattr(artifact, "MAX_ENTRIES", 1)
    assert "has 2 entries" in refused(bomb)
