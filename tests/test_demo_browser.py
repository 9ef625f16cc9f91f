"""The demo as a person sees it: a real page in Chromium, a click through the broker, other recommendations."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from demo.prepare import log_file
from model_export.bundle import Bundle
from model_export.readers import write_table
from model_export.registry import Registry
from model_export.simulator import SimulatedShop
from settings import Settings

UP_WITHIN_S = 90
SECONDS_MS = 30_000  # a page that never changes fails the test; how fast it is, the page itself says
CHANGE_MS = 2_000


@pytest.fixture(scope="module")
def demo(bundle: Bundle, shop: SimulatedShop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a running demo with a published model and the embedded broker."""
    home = tmp_path_factory.mktemp("home")
    Registry(Settings(home=home).models).publish(bundle.path)
    write_table(shop.log, log_file(Settings(home=home)))
    port = free_port()
    environment = {**os.environ, "MINDSTREAM_HOME": str(home), "KAFKA_BOOTSTRAP_SERVERS": "", "MINDSTREAM_LOG": ""}
    command = [sys.executable, "-m", "demo", "--port", str(port)]
    root = Path(__file__).parents[1]
    with subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            wait_until_it_listens(port, process)
            yield f"http://localhost:{port}"
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


def wait_until_it_listens(port: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + UP_WITHIN_S
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the demo has ended with exit status {process.returncode}"
        with socket.socket() as probe:
            if probe.connect_ex(("localhost", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"the demo does not listen after {UP_WITHIN_S} s")


def opened(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.get_by_text("Popular now")).to_be_visible(timeout=SECONDS_MS)


def products(page: Page) -> list[str]:
    """Titles on the shelves, those of the catalogue left out."""
    return page.locator("[class*=st-key-interest-] button").all_inner_texts()


def test_a_click_changes_recommendations_and_interests(demo: str, page: Page) -> None:
    opened(page, demo)
    shop_buttons = page.locator("[class*=st-key-shop-] button")
    first = shop_buttons.first.inner_text()
    shop_buttons.first.click()
    expect(page.get_by_text("click to recommendations in")).to_be_visible(timeout=SECONDS_MS)
    expect(page.get_by_text(f"From your {first}")).to_be_visible(timeout=SECONDS_MS)
    expect(page.get_by_text("Popular now")).to_have_count(0)
    changes = [changes_within(page, number, CHANGE_MS) for number in (1, 4, 7)]
    assert any(changes), f"no click changed the recommendations and interests within {CHANGE_MS} ms"


def changes_within(page: Page, number: int, limit_ms: int) -> bool:
    """Click a product; whether the page then names it among the behaviours and shows other recommendations."""
    before = products(page)
    button = page.locator("[class*=st-key-shop-] button").nth(number)
    title = button.inner_text()
    start = time.monotonic()
    button.click()
    expect(page.get_by_text(f"Your last behaviours: {title}")).to_be_visible(timeout=SECONDS_MS)
    elapsed_ms = 1000 * (time.monotonic() - start)
    return elapsed_ms <= limit_ms and products(page) != before


def test_a_persona_has_several_interests(demo: str, page: Page) -> None:
    opened(page, demo)
    page.get_by_role("combobox", name="You are").click()
    page.get_by_role("option").nth(1).click()
    expect(page.get_by_text("From your").nth(1)).to_be_visible(timeout=SECONDS_MS)
    assert len(products(page)) >= 4


def test_search_finds_products_by_title(demo: str, page: Page) -> None:
    opened(page, demo)
    page.get_by_placeholder("Search products").fill("yoga mat")
    page.keyboard.press("Enter")
    expect(page.get_by_text("of 5 products")).to_be_visible(timeout=SECONDS_MS)
    titles = page.locator("[class*=st-key-shop-] button").all_inner_texts()
    assert len(titles) == 5
    assert all("yoga mat" in title.lower() for title in titles)


def test_a_refresh_keeps_the_visitor(demo: str, page: Page) -> None:
    opened(page, demo)
    page.locator("[class*=st-key-shop-] button").first.click()
    expect(page.get_by_text("Your last behaviours")).to_be_visible(timeout=SECONDS_MS)
    page.reload()
    expect(page.get_by_text("Your last behaviours")).to_be_visible(timeout=SECONDS_MS)
