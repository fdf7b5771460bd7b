"""Every command of README.md and of docs/, run in the order of the site against a server started as the README says.

Each prints what its page shows. What a page deploys, later pages find: the order is that of ``nav`` in mkdocs.yml. A
fenced block of ``bash`` or ``python`` is run; a ``json`` or ``text`` block right after it is what it prints. An HTML
comment before a block says what else is to be done with it. Times, request ids and durations may differ.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.serving import RunningServer, running

ROOT = Path(__file__).parents[2]
README = Path("README.md")
HTTP, GRPC = "127.0.0.1:8090", "127.0.0.1:8091"  # where README's server listens

_LINK = re.compile(r"\]\((?!\w+:)([^)#]*)(?:#([^)]*))?\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NOTE = re.compile(r"<!-- (not run by the test|run by the test as its server)\b[^>]*-->\s*\Z")
_PROGRAMS = ("bash", "python")
_OUTPUTS = ("json", "text")
_VOLATILE_FIELDS = ("createdAtMS", "becameValidAtMS", "requestId")
_VOLATILE_TEXT = (
    (re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\b"), "<time>"),
    (re.compile(r"\b\d+\.\d s\b"), "<seconds>"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "<id>"),
)


@dataclass(frozen=True)
class Step:
    """One block to run. ``output`` is the block that shows what it prints, as (language, text)."""

    place: str
    language: str
    program: str
    output: tuple[str, str] | None = None
    is_server: bool = False


def steps_of(text: str, page: str = "README.md") -> list[Step]:
    """List what a page says to run, in order. Raises ValueError for a block that would silently be passed over."""
    steps: list[Step] = []
    runs, last_end = False, 0
    for fence in _FENCE.finditer(text):
        language, content = fence.groups()
        before, place = text[last_end : fence.start()], f"{page}, line {text.count(chr(10), 0, fence.start()) + 1}"
        note = _NOTE.search(before)
        if language in _PROGRAMS:
            runs = note is None
            if note is None or "server" in note[1]:
                steps.append(Step(place, language, content, is_server=note is not None))
        elif language in _OUTPUTS and runs and steps[-1].output is None:
            old = steps.pop()
            steps.append(Step(old.place, old.language, old.program, (language, content)))
        else:
            raise ValueError(f"{place}: nothing runs this {language or 'nameless'} block or prints it")
        last_end = fence.end()
    return steps


def differences(language: str, shown: str, came: str) -> str:
    """How what came differs from what is shown; empty when it does not."""
    if language == "json":
        try:
            wanted, found = (json.dumps(_steady(json.loads(text)), sort_keys=True) for text in (shown, came))
        except ValueError:
            return f"not JSON: {came!r}"
        return "" if wanted == found else f"shown: {wanted}\ncame:  {found}"
    wanted_lines, found_lines = _lines(shown), _lines(came)
    return "" if wanted_lines == found_lines else "\n".join(["shown:", *wanted_lines, "came:", *found_lines])


def _steady(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: f"<{key}>" if key in _VOLATILE_FIELDS else _steady(part) for key, part in value.items()}
    return [_steady(part) for part in value] if isinstance(value, list) else value


def _lines(text: str) -> list[str]:
    for pattern, name in _VOLATILE_TEXT:
        text = pattern.sub(name, text)
    return [" ".join(line.split()) for line in text.strip().splitlines()]  # columns are as wide as their content


class Reader:
    """Follows the documents in a checkout: runs their blocks, one after the other, in one folder."""

    def __init__(self, folder: Path, http: str, grpc: str) -> None:
        self._folder = folder
        self._addresses = {HTTP: http, GRPC: grpc}
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        self._env = {**os.environ, "PATH": path, "FORESTFLOW_URL": f"http://{http}"}

    def run(self, step: Step) -> str:
        """What the block prints; fails when one of its commands does."""
        program = step.program
        for shown, actual in self._addresses.items():
            program = program.replace(shown, actual)
        command = ["bash", "-euo", "pipefail", "-c"] if step.language == "bash" else [sys.executable, "-c"]
        done = subprocess.run(
            [*command, program],
            stdin=subprocess.DEVNULL,
            cwd=self._folder,
            env=self._env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=90,
        )
        assert done.returncode == 0, f"{step.place}: exit code {done.returncode}\n{step.program}\n{done.stdout}"
        return done.stdout

    def check(self, step: Step) -> None:
        came = self.run(step)
        if step.output is not None:
            wrong = differences(*step.output, came)
            assert not wrong, f"{step.place}: it printed something else\n{step.program}\n{wrong}"


def text_of(page: Path) -> str:
    return (ROOT / page).read_text("utf-8")


def nav(entries: list[Any]) -> list[Path]:
    """List the pages of the site that are files of docs/, in its order; the others ship elsewhere (docs/pages.py)."""
    pages: list[Path] = []
    for entry in entries:
        (target,) = entry.values()
        pages += nav(target) if isinstance(target, list) else [Path("docs", target)]
    return [page for page in pages if (ROOT / page).exists()]


PAGES = [README, *nav(yaml.safe_load(text_of(Path("mkdocs.yml")))["nav"])]
LINKED = [*PAGES, *map(Path, ("CONTRIBUTING.md", "CHANGELOG.md", "forestflow/README.md", "benchmarks/README.md"))]
STEPS = {page: steps_of(text_of(page), str(page)) for page in PAGES}


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A reader whose folder looks like the checkout, beside the server that the README starts."""
    folder = tmp_path_factory.mktemp("checkout")
    (folder / "forestflow").symlink_to(ROOT / "forestflow")
    (serve,) = (step for steps in STEPS.values() for step in steps if step.is_server)
    name, command, *flags = shlex.split(serve.program)
    assert (name, command) == ("forestflow", "serve")
    with running(folder / "forestflow-data", *flags) as server:
        yield Reader(folder, _address(server), server.grpc)


def _address(server: RunningServer) -> str:
    return server.url.removeprefix("http://")


@pytest.mark.slow
@pytest.mark.h2o
@pytest.mark.timeout(300)
def test_every_command_does_what_its_page_shows(reader: Reader) -> None:
    for page in PAGES:
        for step in STEPS[page]:
            if not step.is_server:
                reader.check(step)


def test_the_documents_have_their_parts() -> None:
    steps = [step for steps in STEPS.values() for step in steps]
    assert len(steps) >= 30
    assert {step.language for step in steps} == set(_PROGRAMS)
    assert sum(step.is_server for step in steps) == 1
    readme = text_of(README)
    assert readme.count("<!-- bench:begin -->") == readme.count("<!-- bench:end -->") == 1
    assert readme.count("\n") <= 250


def test_every_page_is_in_the_navigation() -> None:
    assert sorted(PAGES[1:]) == sorted(page.relative_to(ROOT) for page in (ROOT / "docs").rglob("*.md"))


def broken_links(text: str, page: Path) -> list[str]:
    """List the links to places of the repository that are not there. Code is no link."""
    broken = []
    for file, anchor in _LINK.findall(_FENCE.sub("", text)):
        target = (ROOT / page).parent / file if file else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text("utf-8") if file else text)):
            broken.append(f"{file}#{anchor}" if anchor else file)
    return broken


def anchors(text: str) -> set[str]:
    """Name the headings as GitHub and MkDocs link them."""
    headings = _HEADING.findall(_FENCE.sub("", text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", LINKED, ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(text_of(page), page) == []


# --- negative controls: a page that is wrong fails -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "shown", "came"),
    [
        ("json", '{"a": [1, 2.5]}', '{"a":[1,2.5]}'),
        ("json", '{"requestId": "1", "b": 2}', '{"b":2,"requestId":"2"}'),
        ("json", '[{"x": {"createdAtMS": "1"}}]', '[{"x":{"createdAtMS":"1795237605969"}}]'),
        ("text", "A    B\n1    2  \n", "A  B\n1  2\n"),
        ("text", "since 2026-11-21 05:06:45, in 1.6 s", "since 2027-01-01 00:00:00, in 12.3 s\n"),
        ("text", "id " + "a" * 32, "id " + "b" * 32),
    ],
)
def test_what_may_differ(language: str, shown: str, came: str) -> None:
    assert differences(language, shown, came) == ""


@pytest.mark.parametrize(
    ("language", "shown", "came"),
    [
        ("json", '{"a": 1.5}', '{"a":1.6}'),
        ("json", '{"a": "1"}', '{"a":1}'),
        ("json", '{"a": 1}', '{"a":true}'),
        ("json", '{"a": 1}', '{"a":1,"b":2}'),
        ("json", '{"requestId": "1"}', "{}"),
        ("json", "[1]", "[1, 1]"),
        ("json", "{}", "connection refused"),
        ("json", "{}", ""),
        ("text", "exit code 1", "exit code 0"),
        ("text", "one\ntwo", "one"),
        ("text", "in 1.6 s", "in a while"),
        ("text", "some", ""),
    ],
)
def test_what_may_not_differ(language: str, shown: str, came: str) -> None:
    assert differences(language, shown, came)


@pytest.mark.parametrize(
    "program",
    [
        "forestflow no-such-command\n",
        "forestflow score --no-such-flag samples/energy/0\n",
        "false\necho on\n",
        "false | cat\n",
        "echo $NOT_SET_ANYWHERE\n",
    ],
)
def test_a_broken_command_fails(program: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="line 7: exit code"):
        Reader(tmp_path, HTTP, GRPC).check(Step("a page, line 7", "bash", program))


def test_a_broken_program_and_another_output_fail(tmp_path: Path) -> None:
    reader = Reader(tmp_path, HTTP, GRPC)
    with pytest.raises(AssertionError, match="exit code 1"):
        reader.check(Step("", "python", "from forestflow.sdk import NoSuchName\n"))
    with pytest.raises(AssertionError, match="printed something else"):
        reader.check(Step("", "bash", "echo here\n", ("text", "there\n")))
    reader.check(Step("", "bash", "echo here\n", ("text", "here\n")))


@pytest.mark.parametrize("link", ["no-such-page.md", "scoring.md#no-such-part", "#no-such-part", "../forestflow/no.md"])
def test_a_broken_link_is_found(link: str) -> None:
    page = Path("docs/quickstart.md")
    assert broken_links(f"# Here\n\n[text]({link}) [text](#here) [text](scoring.md#deadlines)\n", page) == [link]


def test_addresses_are_those_of_the_test(tmp_path: Path) -> None:
    reader = Reader(tmp_path, "127.0.0.1:1", "127.0.0.1:2")
    assert reader.run(Step("", "bash", f"echo {HTTP} {GRPC} $FORESTFLOW_URL\n")) == (
        "127.0.0.1:1 127.0.0.1:2 http://127.0.0.1:1\n"
    )


def test_blocks_are_found_with_their_outputs() -> None:
    text = (
        "```bash\none\n```\nprints\n```text\n1\n```\n<!-- not run by the test: why -->\n```bash\ntwo\n```\n"
        "<!-- run by the test as its server -->\n```bash\nserve\n```\n```python\nthree\n```\n"
    )
    found = [(step.program, step.output, step.is_server) for step in steps_of(text)]
    assert found == [("one\n", ("text", "1\n"), False), ("serve\n", None, True), ("three\n", None, False)]


@pytest.mark.parametrize(
    "text",
    [
        "```\nforestflow serve\n```\n",  # nameless
        "```sh\nforestflow serve\n```\n",
        "```text\n1\n```\n",  # what printed it?
        "```bash\none\n```\n```text\n1\n```\n```text\n2\n```\n",
        "<!-- not run by the test: why -->\n```bash\none\n```\n```text\n1\n```\n",  # shown and never checked
    ],
)
def test_no_block_is_passed_over(text: str) -> None:
    with pytest.raises(ValueError, match="line"):
        steps_of(text)
