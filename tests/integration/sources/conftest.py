"""What the tests of sources share: rules that list loopback, and a way to fetch."""

from __future__ import annotations

from dataclasses import replace

import pytest

from forestflow.artifacts.sources import transfer
from forestflow.artifacts.sources.fetching import fetch
from forestflow.artifacts.sources.rules import SourceRules


@pytest.fixture
def rules():
    schemes = ("file", "ssh", "git", "https", "http", "s3", "ftp", "gs", "hdfs", "abfss")
    return SourceRules(schemes, ("127.0.0.1", "localhost"), timeout_seconds=20, max_bytes=50_000_000)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    """No login of the machine's, and no long pauses."""
    monkeypatch.setattr(transfer, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def get(rules, tmp_path):
    """Fetch into a fresh folder; the Fetched, whose files are there until the test ends."""
    count = iter(range(100))

    def get(path, artifact, *, tag=None, report=lambda text: None, **changed):
        changed_rules = replace(rules, **changed)
        return fetch(path, artifact, tmp_path / f"fetched-{next(count)}", changed_rules, tag=tag, report=report)

    return get
