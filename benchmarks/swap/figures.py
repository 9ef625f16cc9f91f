"""The figures of swaps, by name, and how they are shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.harness.report import finish
from model_export.evaluation.report import table

__all__ = ["SwapFigures", "print_report"]


@dataclass
class SwapFigures:
    """Figures by name; times in milliseconds."""

    values: dict[str, float] = field(default_factory=dict)

    def note(self, name: str, took_s: Sequence[float]) -> None:
        """Note the median and the 99th percentile of times."""
        both = np.percentile(np.array(took_s) * 1_000, [50, 99]).tolist()
        self.values[f"{name}_p50_ms"], self.values[f"{name}_p99_ms"] = both

    def over(self, name: str, one: str, other: str) -> None:
        """Note how many times one figure is another."""
        self.values[name] = self.values[one] / self.values[other]


def print_report(found: Mapping[str, float], settled: int) -> None:
    """Print what was found, and all figures as the last line.

    Parameters
    ----------
    settled : swaps after which memory was compared.
    """
    ways = {
        "an answer": ("answer_before", "answer_during"),
        "an event to stored capsules": ("stored_before", "stored_during"),
        "the same, while users are swept": ("stored_before_sweep", "stored_during_sweep"),
    }
    rows = [
        (what, *(f"{found[f'{when}_{of}_ms']:.1f}" for of in ("p50", "p99") for when in both))
        for what, both in ways.items()
    ]
    print(f"\n{found['swaps']:.0f} swaps, {found['answers']:,.0f} answers\n")
    print(table(["ms", "p50 before", "during", "p99 before", "during"], rows))
    print(
        f"\nfrom the pointer to the first answer: {found['flip_to_first_answer_p50_ms']:.0f} ms (p50), "
        f"{found['flip_to_first_answer_p99_ms']:.0f} ms (p99)\n"
        f"swept: {found['swept']:,.0f} users, {found['sweep_users_per_s']:,.0f} a second\n"
        f"memory after all swaps, times that after {settled}: readers {found['rss_growth_readers']:.2f}, "
        f"updater {found['rss_growth_updater']:.2f}"
    )
    finish({**found, "flip_to_first_answer_ms": found["flip_to_first_answer_p50_ms"]})
