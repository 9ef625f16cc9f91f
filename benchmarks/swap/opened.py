"""What a bundle costs a process that opens it: python -m benchmarks.swap.opened BUNDLE prints it as JSON."""

import json
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.harness.stalls import Stalls
from index.api.server import warm
from index.catalogue.catalogue import Catalogue
from index.recommend.recommender import Recommender
from index.search.index_files import open_index
from model_export.bundle.bundle import Bundle
from model_export.bundle.extractor import Extractor
from stream.store.lmdb_store import LmdbStore

__all__ = ["main", "private_mb"]


def private_mb() -> float:
    """Measure the memory of this process that no other shares, in 10^6 bytes.

    Pages of files that no other process has open count too, although they are the page cache's: so measure beside a
    process that has.
    """
    rollup = Path("/proc/self/smaps_rollup").read_text()
    return sum(int(kb) for kb in re.findall(r"^Private_\w+: +(\d+) kB$", rollup, flags=re.MULTILINE)) * 1_024 / 1e6


def main(path: Path, small: Path) -> None:
    """Open a bundle, and print seconds, megabytes and the stalls of each step.

    Parameters
    ----------
    small : opened before, to load all code.
    """
    with tempfile.TemporaryDirectory() as folder, LmdbStore(Path(folder)) as store:
        warm(Recommender(Bundle(small), store))
        bundle, stalls = Bundle(path), {}
        steps: dict[str, Callable[[], object]] = {
            "items": bundle.map_files,
            "index": lambda: open_index(bundle),
            "extractor": lambda: Extractor(bundle),
            "catalogue": lambda: Catalogue(bundle),
        }
        for name, step in steps.items():
            with Stalls() as ticking:
                step()
            stalls[name] = ticking.take_ms()
        started = time.monotonic()
        opened = Bundle(path)
        opened.map_files()
        recommender = Recommender(opened, store)
        open_s = time.monotonic() - started
        with Stalls() as ticking:
            warm(recommender)
        stalls["warm"] = ticking.take_ms()
        print(json.dumps({"open_s": open_s, "private_mb": private_mb(), "stalls_ms": stalls}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
