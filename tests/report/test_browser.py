"""The page in a real browser: offline, silent, and proof against names that are code."""

from __future__ import annotations

from pathlib import Path

import pytest

from implant_sim import report
from tests.report.made_up import STUDY, write_study

pytestmark = pytest.mark.browser
CHROMIUM = Path("/usr/bin/chromium")
PAYLOAD = '<img src=x onerror="window.PWNED=1"></script><script>window.PWNED=1</script>'


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is missing: no browser to test with")
    with playwright.sync_playwright() as driver:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=flags)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    """Open a page and note all it does."""
    seen: dict[str, list[str]] = {"console": [], "requests": []}
    tab = browser.new_page(viewport={"width": 1200, "height": 900})
    tab.on("console", lambda m: seen["console"].append(m.text))
    tab.on("pageerror", lambda e: seen["console"].append(str(e)))
    tab.on("request", lambda r: seen["requests"].append(r.url))

    def open_(path: Path):
        tab.goto(path.as_uri())
        return tab, seen

    yield open_
    tab.close()


def test_opens_offline_in_silence(study_page, visit):
    path = study_page
    tab, seen = visit(path)
    outside = [u for u in seen["requests"] if not u.startswith("data:") and u != path.as_uri()]
    assert outside == []
    assert seen["console"] == []
    sizes = tab.evaluate("[...document.images].map(i => i.complete ? i.naturalWidth : 0)")
    assert len(sizes) == 6
    assert min(sizes) > 300
    assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_tables_sort(study_page, visit):
    tab, _ = visit(study_page)
    column = "table.sortable:has(button:text-is('Epochs'))"
    places = tab.locator(column).locator("thead th").all_inner_texts()
    power = next(i for i, h in enumerate(places) if h.strip() == "Power")

    def values():
        rows = tab.locator(column).locator("tbody tr").all()
        return [float(r.locator("td").nth(power).get_attribute("data-v")) for r in rows]

    button = tab.locator(column).locator("thead button").nth(power)
    before = values()
    button.click()
    assert values() == sorted(before)
    assert before != sorted(before)
    button.click()
    assert values() == sorted(before, reverse=True)
    head = tab.locator(column).locator("thead th").nth(power)
    assert head.get_attribute("aria-sort") == "descending"


def test_payloads_in_every_name_do_not_run(tmp_path, visit):
    folder = write_study(tmp_path, STUDY[:3], repeats=1, text=PAYLOAD)
    tab, seen = visit(report.build(folder))
    assert tab.evaluate("typeof window.PWNED") == "undefined"
    assert seen["console"] == []
    assert PAYLOAD in tab.locator("h1").inner_text()


def test_narrow_screens_and_paper(study_page, visit):
    tab, _ = visit(study_page)
    tab.set_viewport_size({"width": 420, "height": 800})
    assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1")
    assert len(tab.pdf(format="A4")) > 20_000
