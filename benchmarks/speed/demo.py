"""The demo as a visitor meets it: start to page, and click to other recommendations on the screen, in a real browser.

Also what it costs where nothing happens, with the page open and without. The page runs in Chromium beside the demo, on
a home of its own with the present model, or one that is trained for it.
"""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import numpy as np
import psutil
import typer
from playwright.sync_api import Browser, Page, sync_playwright
from tqdm import tqdm

from benchmarks.harness.report import finish
from mindstream import settings
from testbed import system_packages
from testbed.demo_process import prepared, running_demo

__all__ = ["home_in", "idle_percent", "main", "processor_s", "report"]

SIZE = {"width": 1400, "height": 1000}
PAGE_MS = 120_000
SECONDS_MS = 30_000
WARM_UP = 5  # clicks that do not count
IDLE_S = 20.0
CALM_AFTER_S = 5.0  # what a click has started is over by then
PAUSE_MS = 300  # between clicks; nobody clicks faster for long
COLOURS = 256  # of a picture; 100 kB is the most that git is given
PARTS_OF_A_HOME = ("models", "models-one", "log.parquet")

# Presses a product of the catalogue and waits until the text of the shelves is another one in a painted frame: ms.
CLICK = """(number) => new Promise((done) => {
  const shown = () => document.querySelector(".ms-panel")?.innerText
  const button = document.querySelectorAll(".st-key-shop .ms-look")[number]
  const before = shown(), start = performance.now()
  const look = () => shown() !== before ? requestAnimationFrame(() => done(performance.now() - start))
    : performance.now() - start > 10000 ? done(null) : requestAnimationFrame(look)
  button.click()
  look()
})"""


def main(
    clicks: Annotated[int, typer.Option(help="Clicks that are timed.", min=1)] = 100,
    pictures: Annotated[Path | None, typer.Option(help="Write the README's pictures into this folder instead.")] = None,
) -> None:
    """Start to page, and click to visibly changed recommendations, in Chromium."""
    with tempfile.TemporaryDirectory() as folder, _browser() as chromium:
        home = home_in(Path(folder))
        started = time.perf_counter()
        with running_demo(home) as demo:
            page = chromium.new_page(viewport=SIZE)  # type: ignore[arg-type]
            _open_page(page, demo.address)
            page_s = time.perf_counter() - started
            if pictures:
                _take(page, pictures)
                return
            taken = _click_through(page, clicks)
            open_percent = idle_percent(demo.pid)
            page.close()
            alone_percent = idle_percent(demo.pid)
    report(page_s, taken, open_percent, alone_percent)


def home_in(folder: Path) -> Path:
    """Make a home with the present model and no users; train a model if there is none."""
    present, home = settings.load().home, folder / "home"
    home.mkdir()
    if all((present / part).exists() for part in PARTS_OF_A_HOME):
        for part in PARTS_OF_A_HOME:
            copy = shutil.copytree if (present / part).is_dir() else shutil.copy
            copy(present / part, home / part)
    else:
        prepared(home)
    return home


@contextmanager
def _browser() -> Iterator[Browser]:
    """Start the system's Chromium, headless."""
    [chromium] = system_packages.provide("chromium")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=["--headless", "--no-sandbox"])
        yield launched
        launched.close()


def _open_page(page: Page, address: str) -> None:
    """Open the page and wait until products are recommended."""
    page.goto(address, timeout=PAGE_MS)
    page.locator(".ms-panel .ms-card").first.wait_for(timeout=PAGE_MS)
    page.locator(".st-key-shop .ms-card").first.wait_for(timeout=PAGE_MS)


def _click_through(page: Page, clicks: int) -> list[float]:
    """Time each click until other recommendations are on the screen, in milliseconds.

    The same product is never clicked twice in a row.
    """
    products = page.locator(".st-key-shop .ms-look").count()
    taken = []
    for number in tqdm(range(WARM_UP + clicks), desc="clicking", unit="click"):
        found = page.evaluate(CLICK, number % products)
        if found is None:  # the click changed nothing that is shown
            continue
        taken.append(float(found))
        page.wait_for_timeout(PAUSE_MS)
    return taken[WARM_UP:]


def idle_percent(pid: int, seconds: float = IDLE_S, calm_after_s: float = CALM_AFTER_S) -> float:
    """Measure the processor time of a process and its children, in percent of one core."""
    time.sleep(calm_after_s)
    before, start = processor_s(pid), time.perf_counter()
    time.sleep(seconds)
    return 100 * (processor_s(pid) - before) / (time.perf_counter() - start)


def processor_s(pid: int) -> float:
    """Return the seconds of processor time that a process and its children have taken so far."""
    demo = psutil.Process(pid)
    taken = [one.cpu_times() for one in (demo, *demo.children(recursive=True))]
    return sum(one.user + one.system for one in taken)


def report(page_s: float, taken: list[float], open_percent: float, alone_percent: float) -> None:
    """Print what was measured."""
    p50, p99 = (float(np.percentile(taken, percent)) for percent in (50, 99))
    print(f"\n`python -m demo` to recommendations on the page: {page_s:.1f} s")
    print(f"click to other recommendations on the screen, {len(taken)} clicks: p50 {p50:.0f} ms, p99 {p99:.0f} ms")
    print(
        f"nothing happens: {open_percent:.1f} % of a core with one page open, {alone_percent:.1f} % with nobody there"
    )
    clicked = {"click_p50_ms": p50, "click_p99_ms": p99, "clicks": len(taken)}
    finish({"page_s": page_s, **clicked, "idle_percent_of_core": max(open_percent, alone_percent)})


def _take(page: Page, folder: Path) -> None:
    """Take the pictures of the README."""
    _choose_persona(page, 4)
    for number in (4, 1):
        page.evaluate(CLICK, number)
        page.wait_for_timeout(1_000)
    _shoot(page, folder / "demo.png")
    page.get_by_role("radio", name="Interest map").click()
    page.wait_for_timeout(3_000)
    _shoot(page, folder / "demo-map.png")
    _work_the_machine(page)
    _shoot(page, folder / "demo-room.png")


def _choose_persona(page: Page, number: int) -> None:
    """Become a ready-made user."""
    page.get_by_role("combobox", name="You are").click()
    page.get_by_role("option").nth(number).click()
    page.locator(".ms-shelf").nth(1).wait_for(timeout=SECONDS_MS)


def _work_the_machine(page: Page) -> None:
    """Make traffic, a dead letter and a pause, until there is something to see."""
    page.get_by_role("radio", name="Machine room").click()
    page.get_by_role("slider").press("ArrowRight")
    for _ in range(9):
        page.get_by_role("slider").press("ArrowRight")
    page.wait_for_timeout(15_000)
    page.get_by_role("button", name="Pause").click()
    page.wait_for_timeout(8_000)
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("button", name="Send it").click()
    page.wait_for_timeout(15_000)


def _shoot(page: Page, file: Path) -> None:
    """Take a picture with few colours, which is small."""
    from PIL import Image  # comes with Streamlit

    page.mouse.move(0, 0)
    page.screenshot(path=file)
    with Image.open(file) as picture:
        small = picture.convert("RGB").quantize(COLOURS)
    small.save(file, optimize=True)
    print(f"{file}: {file.stat().st_size:,} bytes")
