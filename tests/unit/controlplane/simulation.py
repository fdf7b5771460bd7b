"""Random command sequences to a registry, beside a plain-dict model of what must come of them.

Clock, hosts and artifacts are deterministic and in memory, the journal is a real one (SQLite in memory), and the
registry may crash and replay it at any point. ``run(seed)`` raises AssertionError with the first difference.

The model knows the documented rules and none of the code: its policies are written out again, naively.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from pathlib import Path

from sqlalchemy.pool import StaticPool

from forestflow.controlplane.journal import Journal
from forestflow.controlplane.registry import Registry
from forestflow.domain import settings as s
from forestflow.domain import versions as v
from forestflow.domain.errors import ArtifactRejected, ForestFlowError
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.metrics import MetricReport, Sample
from forestflow.domain.policies.expiration import KeepAll, KeepLatest, KeepTopRanked, MaxAge
from forestflow.domain.policies.phase_in import ImmediatePhaseIn, LinearTimeBasedPhaseIn, ManualPhaseIn
from forestflow.domain.policies.routers import FairPhaseInPctBasedRouter, LatestPhaseInPctBasedRouter
from forestflow.domain.policies.validity import (
    ImmediatelyValid,
    MinServedEventsBasedValidity,
    NeverValid,
    PerformanceBasedValidity,
    TimeBasedValidity,
)
from forestflow.domain.reports import Counts
from forestflow.domain.requests import H2OMojo, ServeRequest
from forestflow.settings.sections import RegistrySettings
from tests.unit.controlplane.test_registry import FakeHosts

CONTRACTS = [Contract("o", "p", n) for n in range(2)]
RELEASES = ["a", "b", "c", "2"]  # the last like a version


class Disk:
    """Base directories: ``bases[base]`` is the content by version ("" of an empty one), or ``None``: unreadable."""

    def __init__(self):
        self.bases = {f"file:///{number}": {} for number in range(len(CONTRACTS))}

    def look(self, watch, unread):
        base = self.bases[watch.path]
        if base is None:
            raise ArtifactRejected("gone")
        new = unread(list(base))
        return {version: (content or None) if version in new else None for version, content in base.items()}


class Artifacts:
    """An artifact store that holds anything but versions whose content says that they are broken."""

    def __init__(self, disk):
        self.disk = disk

    threads = None  # the loop's own

    def add(self, source, flavor, **_):
        base, _, version = source.rpartition("/")
        if "broken" in (self.disk.bases.get(base) or {}).get(int(version) if version.isdigit() else -1, ""):
            raise ArtifactRejected("broken")
        return flavor.mojo_path

    def path(self, digest):
        return Path(__file__)

    def keep_only(self, digests):
        pass

    def remove(self, digest):
        pass


def fresh(settings):
    return {"settings": settings, "releases": {}, "watch": None, "taken": set(), "before": {}, "failures": {}}


class Model:
    """What should be: ``contracts[contract] = {"settings", "releases": {name: {...}}}``."""

    def __init__(self):
        self.contracts = {}

    def outcome(self, command, *arguments):
        """The name of the refusal, or ``None``; and what changed."""
        return getattr(self, command)(*arguments)

    def create(self, contract, settings, now):
        if contract in self.contracts:
            return "ContractValidationError"
        self.contracts[contract] = fresh(settings)
        return None

    def update(self, contract, settings, now):
        if contract not in self.contracts:
            return "UnknownContract"
        self.contracts[contract]["settings"] = settings
        self.look(contract, now)
        return None

    def deploy(self, contract, name, settings, now):
        known = self.contracts.setdefault(contract, fresh(s.ContractSettings()))
        if name in known["releases"]:
            return "ServableAlreadyExists"
        known["releases"][name] = {
            "settings": settings, "created": now, "valid": None, "events": 0, "samples": {}, "version": False,
        }  # fmt: skip
        self.look(contract, now)
        return None

    # --- version directories ---

    def watch(self, contract, policy, settings, readable, now):
        if not readable:
            return "ArtifactRejected"
        known = self.contracts.setdefault(contract, fresh(s.ContractSettings()))
        if known["watch"] is None or known["watch"]["settings"] != settings:
            known["before"], known["failures"] = {}, {}
        known["watch"] = {"policy": policy, "settings": settings}
        known["taken"] |= {int(n) for n, r in known["releases"].items() if r["version"]}
        self.look(contract, now)
        return None

    def change_watch(self, contract, policy, now):
        if contract not in self.contracts:
            return "UnknownContract"
        if self.contracts[contract]["watch"] is None:
            return "NotWatched"
        self.contracts[contract]["watch"]["policy"] = policy
        self.look(contract, now)
        return None

    def unwatch(self, contract, now):
        if contract not in self.contracts:
            return "UnknownContract"
        if self.contracts[contract]["watch"] is None:
            return "NotWatched"
        self.contracts[contract] |= {"watch": None, "taken": set(), "before": {}, "failures": {}}
        self.look(contract, now)
        return None

    def look_at_versions(self, contract, directory, now):
        """One look at a directory that can be read: retire and forget first, then deploy one version."""
        known = self.contracts[contract]
        watch, releases, taken = known["watch"], known["releases"], known["taken"]
        policy, numbers = watch["policy"], sorted(directory)
        match type(policy).__name__:
            case "LatestVersions":
                wanted = set(numbers[-policy.count :])
            case "AllVersions":
                wanted = set(numbers)
            case "SpecificVersions":
                wanted = set(numbers) & set(policy.versions)
        ours = {int(n) for n, r in releases.items() if r["version"]}
        foreign = {int(n) for n, r in releases.items() if n.isdigit() and not r["version"]}
        seen = {n: (directory[n] or None) if n in wanted - ours else None for n in numbers}
        before, known["before"] = known["before"], seen

        leaving = {str(n) for n in ours - wanted}
        answered = any(r["valid"] is not None for n, r in releases.items() if n not in leaving)
        unheard = wanted - ours - taken - foreign
        retired = {n for n in ours - wanted if answered and (n not in directory or not unheard)}
        kept = ours - wanted - retired

        def pausing(n):
            content, count, at = known["failures"].get(n, ("", 0, 0))
            return content == seen[n] and now < at + min(300_000, 5_000 * 2 ** (count - 1))

        revived = {n for n in wanted & taken if not pausing(n)} if kept and not wanted & ours else set()
        candidates = [
            n
            for n in sorted(wanted - ours - foreign)
            if (n not in taken or n == max(revived, default=None))
            and seen[n] is not None
            and seen[n] == before.get(n)
            and not pausing(n)
        ]
        forgotten = retired | (taken - ours - wanted)
        if forgotten:
            for n in retired:
                del releases[str(n)]
            known["taken"] = taken - forgotten
            self.look(contract, now)
        if candidates:
            self.deploy_version(contract, candidates[0], seen[candidates[0]], now)

    def deploy_version(self, contract, number, content, now):
        known = self.contracts[contract]
        if "broken" in content:
            before = known["failures"].get(number, ("", 0, 0))
            known["failures"][number] = (content, before[1] + 1 if before[0] == content else 1, now)
            return
        known["failures"].pop(number, None)
        known["taken"].add(number)
        self.deploy(contract, str(number), known["watch"]["settings"], now)
        if str(number) in known["releases"]:
            known["releases"][str(number)]["version"] = True

    def restarted(self):
        for known in self.contracts.values():
            known["before"], known["failures"] = {}, {}

    def delete(self, contract, name, now):
        known = self.contracts.get(contract)
        if known and name in known["releases"]:
            del known["releases"][name]
            if known["releases"]:
                self.look(contract, now)
            else:
                del self.contracts[contract]
        return

    def policy(self, contract, name, policy, now):
        release = self.contracts.get(contract, {"releases": {}})["releases"].get(name)
        if release is None:
            return "UnknownServable"
        rules_changed = release["settings"].policy_settings.validity_policy != policy.validity_policy
        release["settings"] = replace(release["settings"], policy_settings=policy)
        if rules_changed and not self.holds(contract, release, now):
            release["valid"] = None
        self.look(contract, now)
        return None

    def metric(self, contract, name, values, now):
        release = self.contracts.get(contract, {"releases": {}})["releases"].get(name)
        if release is None:
            return "UnknownServable"
        release["samples"]["auc"] = [*release["samples"].get("auc", []), *values]
        self.look(contract, now)
        return None

    def served(self, contract, name, count, now):
        release = self.contracts.get(contract, {"releases": {}})["releases"].get(name)
        if release is not None:
            release["events"] += count
        return

    # --- the rules, written out again ---

    def auc(self, contract, release):
        values = release["samples"].get("auc")
        window = self.contracts[contract]["settings"].metrics.window
        return None if not values else sum(values[-window:]) / len(values[-window:])

    def holds(self, contract, release, now):
        for rule in release["settings"].policy_settings.validity_policy:
            kind = type(rule).__name__
            if kind == "NeverValid":
                return False
            if kind == "TimeBasedValidity" and now < release["created"] + rule.valid_after_ms:
                return False
            if kind == "MinServedEventsBasedValidity" and release["events"] < rule.valid_after_min_served_events:
                return False
            if kind == "PerformanceBasedValidity":
                auc = self.auc(contract, release)
                if auc is None or auc < rule.min_threshold:
                    return False
        return True

    def look(self, contract, now):
        """Validity first, then expiry."""
        known = self.contracts[contract]
        for release in known["releases"].values():
            if release["valid"] is None and self.holds(contract, release, now):
                release["valid"] = now
        valid = [(n, r) for n, r in known["releases"].items() if r["valid"] is not None]
        newest_first = sorted(valid, key=lambda x: (-x[1]["valid"], -x[1]["created"], x[0]))
        policy = known["settings"].expiration_policy
        kind = type(policy).__name__
        gone = []
        if kind == "KeepLatest":
            gone = newest_first[policy.servables_to_keep :]
        elif kind == "MaxAge":
            gone = [x for x in newest_first[1:] if now - x[1]["valid"] >= policy.max_age_secs * 1000]
        elif kind == "KeepTopRanked":
            best_first = sorted(
                newest_first,
                key=lambda x: -self.auc(contract, x[1]) if self.auc(contract, x[1]) is not None else float("inf"),
            )
            gone = best_first[policy.servables_to_keep :]
        for name, _ in gone:
            del known["releases"][name]

    def percent(self, release, now):
        if release["valid"] is None:
            return 0
        policy = release["settings"].policy_settings.phase_in_policy
        kind = type(policy).__name__
        age = now - release["valid"]
        if kind == "ManualPhaseIn":
            return policy.percent
        if kind == "LinearTimeBasedPhaseIn":
            return int(min(100, age / 1000 / policy.phase_in_over_secs * 100))
        return 100

    def weights(self, contract, now):
        """Shares by name, of those that get any."""
        known = self.contracts[contract]
        valid = {n: r for n, r in known["releases"].items() if r["valid"] is not None}
        if type(known["settings"].router).__name__ == "LatestPhaseInPctBasedRouter":
            newest = sorted(valid, key=lambda n: (-valid[n]["valid"], -valid[n]["created"], n))
            phasing_in = newest and self.percent(valid[newest[0]], now) < 100
            newest = newest[: 2 if phasing_in else 1]
            valid = {n: valid[n] for n in newest}
        percents = {n: self.percent(r, now) for n, r in valid.items()}
        total = sum(percents.values())
        if not total:
            return {n: 1 / len(percents) for n in percents}
        return {n: p / total for n, p in percents.items() if p}


def random_contract_settings(dice):
    expiry = dice.choice([KeepLatest(dice.randint(1, 3)), KeepAll(), MaxAge(dice.randint(1, 60)),
                          KeepTopRanked(dice.randint(1, 3), "auc")])  # fmt: skip
    router = dice.choice([FairPhaseInPctBasedRouter(), LatestPhaseInPctBasedRouter()])
    return s.ContractSettings(expiry, router, metrics=s.MetricSettings("auc", window=dice.randint(1, 3)))


def random_policy(dice):
    rules = dice.sample(
        [ImmediatelyValid(), NeverValid(), TimeBasedValidity(dice.randint(0, 20_000)),
         MinServedEventsBasedValidity(dice.randint(0, 30)),
         PerformanceBasedValidity(dice.choice([0.25, 0.5, 0.75]))],
        dice.choice([0, 1, 1, 1, 2]),
    )  # fmt: skip
    phase = dice.choice([ImmediatePhaseIn(), LinearTimeBasedPhaseIn(dice.randint(1, 40)),
                         ManualPhaseIn(dice.randint(0, 100))])  # fmt: skip
    return s.PolicySettings(tuple(rules), phase)


def random_versions(dice):
    return dice.choice([v.LatestVersions(dice.randint(1, 2)), v.AllVersions(),
                        v.SpecificVersions(tuple(dice.sample(range(1, 5), 2)))])  # fmt: skip


class Run:
    """One sequence: the registry, the model, the dice and the clock."""

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.now = 1_000_000
        self.journal = Journal("sqlite://", poolclass=StaticPool)
        self.hosts = FakeHosts()
        self.model = Model()
        self.disk = Disk()
        self.reports = 0

    async def start(self):
        self.registry = Registry(
            self.journal,
            Artifacts(self.disk),
            self.hosts,
            RegistrySettings(load_timeout_seconds=5),
            lambda: self.now,
            self.disk,
        )
        self.registry._versions._keep_looking = self.registry._versions.tried = no_looks
        await self.registry.start()
        self.registry._ticker.cancel()  # the sequence decides when the policies are looked at

    async def crash(self):
        for task in list(self.registry._replicas._tasks):
            task.cancel()
        await asyncio.sleep(0)
        self.model.restarted()
        await self.start()

    async def step(self):
        dice, now = self.dice, self.now
        contract, name = dice.choice(CONTRACTS), dice.choice(RELEASES)
        fqrv = Fqrv(contract, name)
        match dice.choice(["create", "update", "deploy", "deploy", "delete", "policy", "metric", "served", "time",
                           "time", "watch", "watch", "change", "unwatch", *["disk"] * 6, *["look"] * 6,
                           "crash"]):  # fmt: skip
            case "create":
                settings = random_contract_settings(dice)
                await self.compare("create", self.registry.create_contract(contract, settings), contract, settings, now)
            case "update":
                settings = random_contract_settings(dice)
                await self.compare("update", self.registry.update_contract(contract, settings), contract, settings, now)
            case "deploy":
                settings = s.ServableSettings(random_policy(dice))
                request = ServeRequest("file:///m", fqrv, H2OMojo(f"{name}.zip"), settings)
                await self.compare("deploy", self.registry.deploy(request), contract, name, settings, now)
            case "delete":
                await self.compare("delete", self.registry.delete(fqrv), contract, name, now)
            case "policy":
                policy = random_policy(dice)
                await self.compare(
                    "policy", self.registry.update_servable(fqrv, policy, None), contract, name, policy, now
                )
            case "metric":
                values = [dice.choice([0.0, 0.25, 0.5, 1.0]) for _ in range(dice.randint(1, 3))]
                report = MetricReport("auc", tuple(Sample(v, now) for v in values))
                await self.compare("metric", self.registry.report_metrics(fqrv, (report,)), contract, name, values, now)
            case "served":
                self.reports += 1
                counts = {fqrv: Counts(dice.randint(0, 10), dice.randint(0, 10))}
                for _ in range(dice.randint(1, 2)):  # an acknowledgement may be lost
                    await self.registry.report_counts("router", self.reports, counts)
                self.model.served(contract, name, counts[fqrv].scored + counts[fqrv].shaded, now)
            case "time":
                self.now += dice.choice([1, 500, 5_000, 30_000])
                for known in list(self.model.contracts):
                    self.model.look(known, self.now)
                    self.registry._evaluate(known)
            case "watch":
                policy, base = random_versions(dice), f"file:///{contract.contract_number}"
                settings = s.ServableSettings(random_policy(dice))
                request = v.WatchRequest(v.Watch(contract, base, H2OMojo("m.zip"), policy, servable_settings=settings))
                readable = self.disk.bases[base] is not None
                watched = self.registry.watch_versions(request)
                await self.compare("watch", watched, contract, policy, settings, readable, now)
            case "change":
                policy = random_versions(dice)
                changed = self.registry.update_versions(contract, policy, None)
                await self.compare("change_watch", changed, contract, policy, now)
            case "unwatch":
                await self.compare("unwatch", self.registry.unwatch_versions(contract), contract, now)
            case "disk":
                base, number = f"file:///{contract.contract_number}", dice.randint(1, 4)
                left = {n: text for n, text in (self.disk.bases[base] or {}).items() if n != number}
                content = dice.choice(["", "broken", "model", "model"])
                self.disk.bases[base] = dice.choice([None, left, left, *[left | {number: content}] * 6])
            case "look":
                watches = [c for c, known in self.model.contracts.items() if known["watch"]]
                for watched in watches * dice.randint(1, 5):
                    await self.registry._versions.look(watched)
                    await asyncio.gather(*self.registry._versions._watching[watched].tasks)
                    directory = self.disk.bases[f"file:///{watched.contract_number}"]
                    if directory is not None:
                        self.model.look_at_versions(watched, directory, now)
            case "crash":
                await self.crash()
        await asyncio.sleep(0)

    async def compare(self, command, answer, *arguments):
        expected = self.model.outcome(command, *arguments)
        try:
            await answer
            happened = None
        except ForestFlowError as error:
            happened = type(error).__name__
        assert happened == expected, f"{command}{arguments}: {happened}, expected {expected}"

    async def check(self):
        queries = self.registry.queries
        assert await queries.contracts() == sorted(self.model.contracts)
        for contract, known in self.model.contracts.items():
            assert await queries.contract_settings(contract) == known["settings"]
            plan = await queries.explain(contract)
            told = {r.fqrv.release_version: (r.became_valid_at_ms, r.phase_in_pct) for r in plan.releases}
            assert told == {n: (r["valid"], self.model.percent(r, self.now)) for n, r in known["releases"].items()}
            shares = {r.fqrv.release_version: r.share for r in plan.releases if r.weight}
            expected = self.model.weights(contract, self.now)
            assert shares.keys() == expected.keys(), (shares, expected)
            assert all(abs(shares[n] - expected[n]) < 1e-9 for n in shares), (shares, expected)
            if known["watch"] is None:
                continue
            report = await self.registry.versions(contract)
            assert report.watch.policy == known["watch"]["policy"]
            served = {str(x.version) for x in report.versions if x.state is v.VersionState.AVAILABLE}
            assert served == {n for n, r in known["releases"].items() if r["version"]}, report
            assert self.registry._state.contracts[contract].taken == known["taken"]


async def no_looks(*_):
    """The sequence decides when a directory is looked at, too."""


async def _run(seed, steps):
    run = Run(seed)
    await run.start()
    try:
        for number in range(steps):
            await run.step()
            try:
                await run.check()
            except AssertionError as difference:
                raise AssertionError(f"seed {seed}, step {number}: {difference}") from difference
    finally:
        await run.registry.stop()


def run(seed, steps=40):
    """Play one sequence; AssertionError names the seed and the step of the first difference."""
    asyncio.run(_run(seed, steps))
