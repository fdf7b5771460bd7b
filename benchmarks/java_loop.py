"""The floor of batch scoring: a plain single-thread Java loop over ``score0`` of the same MOJO, without any Python."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import h2o

from benchmarks import payloads
from benchmarks.processes import REPOSITORY, StartFailed

# low:high of each feature in the model's order: where the rows of payloads.batch() are drawn from, too.
RANGES = "2:37,25:81,993:1033,26:100"
_ROUNDS = 60


def rows_per_second(mojo: Path = payloads.MODELS / payloads.MOJO, ranges: str = RANGES) -> float:
    """Rows a second of the best of 60 rounds over 10,000 rows, after a warm-up: what the JIT makes of it at last."""
    h2o_jar = f"{next(iter(h2o.__path__))}/backend/bin/h2o.jar"
    ours = REPOSITORY / "forestflow/servables/h2o/batchscorer.jar"
    command = ["java", "-cp", f"{h2o_jar}:{ours}", "forestflow.BatchScorer", str(mojo)]
    command += [str(payloads.BATCH_ROWS), str(_ROUNDS), ranges]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    found = re.search(r"([\d.]+) rows/s", done.stdout)
    if done.returncode != 0 or not found:
        raise StartFailed(f"the Java loop ended with {done.returncode}: {(done.stderr or done.stdout)[-500:]}")
    return float(found[1])
