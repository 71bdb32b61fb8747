# SPDX-License-Identifier: Apache-2.0
"""The report as a reader meets it: in a headless Chromium, at a desk, on a phone, by keyboard, on paper."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from fake_matrix import cells, report
from offchip.report.build import Judged, RunFacts, build_report
from offchip.report.record import SCHEMA

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NAME = "With A Name That Is Long Enough To Need Two Lines Of A Phone"
CLAIMS = [Judged("06 Plain", f"Claim {number} {NAME}", "", status, message) for number, (status, message) in enumerate([
    ("PASS", ""), ("FAIL", "<script>document.title = 'x'</script> was seen | twice"), ("LOST", "it hung"),
    ("PASS", "")])]
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
ODD = "A02/boot/fresh/sd"
HOSTILE = "</script><img src=x onerror=\"document.title='x'\"> & \u2028 'quoted'"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; scripts/setup --test gets it on Debian")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole report with one surprise in it, written by somebody hostile."""
    folder = tmp_path_factory.mktemp("report")
    moment = {"time_ns": 1, "lane": "console", "text": HOSTILE}
    report(folder, changes={ODD: {"verdict": "broken", "proven": False, "message": HOSTILE, "reason": HOSTILE,
                                  "observations": [HOSTILE], "timeline": [moment], "captures": ["captures/cell.vcd"]}})
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, folder: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page as it opens; whatever it asks of the network, and every complaint of the browser, fails the test."""
    page = browser.new_page(viewport=getattr(request, "param", DESK))
    trouble: list[str] = []
    page.on("console", lambda message: trouble.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda asked: None if asked.url.startswith(("file:", "data:")) else trouble.append(asked.url))
    page.goto((folder / "index.html").as_uri())
    title = page.title()
    yield page
    assert trouble == [] and page.title() == title
    page.close()


def chips(page: Page) -> int:
    return page.locator(".matrix button.chip:visible").count()


def test_the_answer_comes_first_and_cites_cells_that_open(page: Page) -> None:
    assert page.locator("h1").inner_text() == "Is it bad practice to keep the certificates on an SD card or an EEPROM?"
    top = page.locator("main section").first
    assert top.locator("h2").inner_text() == "In short" and top.locator("li").count() > 5
    assert all(item.locator(".cite").count() for item in top.locator("li").all())
    top.locator(".cite").first.click()
    assert page.locator("#story-title").inner_text().startswith("A01 read the medium, take the private key")


def test_what_one_measure_more_does_stands_beside_what_it_does_not(page: Page) -> None:
    rows = {row.inner_text().replace("\n", " ").replace("\t", " ") for row in page.locator(".measures tbody tr").all()}
    for words in ("clone detection", "deactivation", "rogue-data", "owner-signed", "rollback", "tamper",
                  "narrow policy", "level 2"):
        assert any(words in row for row in rows), words
    (copied,) = [row for row in rows if "clone detection" in row and "(board)" in row]
    assert copied.index("broken") < copied.index("degraded")
    page.locator("[name=measure]").select_option("tamper")
    assert {chip.get_attribute("data-open").split("/")[0] for chip in page.locator(".matrix button.chip:visible").all()
            } == {"A13"}


def test_each_filter_leaves_what_it_names(page: Page) -> None:
    everything = chips(page)
    for name, value, fits in (("medium", "eeprom", "EEPROM"), ("verdict", "held", ": held"), ("verdict", "unexpected",
                              "A02"), ("rdp", "2", "A13"), ("family", "client", "A")):
        page.locator(f"[name={name}]").select_option(value)
        labels = [chip.get_attribute("aria-label") or "" for chip in page.locator(".matrix button.chip:visible").all()]
        assert labels and len(labels) < everything and all(fits in label for label in labels), (name, value)
        assert "of" in page.locator("#shown").inner_text()
        page.locator("button[type=reset]").click()
        page.wait_for_function("wanted => document.querySelectorAll('.matrix button.chip:not([hidden])').length === "
                               "wanted", arg=everything)
    page.locator("[name=search]").fill("A02/boot fresh")
    assert {chip.get_attribute("data-open") for chip in page.locator(".matrix button.chip:visible").all()} == {
        "A02/boot/fresh/sd", "A02/boot/fresh/eeprom"}
    page.locator("[name=search]").fill("CWE-312")
    assert 0 < chips(page) < everything
    page.locator("[name=search]").fill("nothing has this in it")
    assert chips(page) == 0 and page.locator(".matrix tbody tr:visible").count() == 0


def test_a_cell_is_one_click_from_its_story(page: Page) -> None:
    page.locator(f"button.chip[data-open='{ODD}']").click()
    story = page.locator("dialog .story")
    text = story.inner_text()
    for part in ("A02", "fresh on SD", "broken", "predicted: held, because so theory says", "otherwise than predicted",
                 "What the attacker does", "What it means", "What stops it", "Evidence that the attack fired",
                 f"offchip replay {ODD}", "61,704,479 instructions", HOSTILE.split("\u2028")[0].strip()):
        assert part in text, part
    lanes = [lane.inner_text() for lane in story.locator(".timeline .lane").all()]
    assert lanes == ["console", "attack"], "in the order of the virtual clock"
    assert story.locator("a[href='captures/cell.vcd']").count() == 1 and story.locator("svg.strip circle").count() == 1
    assert page.url.endswith(f"#{ODD}")
    page.keyboard.press("Escape")
    page.wait_for_function("!location.hash")  # the dialog's `close` is a task of its own
    assert not page.locator("dialog").is_visible()


def test_each_chip_is_of_its_own_row_and_column(page: Page) -> None:
    """Where a reader sees it by the words of row and head, not by what the page says of itself."""
    found = page.evaluate("""() => {
        const heads = [...document.querySelectorAll('.matrix thead [data-of]')]
            .map(e => [e.dataset.of, {SD: 'sd', EE: 'eeprom', chip: 'none'}[e.textContent.trim()]].join('/'));
        return [...document.querySelectorAll('.matrix tbody tr')].flatMap(row => [...row.querySelectorAll('td')]
            .map((cell, at) => [row.querySelector('th').textContent.trim().slice(0, 3), heads[at],
                                (cell.querySelector('[data-open]') || {dataset: {open: ''}}).dataset.open]));
    }""")
    shown = {cell: (attack, column) for attack, column, opened in found for cell in opened.split()}
    assert len(shown) == len(dict(cells()))
    for cell, where in shown.items():
        attack, _, scheme, medium = cell.split("/")[:4]
        assert where == (attack, f"{scheme}/{medium}"), cell


def test_each_verdict_has_its_consequence_in_words(page: Page) -> None:
    for cell in ("A09/wipe/fresh/sd", "A07/whole/fresh/sd", "A07/whole/plain/sd"):
        page.evaluate("cell => { location.hash = cell; }", cell)
        page.wait_for_function("cell => document.querySelector('.story .copy').textContent.includes(cell)", arg=cell)
        told = page.locator(".story h3:text-is('What it means') + p")
        assert len(told.inner_text()) > 20, cell


def test_variants_are_inside_their_chip_and_a_link_opens_one(page: Page, folder: Path) -> None:
    page.goto((folder / "index.html").as_uri() + "#A13/dump/fresh/sd/rdp2")
    page.reload()
    pressed = page.locator(".variants button[aria-pressed=true]")
    assert page.locator(".variants button").count() == 5 and "rdp2" in pressed.inner_text()
    assert page.locator(".story .tag").first.inner_text().endswith("held")
    page.locator(".variants button").first.click()
    assert page.locator(".story .tag").first.inner_text().endswith("broken")


def torn(page: Page) -> list[str]:
    """Words in tables for which their column is too narrow, so that a part of them stands on the next line."""
    found: list[str] = page.evaluate("""() => {
        const pen = document.createElement('canvas').getContext('2d');
        return [...document.querySelectorAll('table th, table td')].filter(e => e.checkVisibility() &&
            !(e.closest('thead') && getComputedStyle(e.closest('thead')).position === 'absolute')).flatMap(e => {
            const style = getComputedStyle(e);
            pen.font = style.fontWeight + ' ' + style.fontSize + ' ' + style.fontFamily;
            const room = e.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
            const own = [...e.childNodes].filter(node => node.nodeType === Node.TEXT_NODE).map(node => node.data);
            return own.join(' ').split(/[\\s-]+/).filter(word => word && pen.measureText(word).width > room + 2);
        });
    }""")
    return found


@pytest.mark.parametrize("page", [PHONE], indirect=True)
def test_a_phone_shows_everything_without_scrolling_sideways(page: Page) -> None:
    width = "document.documentElement.scrollWidth"
    assert page.evaluate(width) == PHONE["width"] and chips(page) == page.locator(".matrix button.chip").count() > 100
    cut = page.evaluate("""() => [...document.querySelectorAll('h1, h2, li, p, td, th, button, dd, select, input')]
        .filter(e => e.checkVisibility() && !e.closest('thead') && !e.closest('.costs'))
        .filter(e => e.getBoundingClientRect().width && (e.getBoundingClientRect().right > 391 ||
                     e.getBoundingClientRect().left < 0)).map(e => e.textContent)""")
    assert cut == [] and torn(page) == []
    page.locator(f"button.chip[data-open='{ODD}']").click()
    assert page.evaluate("document.querySelector('dialog').scrollWidth") <= PHONE["width"]
    assert page.evaluate(width) == PHONE["width"]


@pytest.mark.parametrize("page", [DESK, PHONE], indirect=True)
def test_axe_has_nothing_to_complain_about(page: Page) -> None:
    for opened in (False, True):
        if opened:
            page.locator(f"button.chip[data-open='{ODD}']").click()
        found = Axe().run(page).response["violations"]
        assert [(each["id"], [node["html"][:120] for node in each["nodes"]][:3]) for each in found] == []


def test_paper_has_answer_and_matrix_and_no_controls(page: Page) -> None:
    page.emulate_media(media="print")
    assert not page.locator("#filters").is_visible() and page.locator(".matrix").is_visible()
    assert chips(page) == len({(cell.split("/")[0], *cell.split("/")[2:4]) for cell, _ in cells()})
    assert torn(page) == []
    page.set_viewport_size({"width": 718, "height": 1000})  # A4 upright, less its margins
    assert torn(page) == [] and page.evaluate("document.querySelector('.costs').scrollWidth") <= 718
    pdf = page.pdf(format="A4", landscape=True)
    assert pdf.startswith(b"%PDF") and len(pdf) > 10_000


def test_without_cells_the_claims_are_the_page(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "records").mkdir(parents=True)
    for n in (0, 3):
        record = {"schema": SCHEMA, "scenario": CLAIMS[n].key, "verdict": "held", "virtual_time_ns": 10**9,
                  "attack": "A01", "defence": {"scheme": "plain", "medium": "sd"}, "fired": [],
                  "observations": ["x" * 200], "reason": "r"}
        (tmp_path / f"records/{n}.json").write_text(json.dumps(record))
    host = {"started": "2026-11-26T00:00:00+00:00", "offchip": "0", "command": "offchip run", "commit": "c" * 40,
            "seconds": {claim.key: 1.5 for claim in CLAIMS}}
    summary = build_report(tmp_path, RunFacts("embedded", "ab" * 32, 1), CLAIMS, host, {})
    assert (summary["total"], summary["proven"], summary["refuted"], summary["not_run"]) == (4, 2, 1, 1)
    assert not {"seconds", "started", "id"} & {key for row in summary["claims"] for key in row}
    assert "2026" not in (tmp_path / "results.json").read_text()
    page = browser.new_page(viewport=PHONE)
    page.goto((tmp_path / "index.html").as_uri())
    assert page.title() == "offchip: 2 of 4 claims proven"
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert [cell.inner_text() for cell in page.locator("td[data-name=host]").all()] == ["1.5 s"] * 4
    assert page.locator("main", has_text="<script>document.title = 'x'</script> was seen | twice").count() == 1
    page.close()
