"""Coverage-guided fuzzing of a codec by atheris: ``python -m tests.fuzz graphpipe -max_total_time=600``.

Ends with the input that did it where anything but a ForestFlowError leaves the codec, a message takes more than 100 ms
of the processor (long ones 1.5 us a byte more), or more memory than four times its bytes and what Python needs for the
objects of a piece of it. JSON may become long: the first five bytes of an input say which part of the rest is repeated.
All arguments but the first are libFuzzer's; an input that ended a run is tried again by naming its file.
"""

from __future__ import annotations

import os
import struct
import sys
import tempfile
import time
import tracemalloc
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import atheris

from forestflow.domain.errors import ForestFlowError

MAX_SECONDS = 0.1
SHORT_BYTES = 4096  # libFuzzer's own inputs
MAX_SECONDS_A_BYTE = 1.5e-6  # beyond, for code that atheris slows down several times
MAX_TIMES = 4
SLACK_BYTES = 64 << 10
GROWN_SLACK_BYTES = 768 << 10
LONG_BYTES = 512 << 10
# Of code that atheris instruments it keeps the arrays that are compared, for ever.
ARRAYS = ["forestflow.codecs.json.long_json", "forestflow.codecs.basic.float_rows", "forestflow.codecs.json.growing"]

_REPEAT = struct.Struct("<HHB")  # start and length of the repeated part; odd: repeat it

with atheris.instrument_imports(include=["forestflow.codecs"], exclude=ARRAYS):
    from tests.fuzz.targets import TARGETS


def grown(data: bytes) -> bytes:
    """The message that an input stands for."""
    if len(data) < _REPEAT.size:
        return data
    start, length, repeat = _REPEAT.unpack_from(data)
    text = data[_REPEAT.size :]
    part = text[start : start + length]
    times = LONG_BYTES // len(part) if part and repeat & 1 else 1
    return text[:start] + part * times + text[start + length :]


def inputs(seed: bytes) -> list[bytes]:
    """The seed as it is, and with each part between two commas repeated."""
    commas = [i for i, byte in enumerate(seed) if byte == ord(",")]
    parts = [(one, other - one, 1) for one, other in pairwise(commas)]
    return [_REPEAT.pack(*part) + seed for part in [(0, 0, 0), *parts]]


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in TARGETS:
        sys.exit(f"usage: python -m tests.fuzz {{{','.join(TARGETS)}}} [-max_total_time=SECONDS] [libFuzzer's flags]")
    with atheris.instrument_imports(include=["forestflow.codecs"], exclude=ARRAYS):
        target = TARGETS[name]()
        for seed in target.seeds:
            target.read(target.payload(seed))  # or the seeds are none

    def seconds_of(payload: bytes) -> float:
        began = time.process_time()
        with suppress(ForestFlowError):
            target.read(payload)
        return time.process_time() - began

    def one(data: bytes) -> None:
        message = grown(data) if target.grows else data
        payload = target.payload(message)
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        seconds = seconds_of(payload)
        memory = tracemalloc.get_traced_memory()[1] - before
        tracemalloc.stop()
        most = MAX_SECONDS + max(0, len(message) - SHORT_BYTES) * MAX_SECONDS_A_BYTE
        if seconds > most:
            seconds = min(seconds_of(payload) for _ in range(3))  # tracing memory takes time of its own
        if seconds > most:
            raise AssertionError(f"{len(message)} bytes took {seconds * 1000:.0f} ms")
        if memory > MAX_TIMES * len(message) + (GROWN_SLACK_BYTES if target.grows else SLACK_BYTES):
            raise AssertionError(f"{len(message)} bytes became {memory}")

    with tempfile.TemporaryDirectory(prefix=f"fuzz-{name}-") as corpus:
        seeds = [made for seed in target.seeds for made in (inputs(seed) if target.grows else [seed])]
        for i, seed in enumerate(seeds):
            Path(corpus, str(i)).write_bytes(seed)
        # An input may be a file that ended a run: then there is no corpus.
        files = [argument for argument in sys.argv[2:] if not argument.startswith("-")]
        atheris.Setup([sys.argv[0], *([] if files else [corpus]), *sys.argv[2:]], one)
        atheris.Fuzz()  # ends the process


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    main()
