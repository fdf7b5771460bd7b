"""Set up the environments of the peers that need their own: ``python -m benchmarks.setup [--force]``.

MLServer and BentoML pin packages that ForestFlow does not want, so each lives in a virtual environment beside ``.venv``
(``.venv-bench-*``, ignored by git), exactly as pinned in ``constraints-*.txt``.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.peers.iris import environment

# uvloop and httptools are optional for both peers and make them faster.
PACKAGES = {
    "mlserver": ["mlserver", "mlserver-sklearn", "scikit-learn", "uvloop", "httptools"],
    "bentoml": ["bentoml", "scikit-learn", "uvloop", "httptools"],
}


def constraints(name: str) -> Path:
    """The pins of one peer."""
    return Path(__file__).with_name(f"constraints-{name}.txt")


def set_up(name: str, *, force: bool) -> None:
    """Make the environment of ``name`` unless it is there with these very pins."""
    folder, pins = environment(name), constraints(name)
    stamp = folder / "installed.txt"
    if not force and stamp.exists() and stamp.read_text() == pins.read_text():
        print(f"{name}: {folder} is up to date", file=sys.stderr)
        return
    print(f"{name}: making {folder} (a minute or so)", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=120)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-c", str(pins), *PACKAGES[name]], check=True, timeout=1200)
    stamp.write_text(pins.read_text())


def main() -> None:
    """Set up every peer."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.setup", description=__doc__)
    parser.add_argument("--force", action="store_true", help="make the environments anew")
    force = parser.parse_args().force
    for name in PACKAGES:
        set_up(name, force=force)


if __name__ == "__main__":
    main()
