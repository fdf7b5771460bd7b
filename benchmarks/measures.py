"""What the table shows: for each measure the figures it needs, how they make one number, and what we promised."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

Round = Mapping[str, float]

COMPOSED = ("ray-direct.rate", "ray-batched.rate", "ray-haproxy.rate")


@dataclass(frozen=True, slots=True)
class Measure:
    """One line of the table. ``number`` is taken within each round, so that drift of the machine cancels."""

    name: str
    title: str
    needs: tuple[str, ...]
    number: Callable[[Round], float]
    show: Callable[[Round], str]
    target: float | None = None
    stretch: float | None = None
    lower_is_better: bool = False
    unit: str = ""

    def verdict(self, value: float) -> str:
        """How ``value`` stands to target and stretch."""
        if self.stretch is not None and self._reaches(value, self.stretch):
            return "stretch met"
        if self.target is None:
            return "reported"
        return "met" if self._reaches(value, self.target) else "MISSED"

    def bound(self, limit: float | None) -> str:
        """A target in words."""
        return "" if limit is None else f"{'≤' if self.lower_is_better else '≥'} {limit:g}{self.unit}"

    def _reaches(self, value: float, limit: float) -> bool:
        return value <= limit if self.lower_is_better else value >= limit


@dataclass(frozen=True, slots=True)
class Result:
    """A measure over all rounds: median, extremes, and the figures of the median round in words."""

    measure: Measure
    value: float
    low: float
    high: float
    shown: str


def results(measures: Sequence[Measure], rounds: Sequence[Round]) -> list[Result | Measure]:
    """Each measure's result, or the measure itself where no round has what it needs."""
    found: list[Result | Measure] = []
    for measure in measures:
        usable = [each for each in rounds if all(_present(need, each) for need in measure.needs)]
        if not usable:
            found.append(measure)
            continue
        numbers = [measure.number(each) for each in usable]
        medians = {key: median(each[key] for each in usable if key in each) for each in usable for key in each}
        found.append(Result(measure, median(numbers), min(numbers), max(numbers), measure.show(medians)))
    return found


def _present(need: str, figures: Round) -> bool:
    return any(key in figures for key in COMPOSED) if need in COMPOSED else need in figures


def _composed(figures: Round) -> float:
    return max(figures[key] for key in COMPOSED if key in figures)


def _throughput(name: str, title: str, other: str, target: float | None, stretch: float | None = None) -> Measure:
    return Measure(
        name,
        title,
        ("ours.rate", other),
        lambda r: r["ours.rate"] / r[other],
        lambda r: f"{r['ours.rate']:,.0f}/s ÷ {r[other]:,.0f}/s",
        target,
        stretch,
    )


def _single(name: str, title: str, key: str, target: float | None, stretch: float | None, unit: str) -> Measure:
    digits = 0 if unit == " MB" else 2
    return Measure(
        name, title, (key,), lambda r: r[key], lambda r: f"{r[key]:,.{digits}f}{unit}", target, stretch, True, unit
    )


MEASURES: tuple[Measure, ...] = (
    _throughput("throughput", "score of 2 rows, 16 connections ÷ bare uvicorn echo", "floor.rate", 0.40, 0.50),
    Measure(
        "ray",
        "the same ÷ Ray Serve, FastAPI ingress + deployment (best of three)",
        ("ours.rate", *COMPOSED),
        lambda r: r["ours.rate"] / _composed(r),
        lambda r: f"{r['ours.rate']:,.0f}/s ÷ {_composed(r):,.0f}/s",
        10,
        14,
    ),
    _throughput("ray-single", "the same ÷ Ray Serve, scoring inside the ingress", "ray-single.rate", None),
    _throughput("mlserver", "the same ÷ MLServer 1.7, iris, 1 row", "mlserver.rate", 7),
    _throughput("bentoml", "the same ÷ BentoML 1.4, iris, 1 row", "bentoml.rate", 10),
    Measure(
        "latency",
        "p50 at 1 connection ÷ the echo's",
        ("ours.p50_alone", "floor.p50_alone"),
        lambda r: r["ours.p50_alone"] / r["floor.p50_alone"],
        lambda r: f"{r['ours.p50_alone'] * 1e6:,.0f} µs ÷ {r['floor.p50_alone'] * 1e6:,.0f} µs",
        4,
        2.5,
        True,
    ),
    Measure(
        "tail",
        "p99 ÷ p50 at 16 connections",
        ("ours.rate", "ours.tail"),
        lambda r: r["ours.tail"],
        lambda r: f"p99 {r['ours.p99'] * 1e3:.2f} ms",
        4,
        2.5,
        True,
    ),
    Measure(
        "batch",
        "10,000-row JSON batch, rows/s ÷ plain Java score0 loop",
        ("ours.batch_rows", "java.rows"),
        lambda r: r["ours.batch_rows"] / r["java.rows"],
        lambda r: f"{r['ours.batch_rows']:,.0f} ÷ {r['java.rows']:,.0f} rows/s",
        0.35,
        0.6,
    ),
    Measure(
        "plan",
        "Plan of 1,000 contracts of 8 releases ÷ Plan of one",
        ("plan.rate", "plan-of-one.rate"),
        lambda r: r["plan.rate"] / r["plan-of-one.rate"],
        lambda r: f"{r['plan.rate']:,.0f}/s ÷ {r['plan-of-one.rate']:,.0f}/s",
        0.95,
    ),
    Measure(
        "decisions",
        "releases chosen among 8 by one core, weights moving every 1,000",
        ("decisions.moving", "decisions.steady"),
        lambda r: r["decisions.moving"],
        lambda r: f"steady {r['decisions.steady']:,.0f}/s; memory + {r['decisions.grown_kib']:,.0f} KiB",
        500_000,
        unit="/s",
    ),
    Measure(
        "policies",
        "policies of 1,000 contracts of 8 releases looked at",
        ("policies.ms",),
        lambda r: r["policies.ms"],
        lambda r: f"{r['policies.ms']:,.0f} ms",
        250,
        lower_is_better=True,
        unit=" ms",
    ),
    Measure(
        "shadow",
        "users' p99 at 1,000/s with one shadow of equal cost ÷ without",
        ("shadow.p99", "shadow.p99_alone"),
        lambda r: r["shadow.p99"] / r["shadow.p99_alone"],
        lambda r: f"{r['shadow.p99'] * 1e3:.2f} ÷ {r['shadow.p99_alone'] * 1e3:.2f} ms",
        1.3,
        lower_is_better=True,
    ),
    Measure(
        "big-shadow",
        "users' p99 while their replica shades 100,000-row batches ÷ while it does not",
        ("big-shadow.shading_p99", "big-shadow.beside_p99"),
        lambda r: r["big-shadow.shading_p99"] / r["big-shadow.beside_p99"],
        lambda r: f"{r['big-shadow.shading_p99'] * 1e3:.1f} ÷ {r['big-shadow.beside_p99'] * 1e3:.1f} ms",
        1.5,
        lower_is_better=True,
    ),
    Measure(
        "big-shadow-delay",
        "the worst single delay by it",
        ("big-shadow.shading_worst", "big-shadow.beside_worst"),
        lambda r: (r["big-shadow.shading_worst"] - r["big-shadow.beside_worst"]) * 1e3,
        lambda r: f"{r['big-shadow.shading_worst'] * 1e3:.1f} - {r['big-shadow.beside_worst'] * 1e3:.1f} ms",
        15,
        lower_is_better=True,
        unit=" ms",
    ),
    _single("start", "`forestflow serve` to `/ready`", "ours.ready", 15, 8, " s"),
    _single("deploy", "deploy of the example to first answer", "ours.deploy", 5, 2, " s"),
    _single("recovery", "one replica again after `kill -9`", "ours.recovery", 5, 2, " s"),
    _single("memory", "memory, server idle", "ours.idle_mb", None, 900, " MB"),
    _single("replica-memory", "memory, each further H2O replica", "ours.replica_mb", None, 250, " MB"),
)
