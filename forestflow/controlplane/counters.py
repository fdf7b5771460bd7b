"""What each release scored, shaded and dropped: written through to the journal, each router's report counted once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from forestflow.controlplane.journal import Journal
from forestflow.domain.ids import Fqrv
from forestflow.domain.reports import Counts

NOTHING = Counts()


class Counters:
    """Counts in memory equal those in the journal at any time."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._counts: dict[Fqrv, Counts] = {}
        self._reported: dict[str, int] = {}

    def load(self, releases: Iterable[Fqrv]) -> None:
        """Take over what the journal has of these releases."""
        by_name = {str(fqrv): fqrv for fqrv in releases}
        self._counts = {by_name[name]: count for name, count in self._journal.counters().items() if name in by_name}
        self._reported = self._journal.reporters()

    def of(self, fqrv: Fqrv) -> Counts:
        """All that was counted of a release."""
        return self._counts.get(fqrv, NOTHING)

    def add(self, reporter: str, number: int, counts: Mapping[Fqrv, Counts], exists: Callable[[Fqrv], bool]) -> None:
        """Add a router's report, unless a report of this number was added before. Raises StorageFailed.

        It is written before it is acknowledged, so no count is lost with this process, and none counts twice.
        """
        if self._reported.get(reporter, 0) >= number:
            return
        fresh = {fqrv: self.of(fqrv) + count for fqrv, count in counts.items() if exists(fqrv)}
        self._journal.save_counters({str(fqrv): count for fqrv, count in fresh.items()}, reporter, number)
        self._reported[reporter] = number
        self._counts.update(fresh)

    def forget(self, fqrv: Fqrv) -> None:
        """A release is gone, and from the journal too; one of the same name would start from nothing."""
        self._counts.pop(fqrv, None)
