"""The demo as a person sees it: a real page in Chromium, events through the broker, other recommendations."""

import re
import time
from collections.abc import Iterator
from functools import partial

import pytest
from playwright.sync_api import Locator, Page, expect

from model_export.bundle.bundle import Bundle
from model_export.data.simulator import SimulatedShop
from testbed.demo_process import running_demo
from tests.support.demo_home import home_of, one_interest_bundle
from tests.support.made_once import made_once

SECONDS_MS = 120_000  # a page that never changes fails the test; how fast it is, a benchmark says


@pytest.fixture(scope="module")
def demo(bundle: Bundle, shop: SimulatedShop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a running demo with published models and the embedded broker."""
    one = made_once(tmp_path_factory, "one-interest", partial(one_interest_bundle, shop))
    home = home_of(bundle, shop, tmp_path_factory.mktemp("home"), one).home
    with running_demo(home) as running:
        yield running.address


def opened(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.get_by_text("Popular now")).to_be_visible(timeout=3 * SECONDS_MS)  # the first page starts the engine


def looks(page: Page) -> Locator:
    """The pictures of the catalogue, which are buttons."""
    return page.locator(".st-key-shop .ms-look")


def recommended(page: Page) -> list[str]:
    """Items on the shelves."""
    found: list[str] = page.locator(".ms-panel [data-card]").evaluate_all(
        "cards => cards.map(card => card.dataset.card)"
    )
    return found


def sees(page: Page, text: str | re.Pattern[str]) -> None:
    expect(page.get_by_text(text).first).to_be_visible(timeout=SECONDS_MS)


def last_behaviour(page: Page, title: str) -> None:
    sees(page, re.compile(rf"^Your last behaviours: {re.escape(title)}"))


def persona(page: Page, number: int = 1) -> None:
    """Choose a ready-made user."""
    page.get_by_role("combobox", name="You are").click()
    page.get_by_role("option").nth(number).click()
    expect(page.locator(".ms-shelf").nth(1)).to_be_visible(timeout=SECONDS_MS)


def test_clicking_carting_and_buying_change_recommendations_without_a_reload(demo: str, page: Page) -> None:
    opened(page, demo)
    page.evaluate("window.notReloaded = true")
    title = looks(page).nth(0).locator(".ms-title").inner_text()
    looks(page).nth(0).click()
    sees(page, "click to recommendations in")
    last_behaviour(page, title)
    expect(page.get_by_text("Popular now")).to_have_count(0)
    expect(page.locator(".ms-shelf h4").first).to_contain_text("From your")
    expect(page.locator(".ms-shelf h4").first).to_contain_text(title)
    expect(page.locator(".ms-card.ms-new").first).to_be_visible(timeout=SECONDS_MS)
    expect(page.locator(".ms-left img").first).to_be_visible(timeout=SECONDS_MS)
    before = recommended(page)
    for number, label, said in (
        (4, "Cart", "cart to recommendations in"),
        (7, "Buy", "purchase to recommendations in"),
    ):
        card = page.locator(".st-key-shop .ms-card").nth(number)
        card.get_by_role("button", name=f"{label}: ").click()
        sees(page, said)
        last_behaviour(page, card.locator(".ms-title").inner_text())
    assert recommended(page) != before
    assert page.evaluate("window.notReloaded")


def test_a_product_that_is_refused_goes_and_comes_back_with_a_click(demo: str, page: Page) -> None:
    opened(page, demo)
    [first, *_] = recommended(page)
    title = page.locator(f'.ms-panel [data-card="{first}"] .ms-title').inner_text()
    page.get_by_role("button", name=f"Not for me: {title}").first.click()
    sees(page, "dislike to recommendations in")
    sees(page, re.compile(rf"^Not for you, until you click it again: {re.escape(title)}"))
    assert first not in recommended(page)
    page.locator(f'.st-key-shop [data-card="{first}"] .ms-look').click()
    last_behaviour(page, title)
    expect(page.get_by_text("Not for you")).to_have_count(0, timeout=SECONDS_MS)


def test_every_product_has_a_picture_with_words(demo: str, page: Page) -> None:
    opened(page, demo)
    pictures = page.locator(".ms-card img")
    expect(pictures).to_have_count(16)
    drawn = (
        "images => images.map(image => image.complete && image.naturalWidth > 0 && image.alt.startsWith('Drawing of'))"
    )
    assert all(pictures.evaluate_all(drawn))


def test_search_and_categories(demo: str, page: Page) -> None:
    opened(page, demo)
    page.get_by_placeholder("Search products").fill("yoga mat")
    page.keyboard.press("Enter")
    sees(page, "5 of 5 products")
    titles = looks(page).locator(".ms-title").all_inner_texts()
    assert len(titles) == 5
    assert all("yoga mat" in title.lower() for title in titles)
    page.get_by_role("radio", name="Bags").click()
    sees(page, "No product matches")


def test_a_persona_s_interests_beside_one_interest(demo: str, page: Page) -> None:
    opened(page, demo)
    persona(page, 1)
    several = page.locator(".ms-shelf").count()
    assert several >= 2
    page.get_by_role("radio", name="Beside one interest").click()
    expect(page.locator(".st-key-one .ms-shelf")).to_have_count(1, timeout=SECONDS_MS)
    expect(page.locator(".st-key-several .ms-shelf")).to_have_count(several)
    expect(page.get_by_text(re.compile(r"\d+ products from \d+ categories"))).to_have_count(2)
    title = looks(page).nth(2).locator(".ms-title").inner_text()
    looks(page).nth(2).click()  # both read the same click
    last_behaviour(page, title)


def test_the_interest_map_moves(demo: str, page: Page) -> None:
    opened(page, demo)
    persona(page, 2)
    page.get_by_role("radio", name="Interest map").click()
    charts = page.locator("[data-testid=stVegaLiteChart]")
    expect(charts).to_have_count(2, timeout=SECONDS_MS)
    title = looks(page).nth(1).locator(".ms-title").inner_text()
    before = symbols(page)
    assert before
    looks(page).nth(1).click()
    last_behaviour(page, title)
    deadline = time.monotonic() + SECONDS_MS / 1000
    while symbols(page) in ("", before):
        assert time.monotonic() < deadline, "the map does not move"
        page.wait_for_timeout(100)


def symbols(page: Page) -> str:
    """Where the interests and behaviours stand on the map; empty while it is drawn."""
    places = "marks => marks.map(mark => mark.getAttribute('transform')).join()"
    return str(page.locator("[data-testid=stVegaLiteChart]").first.locator("g.mark-symbol path").evaluate_all(places))


def test_a_refresh_keeps_the_visitor_and_the_part(demo: str, page: Page) -> None:
    opened(page, demo)
    title = looks(page).first.locator(".ms-title").inner_text()
    looks(page).first.click()
    last_behaviour(page, title)
    page.reload()
    last_behaviour(page, title)
    page.get_by_role("radio", name="Machine room").click()
    sees(page, "Dead letters")
    page.reload()
    sees(page, "Dead letters")


def test_a_second_tab_follows_and_another_visitor_does_not(demo: str, page: Page) -> None:
    opened(page, demo)
    other, same = page.context.new_page(), page.context.new_page()
    opened(other, demo)
    opened(same, page.url)
    title = looks(page).nth(3).locator(".ms-title").inner_text()
    looks(page).nth(3).click()
    last_behaviour(same, title)
    expect(other.get_by_text("Popular now")).to_be_visible()


def test_traffic_a_dead_letter_and_a_pause(demo: str, page: Page) -> None:
    page.goto(f"{demo}?view=Machine room")
    sees(page, "Events a second")
    page.get_by_role("combobox", name="What a careless producer sends").click()
    page.get_by_role("option", name="Empty item").click()
    page.get_by_role("button", name="Send it").click()
    sees(page, re.compile("of length >= 1"))
    expect(page.get_by_text("careless-producer").first).to_be_visible(timeout=SECONDS_MS)
    lag = page.get_by_test_id("stMetric").filter(has_text="Lag, events").get_by_test_id("stMetricValue")
    page.get_by_role("slider").press("ArrowRight")
    sees(page, "p99")
    expect(page.get_by_test_id("stMetric").filter(has_text="p50")).to_contain_text("ms", timeout=SECONDS_MS)
    page.get_by_role("button", name="Pause").click()
    sees(page, "Paused: the lag grows")
    expect(lag).not_to_have_text(re.compile("^[0-9]$"), timeout=SECONDS_MS)
    page.get_by_role("slider").press("ArrowLeft")
    page.get_by_role("button", name="Resume").click()
    expect(lag).to_have_text("0", timeout=SECONDS_MS)


@pytest.mark.timeout(1_500)
def test_a_model_is_trained_published_and_rolled_back_while_the_page_goes_on(demo: str, page: Page) -> None:
    page.goto(f"{demo}?view=Machine room")
    sees(page, "served now")
    served = page.get_by_test_id("stMarkdown").filter(has_text="served now").locator("code")
    before = served.inner_text()
    page.get_by_role("button", name="Retrain and publish").click()
    expect(page.get_by_test_id("stProgress")).to_be_visible(timeout=SECONDS_MS)
    expect(served).not_to_have_text(before, timeout=8 * SECONDS_MS)  # a training on a busy machine
    sidebar = page.get_by_test_id("stSidebar")
    expect(sidebar).to_contain_text(served.inner_text(), timeout=SECONDS_MS)
    page.get_by_role("button", name="Roll back").click()
    expect(served).to_have_text(before, timeout=SECONDS_MS)
    expect(sidebar).to_contain_text(before, timeout=SECONDS_MS)
