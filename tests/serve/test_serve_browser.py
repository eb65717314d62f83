"""The page in a browser: a picture, the camera, the keyboard, a phone's width, light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from serve_examples import FakeDetector, FakeModel, picture, serving
from skimage import data

from fer_features.detect import Detector
from fer_features.serve.app import create_app
from fer_features.serve.limits import Limits
from tests.chromium import CHROMIUM, FLAGS, needs_chromium

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = needs_chromium

CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the camera films: the astronaut, as MJPEG frames one after another."""
    path = tmp_path_factory.mktemp("film") / "film.mjpeg"
    frame = Image.fromarray(data.astronaut()).crop((0, 0, 512, 384))
    with path.open("wb") as file:
        for _ in range(10):
            frame.save(file, "JPEG", quality=90)
    return path


@pytest.fixture(scope="module")
def astronaut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "astronaut.png"
    Image.fromarray(data.astronaut()).save(path)
    return path


@pytest.fixture(scope="module")
def browser(film: Path) -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        flags = [*FLAGS, *CAMERA, f"--use-file-for-fake-video-capture={film}"]
        opened = started.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving(create_app(FakeModel(), Detector(), Limits(bytes=2**20))) as found:
        yield found


@pytest.fixture
def opened(browser: Any, address: str) -> Iterator[Any]:
    """The page, and what it asked for and complained of."""
    tab = browser.new_page(color_scheme="light", viewport={"width": 1280, "height": 800})
    tab.asked, tab.complaints = [], []
    tab.on("request", lambda request: tab.asked.append(request.url))
    in_flight: set[Any] = set()
    tab.most_in_flight = 0

    def sent(request: Any) -> None:
        in_flight.add(request)
        if request.url.endswith("predict"):
            tab.most_in_flight = max(tab.most_in_flight, len(in_flight))

    tab.on("request", sent)
    tab.on("requestfinished", lambda request: in_flight.discard(request))
    tab.on("console", lambda message: tab.complaints.append(message.text))
    tab.on("pageerror", lambda error: tab.complaints.append(str(error)))
    tab.goto(address)
    tab.locator("#version", has_text=".").wait_for()
    yield tab
    tab.close()


def choose(tab: Any, file: Any) -> None:
    tab.set_input_files("#file", file)


def as_file(body: bytes, name: str = "picture.png", kind: str = "image/png") -> dict[str, Any]:
    return {"name": name, "mimeType": kind, "buffer": body}


def wait_for(tab: Any, place: str, text: str) -> None:
    tab.locator(place, has_text=text).wait_for(timeout=15_000)


def test_an_uploaded_photograph_is_shown_with_its_face(
    opened: Any, address: str, astronaut: Path
) -> None:
    choose(opened, astronaut)
    wait_for(opened, "#summary", "One face · 512 × 512 px")
    assert opened.inner_text(".face .label") == "Happy"
    assert opened.inner_text("dt.most") == "happy"
    assert opened.locator(".face dd").count() == 7
    assert opened.inner_text("#heard") == "One face; face 1: happy 90 %."
    assert "One face" in opened.get_attribute("#canvas", "aria-label")
    assert box_is_drawn(opened)
    assert opened.complaints == []
    assert all(url.startswith((address, "blob:")) for url in opened.asked)


BLUE = """() => {
  const canvas = document.getElementById("canvas");
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const colours = new Uint32Array(pixels.buffer);
  return colours.reduce((count, one) => count + (one === 0xfff0c06c), 0);
}"""


def box_is_drawn(tab: Any) -> bool:
    """Whether the canvas has pixels of the box's colour, #6cc0f0."""
    return int(tab.evaluate(BLUE)) > 200


def test_the_camera_is_answered_live_and_stops(opened: Any) -> None:
    opened.click("#camera")
    wait_for(opened, "#summary", "One face · live")
    assert opened.get_attribute("#camera", "aria-pressed") == "true"
    assert opened.inner_text(".face .label") == "Happy"
    for _ in range(3):
        with opened.expect_response(lambda one: one.url.endswith("predict"), timeout=20_000):
            pass
    assert opened.most_in_flight == 1
    opened.click("#camera")
    assert opened.get_attribute("#camera", "aria-pressed") == "false"
    assert opened.evaluate("video.srcObject") is None
    assert box_is_drawn(opened)  # the last frame stays
    assert opened.complaints == []


DROP = """({ bytes, type, how }) => {
  const files = new DataTransfer();
  files.items.add(new File([new Uint8Array(bytes)], "picture.png", { type }));
  const event = how === "paste"
    ? new ClipboardEvent("paste", { clipboardData: files, bubbles: true })
    : new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true });
  document.body.dispatchEvent(event);
}"""


@pytest.mark.parametrize("how", ["paste", "drop"])
def test_a_picture_is_pasted_or_dropped(opened: Any, how: str) -> None:
    body = picture(width=90, height=60, box=None)
    opened.evaluate(DROP, {"bytes": list(body), "type": "image/png", "how": how})
    wait_for(opened, "#summary", "No face found · 90 × 60 px")
    assert opened.locator(".face").count() == 0
    assert opened.inner_text("#heard") == "No face found."


def test_what_is_no_picture_or_too_large_is_said_in_words(opened: Any) -> None:
    choose(opened, as_file(b"no picture"))
    wait_for(opened, "#alert", "The picture cannot be read: it is no picture of a known type.")
    assert opened.get_attribute("#alert", "role") == "alert"
    choose(opened, as_file(bytes(2**20 + 1)))
    wait_for(opened, "#alert", "The file is larger than 1 MiB.")
    choose(opened, as_file(picture(box=None)))
    wait_for(opened, "#summary", "No face found")
    assert opened.locator("#alert").is_hidden()


def test_each_kind_of_answer_is_told_in_words(browser: Any) -> None:
    with serving(create_app(FakeModel(), FakeDetector())) as address:
        tab = browser.new_page()
        tab.goto(address)
        for box, words in [
            ((10, 20, 19, 19), "19 pixels high: too small to tell an expression."),
            ((10, 20, 2, 40), "Uncertain: no expression stands out."),
            ((10, 20, 30, 30), "Only 30 pixels high: less reliable."),
        ]:
            choose(tab, as_file(picture(box=box)))
            wait_for(tab, ".note", words)
        tab.close()


def test_everything_is_reached_by_keyboard(opened: Any, astronaut: Path) -> None:
    choose(opened, astronaut)
    wait_for(opened, "#summary", "One face")
    focused = []
    for _ in range(4):
        opened.keyboard.press("Tab")
        focused.append(
            opened.evaluate("document.activeElement.id || document.activeElement.className")
        )
        assert opened.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert focused == ["skip", "choose", "camera", "face lit"]
    with opened.expect_file_chooser():
        opened.focus("#choose")
        opened.keyboard.press("Enter")


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_sticks_out_of_the_page(opened: Any, astronaut: Path, width: int) -> None:
    opened.set_viewport_size({"width": width, "height": 844})
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    choose(opened, astronaut)
    wait_for(opened, "#summary", "One face")
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    box = opened.locator("#canvas").bounding_box()
    assert box["width"] == pytest.approx(box["height"], abs=1)  # square, as the photograph is


def test_the_honest_words_and_the_measured_accuracy_are_there(opened: Any) -> None:
    words = opened.inner_text("main + section")
    for part in (
        "An expression, not a feeling",
        "fitted to 28,709 faces of fer2013.",
        "right for 71.2 % of 3,589 test faces (95 % interval 69.7 % to 72.7 %)",
        "Not measured for fairness",
        "Regulation (EU) 2024/1689",
        "Article 5(1)(f)",
        "Article 50(3)",
    ):
        assert part in words
