"""The counts of an archiver, as Prometheus reads them, beside those of every reader of the topic."""

from collections import Counter as Counts

from prometheus_client import Counter

from stream.monitoring.metrics import Metrics

__all__ = ["FILES", "ROWS", "ArchiveMetrics"]

ROWS = ("archived", "forgotten", "forgotten_before", "erased", "too_old", "unreadable", "read_again", "left_to_others")
FILES = ("written", "merged", "rewritten", "removed")


class ArchiveMetrics(Metrics):
    """The metrics of one archiver, in a registry of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._rows = Counter(
            "mindstream_archive_events",
            "Events of the archive, by what became of them.",
            ["result"],
            registry=self.registry,
        )
        self._files = Counter(
            "mindstream_archive_files", "Files of the archive, by what was done.", ["what"], registry=self.registry
        )
        self._unreadable = Counter(
            "mindstream_archive_unreadable",
            "Records that were no events, by reason.",
            ["reason"],
            registry=self.registry,
        )
        self.archive_counts: Counts[str] = Counts()
        self.reasons: Counts[str] = Counts()
        for name in ROWS:
            self._rows.labels(name)
        for name in FILES:
            self._files.labels(name)

    def rows(self, result: str, number: int) -> None:
        """Count events of one result (of ROWS)."""
        self._rows.labels(ROWS[ROWS.index(result)]).inc(number)
        self.archive_counts[result] += number

    def files(self, what: str, number: int = 1) -> None:
        """Count files with which one thing (of FILES) was done."""
        self._files.labels(FILES[FILES.index(what)]).inc(number)
        self.archive_counts[f"files_{what}"] += number

    def unreadable(self, reason: str, number: int) -> None:
        """Count records that were no events, for one reason (of BadEventError)."""
        self._unreadable.labels(reason).inc(number)
        self.reasons[reason] += number
        self.rows("unreadable", number)

    @property
    def said(self) -> dict[str, int]:
        """Return what has happened so far, without what has not, for the log."""
        lost = {"lost": self.counts["lost"]} if self.counts["lost"] else {}
        by_reason = {f"unreadable ({reason})": number for reason, number in self.reasons.items()}
        others = {name: number for name, number in self.archive_counts.items() if number and name != "unreadable"}
        return others | by_reason | lost
