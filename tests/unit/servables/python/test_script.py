"""Scripts on disk: what is refused unrun, how they are run, and what of their failures is told."""

from __future__ import annotations

import asyncio
import logging
import os
import sys

import pytest

from forestflow.domain.errors import ArtifactRejected, LoadFailed
from forestflow.domain.requests import Python
from forestflow.domain.settings import Resources
from forestflow.servables import python


@pytest.fixture
def root(tmp_path, monkeypatch):
    """An artifact directory; the process is afterwards as before."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    monkeypatch.setenv("MODEL_PATH", "none")
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (tmp_path / "model").mkdir()
    yield tmp_path / "model"
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(root, text, name="serve.py"):
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text(text)
    return Python(name)


def load(root, flavor):
    return python.load(root, flavor, Resources())


def test_finds_its_files_and_modules_wherever_it_is_started(root, monkeypatch, tmp_path):
    flavor = write(
        root,
        "import os, pathlib, helper\n"
        "class Predict:\n"
        "    def __init__(self):\n"
        "        text = pathlib.Path(self.path, 'weights.txt').read_text()\n"
        "        self.weights = text, os.environ['MODEL_PATH'], helper.NAME\n"
        "    def predict(self, inputs): return [0]\n",
        "src/serve_here.py",
    )
    (root / "weights.txt").write_text("w")
    (root / "src" / "helper.py").write_text("NAME = 'help'")
    monkeypatch.chdir(tmp_path)
    python.check(root, flavor)
    assert load(root, flavor)._model.weights == ("w", str(root), "help")
    assert python.artifact_path(flavor) == "."
    assert not list(root.rglob("__pycache__")), "the artifact stays as its hash says"


def test_pickled_objects_find_classes_of_the_script(root):
    flavor = write(
        root,
        "import pickle\nclass Part: pass\n"
        "class Predict:\n"
        "    def __init__(self): self.part = pickle.loads(pickle.dumps(Part()))\n"
        "    def predict(self, inputs): return [0]\n",
        "pickling_script.py",
    )
    assert type(load(root, flavor)._model.part).__module__ == "pickling_script"


def test_a_name_that_is_taken_does_not_replace_what_has_it(root):
    flavor = write(root, "class Predict:\n    def predict(self, inputs): return [0]\n", "logging.py")
    assert load(root, flavor)
    assert sys.modules["logging"] is logging


@pytest.mark.parametrize(
    "text",
    [
        "from x import Predict",
        "from x import *",
        "import y as Predict",
        "Predict = 3",
        "def Predict(): pass",
        "if 1:\n try:\n  pass\n except ImportError:\n  class Predict: pass",
    ],
)
def test_a_class_may_come_from_anywhere(root, text):
    python.check(root, write(root, text))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("class A: pass\nclass B: pass", r"does not define 'Predict'; its classes: A, B"),
        ("x = 1\ndef f(", r"serve.py, line 2: '\(' was never closed"),
        ("\0", "serve.py"),
        ("class Other:\n    class Predict: pass", "its classes: Other"),
    ],
)
def test_what_is_no_model_is_refused_without_running_it(root, text, why):
    with pytest.raises(ArtifactRejected, match=why):
        python.check(root, write(root, text))


def test_checking_runs_nothing(root):
    python.check(root, write(root, "import os\nos.abort()\nclass Predict: pass"))


@pytest.mark.parametrize("script", ["missing.py", "../outside.py", "link.py", "/etc/passwd", ".", "serve.txt"])
def test_scripts_outside_of_the_directory_are_refused(root, script):
    (root.parent / "outside.py").write_text("class Predict: pass")
    (root / "serve.txt").write_text("class Predict: pass")
    (root / "link.py").symlink_to(root.parent / "outside.py")
    with pytest.raises(ArtifactRejected):
        python.check(root, Python(script))


@pytest.mark.parametrize("raised", ["ValueError('boom')", "SystemExit('boom')", "KeyboardInterrupt('boom')"])
@pytest.mark.parametrize("where", ["module", "init"])
def test_what_a_script_raises_at_load_is_told_and_its_traceback_logged(root, caplog, raised, where):
    body = f"raise {raised}\n" if where == "module" else ""
    init = f"raise {raised}" if where == "init" else "pass"
    flavor = write(root, f"{body}class Predict:\n    def __init__(self): {init}\n    def predict(self, i): return i\n")
    with pytest.raises(LoadFailed, match=rf"serve.py: {raised.split('(')[0]}: boom"):
        load(root, flavor)
    assert f'serve.py", line {1 if where == "module" else 2}' in caplog.text
    assert "serve" not in sys.modules


def test_a_constructor_with_arguments_is_refused(root):
    flavor = write(root, "class Predict:\n    def __init__(self, x): pass\n    def predict(self, i): return i\n")
    with pytest.raises(LoadFailed, match="missing 1 required positional argument: 'x'"):
        load(root, flavor)


async def test_a_script_may_run_an_event_loop_of_its_own(root):
    flavor = write(
        root,
        "import asyncio\nasync def one(): return 1\n"
        "class Predict:\n    def __init__(self): self.one = asyncio.run(one())\n    def predict(self, i): return i\n",
    )
    loop = asyncio.get_running_loop()
    assert load(root, flavor)._model.one == 1
    assert asyncio.get_running_loop() is loop


def test_requirements_from_files(root):
    (root / "sub").mkdir()
    (root / "requirements.txt").write_text("# all\nemoji==2.13.0  # why\n\n-r sub/more.txt\n--no-deps\n")
    (root / "sub" / "more.txt").write_text("--requirement=last.txt\ncowsay\n")
    (root / "sub" / "last.txt").write_text("a-b[c]>=1; python_version>'3'\n")
    flavor = Python("s.py", requirements=("x==1", "-r requirements.txt"))
    expected = ("x==1", "emoji==2.13.0", "a-b[c]>=1; python_version>'3'", "cowsay", "--no-deps")
    assert python.requirements(root, flavor) == expected


@pytest.mark.parametrize("line", ["-r missing.txt", "-r ../out.txt", "-r loop.txt", "a\nb", "-r latin.txt", "-r ."])
def test_requirements_that_cannot_be_read_are_refused_at_once(root, line):
    (root.parent / "out.txt").write_text("x")
    (root / "loop.txt").write_text("-r loop.txt")
    (root / "latin.txt").write_bytes(b"\xe9")
    write(root, "class Predict: pass")
    with pytest.raises(ArtifactRejected, match="requirement"):
        python.check(root, Python("serve.py", requirements=(line,)))
    assert os.environ["MODEL_PATH"] == "none"


def test_requirements_that_name_each_other_many_times(root):
    """Each file names the next one twice: a billion lines of 30 files."""
    for i in range(30):
        (root / f"{i}.txt").write_text(f"-r {i + 1}.txt\n-r {i + 1}.txt\n")
    (root / "30.txt").write_text("a\n")
    write(root, "class Predict: pass")
    with pytest.raises(ArtifactRejected, match="or name files too many times"):
        python.check(root, Python("serve.py", requirements=("-r 0.txt",)))


def test_requirements_and_scripts_of_many_megabytes(root):
    (root / "r.txt").write_bytes(b"#" * (1 << 20))
    write(root, "class Predict: pass")
    with pytest.raises(ArtifactRejected, match="more than 1048576 bytes"):
        python.check(root, Python("serve.py", requirements=("-r r.txt",)))
    write(root, "class Predict: pass\n" + "#" * (2 << 20))
    with pytest.raises(ArtifactRejected, match=r"serve\.py is larger than 2097152 bytes"):
        python.check(root, Python("serve.py"))


def test_a_script_of_a_long_chain_of_branches(root):
    """Each ``elif`` is one level deeper in the syntax tree."""
    chain = (
        "if a == 0: pass\n"
        + "".join(f"elif a == {i}: pass\n" for i in range(1, 1500))
        + "else:\n class Predict: pass\n"
    )
    python.check(root, write(root, chain))
