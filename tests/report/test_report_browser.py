"""The report in a browser: it renders, is quiet, fits the screen and works by keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from report_examples import HISTORY, SIZES, Writer, make_cache

from fer_features.cli.report import find_faces
from fer_features.data.tasks import SEVEN
from fer_features.report import write_report
from tests.chromium import CHROMIUM, FLAGS, needs_chromium

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    writer = Writer(folder / "runs", make_cache(folder / "few.h5"))
    runs = [
        writer.write("svm", about={"weights": "random:0"}),
        writer.write("a_head_with_quite_a_long_name_of_its_own", history=HISTORY, sizes=SIZES),
        writer.write("ridge"),
        writer.write("mlp", task=SEVEN, about={"digest": "d2"}),
    ]
    faces = partial(find_faces, cache_dir=folder)
    return write_report(runs, folder / "report.html", faces=faces).path


@pytest.fixture
def opened(browser: Any, report: Path) -> Iterator[Any]:
    """The page, and what it asked for and complained of."""
    tab = browser.new_page(color_scheme="light", viewport={"width": 1280, "height": 800})
    tab.asked, tab.complaints = [], []
    tab.on("request", lambda request: tab.asked.append(request.url))
    tab.on("console", lambda message: tab.complaints.append(message.text))
    tab.on("pageerror", lambda error: tab.complaints.append(str(error)))
    tab.goto(report.as_uri())
    yield tab
    tab.close()


def background(tab: Any) -> str:
    return str(tab.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_it_renders_without_a_complaint_and_asks_for_nothing(opened: Any, report: Path) -> None:
    assert opened.title()
    opened.evaluate("Promise.all([...document.images].map((one) => one.decode()))")
    assert [url for url in opened.asked if not url.startswith("data:")] == [report.as_uri()]
    assert opened.complaints == []


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_sticks_out_of_the_page(opened: Any, width: int) -> None:
    opened.set_viewport_size({"width": width, "height": 800})
    assert opened.evaluate("document.documentElement.scrollWidth") <= width


def test_the_theme_is_changed_by_keyboard(opened: Any) -> None:
    light = background(opened)
    focused = ""
    for _ in range(20):
        opened.keyboard.press("Tab")
        focused = opened.evaluate("document.activeElement.id")
        if focused == "theme":
            break
    assert focused == "theme"
    outline = opened.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    opened.keyboard.press("Enter")
    assert background(opened) != light
    assert opened.get_attribute("#theme", "aria-pressed") == "true"
    opened.keyboard.press("Space")
    assert background(opened) == light


def test_the_first_tab_leads_past_the_contents(opened: Any) -> None:
    opened.keyboard.press("Tab")
    opened.keyboard.press("Enter")
    assert opened.evaluate("location.hash") == "#results"


def test_a_column_is_sorted_by_keyboard_with_the_published_row_last(opened: Any) -> None:
    button = opened.locator("table.sortable thead button", has_text="F1").first
    table = opened.locator("table.sortable").first
    place = button.evaluate("(one) => one.closest('th').cellIndex")

    def column() -> list[str]:
        cells = table.locator(f"tbody tr > :nth-child({place + 1})")
        return [str(text) for text in cells.all_inner_texts()]

    button.focus()
    opened.keyboard.press("Enter")
    *numbers, published = column()
    assert numbers == sorted(numbers, reverse=True)
    assert published == "–"
    assert button.evaluate("(one) => one.closest('th').ariaSort") == "descending"
    opened.keyboard.press("Enter")
    assert column() == [*sorted(numbers), "–"]
    assert table.locator("th[aria-sort]").count() == 1


CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (colour, under) => {
    canvas.fillStyle = `rgb(${under})`;
    canvas.fillRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (colour) =>
    colour
      .map((c) => c / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
      .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (one) => {
    if (!one) return [255, 255, 255];
    return rgb(getComputedStyle(one).backgroundColor, behind(one.parentElement));
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const one = walker.currentNode.parentElement;
    const hidden = one.closest("script, title, desc, .arrow");
    if (!walker.currentNode.data.trim() || hidden) continue;
    const style = getComputedStyle(one);
    const back = behind(one);
    const ink = rgb(one.closest("svg") ? style.fill : style.color, back);
    const [a, b] = [light(ink), light(back)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) found.push(`${walker.currentNode.data.trim()}: ${ratio.toFixed(2)}`);
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_what_is_behind_it(opened: Any, scheme: str) -> None:
    opened.emulate_media(color_scheme=scheme)
    assert opened.evaluate(CONTRAST) == []


def test_a_printed_page_is_light_and_has_no_buttons(opened: Any) -> None:
    ink = "getComputedStyle(document.body).color"
    dark_on_light = opened.evaluate(ink)
    opened.emulate_media(color_scheme="dark")
    assert opened.evaluate(ink) != dark_on_light
    opened.emulate_media(color_scheme="dark", media="print")
    assert background(opened) == "rgb(255, 255, 255)"
    assert opened.evaluate(ink) == dark_on_light
    assert not opened.is_visible("#theme")
