"""The cost of a new model: a hundred swaps under load, bundles that must not be served, and a sweep of all users.

The updater is a process of its own (`python -m stream run`) on a real Kafka, with LMDB; readers ask for candidates in
this one. The two bundles have other items and another number of interests. Every answer is computed again from the
files of the bundle that it names.
"""

import re
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import psutil
import torch
import typer
from tqdm import tqdm

from benchmarks.harness.report import finish
from benchmarks.harness.workload import synthetic, trained_for_a_moment
from benchmarks.scenario.home import Home
from benchmarks.scenario.load import Load
from benchmarks.scenario.verdict import verdict
from benchmarks.scenario.world import World
from benchmarks.swap.catalogue import catalogue_swaps
from benchmarks.swap.figures import SwapFigures, print_report
from benchmarks.swap.probe import Probe
from benchmarks.swap.readers import Readers
from benchmarks.swap.stored_users import fill, left_old_of, warm_recommender
from index.recommend.recommender import Recommender
from model_export.bundle.bundle import Bundle
from model_export.bundle.extractor import Extractor
from model_export.bundle.registry import Registry
from model_export.bundle.serving import Serving
from model_export.evaluation.report import table
from testbed.bad_bundles import BAD_BUNDLES, copy_bundle
from testbed.real_kafka import RealKafka
from testbed.small_model import log_without_items
from testbed.stream_process import StreamProcess, wait_until

__all__ = ["main"]

EVENTS, USERS = 50_000, 2_000  # that the models are made from
LEFT_OUT = 1_000  # items of each model
CATALOGUE_SWAPS = 20
SETTLED = 3  # swaps after which memory is compared
BEFORE_S, QUICK_S = 20.0, 5.0
WITHIN_S = 600.0
SWEPT = re.compile(r"swept: capsules of (\d+) users are of model \S+ now; \d+ users were looked at in ([\d.]+) s")


def main(
    swaps: Annotated[int, typer.Option(help="How often another bundle becomes current.", min=4)] = 100,
    users: Annotated[int, typer.Option(help="How many users are swept.", min=100)] = 100_000,
    quick: Annotated[bool, typer.Option("--quick", help="10 swaps, 5,000 users.")] = False,
    items: Annotated[
        int | None, typer.Option(help="Swap bundles with so many items 20 times instead, without updater.", min=1_000)
    ] = None,
    over_http: Annotated[bool, typer.Option("--http", help="With --items: ask an API, not this process.")] = False,
    ranker: Annotated[
        str | None, typer.Option(help="With --items: rank the answers by this ranker.", show_default="none")
    ] = None,
) -> None:
    """Measure failed and mixed answers, lost events, latency and memory while models change."""
    torch.set_num_threads(1)
    for option, is_given in (("--http", over_http), ("--ranker", ranker is not None)):
        if is_given and items is None:
            raise typer.BadParameter("it needs --items", param_hint=option)
    if items is not None:
        _swap_catalogues(items, over_http, ranker)
        return
    swaps, users, before_s = (10, 5_000, QUICK_S) if quick else (swaps, users, BEFORE_S)
    figures = SwapFigures()
    with tempfile.TemporaryDirectory(prefix="mindstream-") as made, RealKafka() as kafka:
        bundles = _two_bundles(Path(made) / "bundles")
        world = World(kafka, bundles[0], Path(made))
        with world.home() as home:
            _swap_often(home, bundles, swaps, before_s, figures)
        with world.home() as home:
            _sweep_all(home, bundles, users, before_s, figures)
    print_report(figures.values, SETTLED)
    if any(figures.values[name] for name in ("failed", "mixed", "lost", "applied_twice", "bad_bundles_served")):
        raise typer.Exit(1)


def _swap_catalogues(items: int, over_http: bool, ranker: str | None) -> None:
    """Measure swaps of bundles with so many items."""
    found = catalogue_swaps(items, CATALOGUE_SWAPS, over_http, ranker)
    print(table(["figure", ""], list(found.items())))
    finish(found)
    if found["failed"] or found["mixed"]:
        raise typer.Exit(1)


def _two_bundles(folder: Path) -> list[Bundle]:
    """Train two bundles of one shop, each without some items, with four and three interests."""
    log = synthetic(EVENTS, USERS)
    items = log.items.item_id.tolist()
    _, first = trained_for_a_moment(log_without_items(log, items[:LEFT_OUT]), folder, num_interests=4)
    _, second = trained_for_a_moment(log_without_items(log, items[-LEFT_OUT:]), folder, num_interests=3)
    return [first, second]


def _offer(home: Home, bundles: Sequence[Bundle]) -> Registry:
    """Publish both; the first is current."""
    registry = Registry(home.settings.models)
    registry.publish(bundles[1].path)
    registry.point_to(bundles[0].version)
    return registry


def _swap_often(home: Home, bundles: Sequence[Bundle], swaps: int, before_s: float, figures: SwapFigures) -> None:
    """Swap models under load, and offer bundles that must not be served."""
    registry = _offer(home, bundles)
    by_version = {bundle.version: bundle for bundle in bundles}
    serving = Serving(registry, lambda bundle: warm_recommender(bundle, home.store))
    with home.run() as command, serving, Load(home) as load, Readers(serving, home.store, by_version) as readers:
        with Probe(home) as probe:
            home.applies_more_than(0)
            _rest(before_s, readers, probe, figures, "before")
            _swap(registry, [bundle.version for bundle in bundles], swaps, readers, load, command, figures)
            figures.note("answer_during", readers.took_s)
            figures.note("stored_during", probe.took_s)
            figures.values["bad_bundles_served"] = _refuse_all(registry, bundles[1], serving, command)
        load.stop()
        home.catches_up()
        last = bundles[swaps % 2].version
        wait_until(lambda: not left_old_of(home.store, last), "all users are of the last model")
        found = verdict(home, load.acknowledged + probe.sent, undisturbed=False)
        command.end()
    figures.values |= {"failed": readers.failed, "mixed": readers.mixed, "answers": readers.answered, **found}
    figures.over("p99_during_over_p99_before", "answer_during_p99_ms", "answer_before_p99_ms")


def _rest(seconds: float, readers: Readers, probe: Probe, figures: SwapFigures, when: str) -> None:
    """Let everything go on for a while, and note how long answers and events take."""
    time.sleep(2.0)  # to warm up
    readers.took_s.clear()
    probe.took_s.clear()
    time.sleep(seconds)
    figures.note(f"answer_{when}", readers.took_s)
    figures.note(f"stored_{when}", probe.took_s)
    readers.took_s.clear()
    probe.took_s.clear()


def _swap(
    registry: Registry,
    versions: Sequence[str],
    swaps: int,
    readers: Readers,
    load: Load,
    command: StreamProcess,
    figures: SwapFigures,
) -> None:
    """Point to one and the other, each time until readers and updater have taken it over."""
    pids = {"readers": psutil.Process().pid, "updater": command.process.pid}
    took_s, settled = [], dict.fromkeys(pids, 0.0)
    for number in tqdm(range(1, swaps + 1), desc="swapping", unit="swap"):
        version = versions[number % 2]
        readers.users = max(200, load.acknowledged // 40)
        readers.wait_for(version)
        flipped = time.monotonic()
        registry.point_to(version)
        wait_until(lambda: readers.first_at, f"an answer of {version}")
        took_s.append(readers.first_at - flipped)
        wait_until(partial(_has_taken_over, command, number), f"the updater takes {version} over")
        if number == SETTLED:
            settled = {name: _resident_mb(pid) for name, pid in pids.items()}
    figures.note("flip_to_first_answer", took_s)
    grown = {name: _resident_mb(pid) / settled[name] for name, pid in pids.items()}
    figures.values |= {f"rss_growth_{name}": value for name, value in grown.items()}
    figures.values |= {"rss_growth": max(grown.values()), "swaps": swaps}


def _taken_over(command: StreamProcess) -> int:
    """Count how often the updater says that it works with another model."""
    return command.said.count("capsules are of model")


def _has_taken_over(command: StreamProcess, times: int) -> bool:
    """Tell whether the updater has taken over so many models."""
    return _taken_over(command) == times


def _has_refused(serving: Serving[Recommender], version: str) -> bool:
    """Tell whether a version is the one that was refused last."""
    return serving.refusal is not None and serving.refusal.version == version


def _resident_mb(pid: int) -> float:
    """Measure resident memory, without the pages of the store's file.

    That file grows with its users.
    """
    maps = psutil.Process(pid).memory_maps(grouped=True)
    return sum(one.rss for one in maps if not one.path.endswith("data.mdb")) / 1e6


def _refuse_all(registry: Registry, good: Bundle, serving: Serving[Recommender], command: StreamProcess) -> int:
    """Point to bundles that must not be served, one after the other; return how many were."""
    version, taken, served = serving.version, _taken_over(command), 0
    for kind, bad in tqdm(BAD_BUNDLES.items(), desc="bad bundles", unit="bundle"):
        name = f"bad-{kind.replace(' ', '-')}"
        bad.spoil(copy_bundle(good, registry.folder / name))
        registry.point_to(name)
        command.says(f"bundle {name} is refused, {version} goes on: ")
        wait_until(partial(_has_refused, serving, name), f"{name} is refused")
        served += serving.version != version or _taken_over(command) != taken
    registry.point_to(version)
    return served


def _sweep_all(home: Home, bundles: Sequence[Bundle], users: int, before_s: float, figures: SwapFigures) -> None:
    """Let many users of the first model be swept when the second one becomes current."""
    registry = _offer(home, bundles)
    fill(home.store, Extractor(bundles[0]), users)
    with home.run() as command, Load(home) as load, Probe(home) as probe:
        wait_until(lambda: probe.took_s, "the first event is stored")
        time.sleep(2.0 + before_s / 4)
        probe.took_s.clear()
        time.sleep(before_s)
        figures.note("stored_before_sweep", probe.took_s)
        probe.took_s.clear()
        registry.point_to(bundles[1].version)
        command.says("swept: capsules of", WITHIN_S)
        figures.note("stored_during_sweep", probe.took_s)
        load.stop()
    swept, seconds = SWEPT.findall(command.said)[0]
    figures.values |= {"swept": int(swept), "sweep_users_per_s": int(swept) / float(seconds)}
    figures.over("sweep_p99_during_over_p99_before", "stored_during_sweep_p99_ms", "stored_before_sweep_p99_ms")
