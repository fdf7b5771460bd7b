"""The MLmodel file: which flavors a folder has, and where the files of each lie. Nothing of the model is loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forestflow.domain.errors import ArtifactRejected
from forestflow.servables.mlmodel import yaml_text

FILE = "MLmodel"
MAX_BYTES = 4 << 20  # of the file, and of an input example: both are descriptions

CATEGORIES = "categories"  # in the metadata: a name of ours, where models do not keep them

LAST_RESORT = "python_function"
# Where MLflow puts the model of a flavor: the option that names it, and the name without that option.
_MODELS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "h2o_mojo": (("data",), "model.h2o"),
    "h2o": (("data",), "model.h2o"),
    "tensorflow": (("saved_model_dir", "data"), "data"),
    "keras": (("data",), "data"),
    "sklearn": (("pickled_model",), "model.pkl"),
    "xgboost": (("data",), "model.xgb"),
    "lightgbm": (("data",), "model.lgb"),
    "onnx": (("data",), "model.onnx"),
    LAST_RESORT: (("data", "model_path"), "."),
}


@dataclass(frozen=True, slots=True)
class Chosen:
    """A flavor of the file: its options, the folder that they are relative to, and its model's file or folder."""

    name: str
    options: Mapping[str, Any]
    root: Path
    model: Path

    def option(self, name: str) -> str | None:
        """A textual option; ``None`` where it is not given."""
        value = self.options.get(name)
        return value if isinstance(value, str) else None

    def inside(self, relative: str) -> Path:
        """A path of the options. Raises ArtifactRejected where it leads outside the folder, or to nothing."""
        return _inside(self.root, relative)


class Description:
    """One MLmodel file. Raises :class:`~forestflow.domain.errors.ArtifactRejected` for one that cannot be read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        document = _read(folder)
        flavors = document.get("flavors")
        if not isinstance(flavors, dict) or not flavors:
            raise ArtifactRejected(f"the {FILE} file has no flavors")
        self.flavors: dict[str, Mapping[str, Any]] = {
            str(name): options if isinstance(options, dict) else {} for name, options in flavors.items()
        }
        signature = document.get("signature")
        self.signature: Mapping[str, Any] = signature if isinstance(signature, dict) else {}
        example = document.get("saved_input_example_info")
        self.example: Mapping[str, Any] = example if isinstance(example, dict) else {}
        metadata = document.get("metadata")
        self.metadata: Mapping[str, Any] = metadata if isinstance(metadata, dict) else {}
        located = document.get("artifact_path") or document.get("model_uri")
        self.located = located if isinstance(located, str) else None

    def choose(self, flavor: str | None = None) -> Chosen:
        """``flavor``, or the first of the file that is supported and whose files are here; python_function is last.

        Raises ArtifactRejected, saying what is wrong with each.
        """
        if flavor is not None and (flavor not in self.flavors or flavor not in _MODELS):
            has = ", ".join(map(repr, self.flavors))
            raise ArtifactRejected(f"flavor {flavor!r} is not in the {FILE} file, or not supported; it has {has}")
        names = [flavor] if flavor is not None else sorted(self._supported(), key=LAST_RESORT.__eq__)
        problems = [f"{name!r} is not supported" for name in self.flavors if name not in _MODELS]
        for name in names:
            try:
                return self._found(name)
            except ArtifactRejected as problem:
                problems.append(f"{name!r}: {problem.message}")
        raise ArtifactRejected(f"no flavor of the {FILE} file can be served: {'; '.join(problems)}")

    def elsewhere(self, flavor: str | None = None) -> str | None:
        """The URL or absolute path of the model's files, where they do not lie beside the MLmodel file."""
        if self.located is None or not ("://" in self.located or self.located.startswith("/")):
            return None
        try:
            self.choose(flavor)
        except ArtifactRejected:
            return self.located
        return None

    def categories(self) -> dict[str, list[Any]] | None:
        """The categories of DataFrame columns that the metadata lists, by name; ``None`` where it has none.

        Raises ArtifactRejected for what is no list of them.
        """
        listed = self.metadata.get(CATEGORIES)
        if listed is None:
            return None
        if not isinstance(listed, dict) or not all(isinstance(values, list) for values in listed.values()):
            raise ArtifactRejected(f"{CATEGORIES!r} in the metadata of the {FILE} file must be lists by column name")
        return {str(name): values for name, values in listed.items()}

    def _supported(self) -> Iterator[str]:
        return (name for name in self.flavors if name in _MODELS)

    def _found(self, name: str) -> Chosen:
        options = self.flavors[name]
        keys, default = _MODELS[name]
        relative = next((value for key in keys if isinstance(value := options.get(key), str)), default)
        problem = ArtifactRejected("")
        for root in self._roots():
            try:
                model = _inside(root, relative)
                model = _FINDERS[name](model) if name in _FINDERS else model
                return Chosen(name, options, root, model)
            except ArtifactRejected as missing:
                problem = missing
        raise problem

    def _roots(self) -> Iterator[Path]:
        """The file's folder, and the folder in it that ``artifact_path`` names (MLflow's is the run's, not ours)."""
        yield self.folder
        if self.located is not None and "://" not in self.located:
            below = self.folder / self.located
            if below.is_dir() and below.resolve().is_relative_to(self.folder.resolve()):
                yield below

    def input_example(self) -> Any:
        """The input example as parsed JSON; ``None`` where there is none that can be read."""
        relative = self.example.get("artifact_path")
        if not isinstance(relative, str):
            return None
        try:
            path = _inside(self.folder, relative)
            return json.loads(_bounded(path))
        except (ArtifactRejected, ValueError, RecursionError):
            return None  # it only rehearses: the model serves without it


def _read(folder: Path) -> dict[str, Any]:
    path = folder / FILE
    if path.is_symlink() or not path.is_file():
        raise ArtifactRejected(f"there is no {FILE} file in the folder")
    try:
        document = yaml_text.load(_bounded(path))
    except ValueError as error:
        raise ArtifactRejected(f"the {FILE} file is not YAML: {error}") from None
    if not isinstance(document, dict):
        raise ArtifactRejected(f"the {FILE} file is not a YAML mapping")
    return document


def _bounded(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ArtifactRejected(f"{path.name!r} is larger than {MAX_BYTES} bytes")
    return content.decode()


def _inside(root: Path, relative: str) -> Path:
    if "\0" in relative or Path(relative).is_absolute() or ".." in Path(relative).parts:
        raise ArtifactRejected(f"{relative!r} must be a relative path below the folder of the {FILE} file")
    path = root / relative
    if not path.resolve().is_relative_to(root.resolve()):
        raise ArtifactRejected(f"{relative!r} leads outside the folder of the {FILE} file")
    if not path.exists():
        raise ArtifactRejected(f"{relative!r} is not there")
    return path


def _mojo(model: Path) -> Path:
    """The MOJO that ``data`` names, or that h2o.yaml in that folder names, or the only archive in it."""
    if model.is_dir():
        described = model / "h2o.yaml"
        if described.is_file():
            try:
                settings = yaml_text.load(_bounded(described))
            except ValueError:
                raise ArtifactRejected("h2o.yaml is not YAML") from None
            name = settings.get("model_file") if isinstance(settings, dict) else None
            model = _inside(model, str(name))
        else:
            archives = sorted(model.glob("*.zip"))
            if len(archives) != 1:
                raise ArtifactRejected(f"{model.name!r} holds {len(archives)} .zip archives and no h2o.yaml")
            model = archives[0]
    with model.open("rb") as file:
        if file.read(2) != b"PK":
            raise ArtifactRejected(f"{model.name!r} is no MOJO: a binary model needs an H2O cluster; export a MOJO")
    return model


def _tensorflow(model: Path) -> Path:
    """A SavedModel, or what MLflow calls ``model`` in the folder ``data``: .keras, .h5 or a SavedModel."""
    if model.is_file() or (model / "saved_model.pb").is_file():
        return model
    for name in ("model.keras", "model.h5", "model"):
        if (model / name).exists():
            return model / name
    raise ArtifactRejected(f"{model.name!r} holds neither a SavedModel nor a Keras model")


_FINDERS = {"h2o_mojo": _mojo, "h2o": _mojo, "tensorflow": _tensorflow, "keras": _tensorflow}
