"""The generated code is that of the .proto files."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_generated_code_is_current():
    check = subprocess.run([sys.executable, ROOT / "proto/generate.py", "--check"], capture_output=True, text=True)
    assert check.returncode == 0, check.stderr
