"""A simulation as something to draw: the shares of each release over time, and what happens when."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

# Okabe and Ito's colours, which colour-blind people can tell apart; they repeat from the ninth release on.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")


@dataclass(frozen=True, slots=True)
class Timeline:
    """Shares (0 to 1) of ``releases`` from each of ``times_ms`` on, until ``end_ms``; ``happens`` tells the rest."""

    releases: tuple[str, ...]
    times_ms: tuple[int, ...]
    shares: tuple[tuple[float, ...], ...]  # one per time, in the order of the releases
    happens: tuple[tuple[int, str], ...]
    end_ms: int

    @property
    def start_ms(self) -> int:
        return self.times_ms[0]

    def at(self, at_ms: float) -> tuple[float, ...]:
        """The shares at a moment from the start on."""
        return self.shares[bisect_right(self.times_ms, at_ms) - 1]


def timeline_of(simulation: Json, horizon_secs: int) -> Timeline:
    """Read a Simulation of this horizon, which has at least one point."""
    points = simulation["points"]
    names: dict[str, None] = {}
    for point in points:
        names |= dict.fromkeys([*_names(point, "valid"), *(_name(share["fqrv"]) for share in point.get("shares", []))])
    releases = tuple(names)
    shares, happens, before = [], [], set(_names(points[0], "valid"))
    for point in points:
        given = {_name(share["fqrv"]): share["share"] for share in point.get("shares", [])}
        shares.append(tuple(given.get(release, 0.0) for release in releases))
        at_ms, valid = int(point["atMS"]), _names(point, "valid")
        happens += [(at_ms, f"{release} becomes valid") for release in valid if release not in before]
        happens += [(at_ms, f"{release} expires") for release in _names(point, "expired")]
        before = set(valid)
    times = tuple(int(point["atMS"]) for point in points)
    return Timeline(releases, times, tuple(shares), tuple(happens), times[0] + horizon_secs * 1000)


def span(milliseconds: float) -> str:
    """A duration in its two largest units that are not zero, such as ``1h30m``."""
    left = round(milliseconds / 1000)
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        if left >= size or (unit == "s" and not parts):
            parts.append(f"{left // size}{unit}")
            left %= size
    return "".join(parts[:2])


def _names(point: Json, key: str) -> Sequence[str]:
    return [_name(fqrv) for fqrv in point.get(key, [])]


def _name(fqrv: Json) -> str:
    return str(fqrv["releaseVersion"])
