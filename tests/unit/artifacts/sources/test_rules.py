"""Which schemes, hosts and addresses a path may reach."""

from __future__ import annotations

import socket

import pytest

from forestflow.artifacts.sources.rules import SourceRules
from forestflow.domain.errors import ArtifactRejected


def rules(*hosts):
    return SourceRules(("https",), hosts, 10, 1000)


@pytest.fixture
def names(monkeypatch):
    """What names mean, in place of a resolver."""
    known = {"public.example.com": ["93.184.216.34"], "inside.example.com": ["10.0.0.7"]}
    known["both.example.com"] = ["93.184.216.34", "10.0.0.7"]

    def look_up(host, port, type):
        return [(socket.AF_INET, type, 6, "", (address, port)) for address in known.get(host, [host])]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


def test_schemes():
    rules().check_scheme("https")
    with pytest.raises(
        ArtifactRejected, match=r"'http' are not allowed here; allowed are https \(setting source_schemes"
    ):
        rules().check_scheme("http")


def test_a_listed_host_may_be_private_and_a_star_means_the_public_internet(names):
    assert rules("inside.example.com").address("inside.example.com", 443) == "10.0.0.7"
    assert rules("*.example.com").address("INSIDE.example.com.", 443)
    assert rules("*").address("public.example.com", 443) == "93.184.216.34"
    for host in ("inside.example.com", "both.example.com", "127.0.0.1", "::1", "169.254.169.254"):
        with pytest.raises(ArtifactRejected, match="private address"):
            rules("*").address(host, 443)
    for host in ("example.com", "public.example.com.evil.org", "xpublic.example.org"):
        with pytest.raises(ArtifactRejected, match=r"may not come from the host.*now \*\.example\.com"):
            rules("*.example.com").address(host, 443)
    with pytest.raises(ArtifactRejected, match="now empty"):
        rules().address("public.example.com", 443)
