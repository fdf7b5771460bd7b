"""Coverage-guided fuzzing of a codec by atheris: ``python -m tests.fuzz graphpipe -max_total_time=600``.

Ends with the input that did it where anything but a ForestFlowError leaves the codec, a message takes more than 100 ms
of the processor, or more memory than four times its bytes and what Python needs for the first objects. All arguments
but the first are libFuzzer's.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import tracemalloc
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["forestflow.codecs"]):
    from tests.fuzz.targets import TARGETS

from forestflow.domain.errors import ForestFlowError

MAX_SECONDS = 0.1
MAX_TIMES = 4
SLACK_BYTES = 256 << 10


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in TARGETS:
        sys.exit(f"usage: python -m tests.fuzz {{{','.join(TARGETS)}}} [-max_total_time=SECONDS] [libFuzzer's flags]")
    with atheris.instrument_imports(include=["forestflow.codecs"]):
        target = TARGETS[name]()
        for seed in target.seeds:
            target.read(seed)  # or the seeds are none

    def one(data: bytes) -> None:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        began = time.process_time()
        with suppress(ForestFlowError):
            target.read(data)
        seconds = time.process_time() - began
        grown = tracemalloc.get_traced_memory()[1] - before
        if seconds > MAX_SECONDS:
            raise AssertionError(f"{len(data)} bytes took {seconds * 1000:.0f} ms")
        if grown > MAX_TIMES * len(data) + SLACK_BYTES:
            raise AssertionError(f"{len(data)} bytes became {grown}")

    with tempfile.TemporaryDirectory(prefix=f"fuzz-{name}-") as corpus:
        for i, seed in enumerate(target.seeds):
            Path(corpus, str(i)).write_bytes(seed)
        tracemalloc.start()
        atheris.Setup([sys.argv[0], corpus, *sys.argv[2:]], one)
        atheris.Fuzz()  # ends the process


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    main()
