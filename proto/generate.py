"""Write ``forestflow/_gen`` from the ``.proto`` files beside this script, or (``--check``) say which files are stale.

protoc's virtual path mapping reads ``proto/x.proto`` as ``forestflow/_gen/x.proto``, so that the generated imports are
those of the package they live in. A file with a ``service`` also gets its gRPC stubs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import grpc_tools
from google.rpc import status_pb2
from grpc_tools import protoc

PROTO = Path(__file__).resolve().parent
ROOT = PROTO.parent
GENERATED = Path("forestflow/_gen")
SUFFIXES = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py")
WELL_KNOWN = Path(grpc_tools.__file__).parent / "_proto"
GOOGLE_APIS = Path(status_pb2.__file__).parents[2]  # of googleapis-common-protos


def generate(out: Path) -> None:
    """Generate all modules below ``out``/forestflow/_gen; exits with protoc's code if it fails."""
    (out / GENERATED).mkdir(parents=True, exist_ok=True)
    for source in sorted(PROTO.glob("*.proto")):
        outputs = [f"--python_out={out}", f"--pyi_out={out}"]
        if any(line.startswith("service ") for line in source.read_text().splitlines()):
            outputs.append(f"--grpc_python_out={out}")
        mapping = [f"-I{GENERATED}={PROTO}", f"-I{WELL_KNOWN}", f"-I{GOOGLE_APIS}"]
        code = protoc.main(["protoc", *mapping, *outputs, f"{GENERATED}/{source.name}"])
        if code:
            sys.exit(code)


def modules(root: Path) -> dict[str, bytes]:
    """Generated files below ``root`` by name; FlatBuffers' and hand-written ones are not protoc's to judge."""
    found = (path for path in (root / GENERATED).iterdir() if path.name.endswith(SUFFIXES))
    return {path.name: path.read_bytes() for path in found}


def stale() -> list[str]:
    """Names that are missing, left over, or differ from what protoc writes now."""
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        wanted, have = modules(Path(scratch)), modules(ROOT)
    return sorted(name for name in wanted.keys() | have.keys() if wanted.get(name) != have.get(name))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 and name the stale files")
    if not parser.parse_args().check:
        generate(ROOT)
        return 0
    names = stale()
    if names:
        print(f"stale in {GENERATED}: {', '.join(names)}; run python proto/generate.py", file=sys.stderr)
    return 1 if names else 0


if __name__ == "__main__":
    sys.exit(main())
