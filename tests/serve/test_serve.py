"""The endpoints: what is answered, what is refused, and that neither breaks the server."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from serve_examples import FakeDetector, FakeModel, encoded, picture, serving

from fer_features.config import EMOTIONS
from fer_features.model.card import WORDS
from fer_features.serve.app import create_app
from fer_features.serve.limits import Limits

JPEG = {"content-type": "image/jpeg"}


@contextmanager
def client_of(
    limits: Limits | None = None, model: Any = None, **options: Any
) -> Iterator[httpx.Client]:
    app = create_app(model or FakeModel(), FakeDetector(), limits, **options)
    with serving(app) as address, httpx.Client(base_url=address, timeout=60) as opened:
        yield opened


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with client_of() as opened:
        yield opened


def post(client: httpx.Client, body: Any, **headers: str) -> httpx.Response:
    return client.post("/api/predict", content=body, headers={**JPEG, **headers})


def test_a_face_gets_its_box_and_the_probability_of_each_class(client: httpx.Client) -> None:
    found = post(client, picture())
    assert found.status_code == 200
    answer = found.json()
    assert set(answer.pop("ms")) == {"decode", "detect", "predict"}
    (face,) = answer.pop("faces")
    assert answer == {"model": "fake", "classes": list(EMOTIONS), "width": 120, "height": 80}
    assert [face[name] for name in "xywh"] == [10, 20, 30, 40]
    assert (face["score"], face["size_px"], face["status"], face["label"]) == (
        0.9,
        40,
        "ok",
        "happy",
    )
    assert list(face["probabilities"]) == list(EMOTIONS)
    assert sum(face["probabilities"].values()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("body", "status", "label"),
    [
        pytest.param(picture(box=(10, 20, 19, 19)), "too_small", None, id="too small"),
        pytest.param(picture(box=(10, 20, 2, 40)), "uncertain", "angry", id="uncertain"),
    ],
)
def test_a_face_that_cannot_be_told_says_so(
    client: httpx.Client, body: bytes, status: str, label: str | None
) -> None:
    (face,) = post(client, body).json()["faces"]
    assert (face["status"], face["label"]) == (status, label)
    assert (face["probabilities"] is None) == (label is None)


def test_a_picture_without_a_face_has_no_faces(client: httpx.Client) -> None:
    assert post(client, picture(box=None)).json()["faces"] == []


def test_boxes_are_in_pixels_of_the_upright_whole_picture(client: httpx.Client) -> None:
    turned = Image.Exif()
    turned[274] = 6  # to be turned clockwise: (x, y) becomes (height - y, x)
    answer = post(client, picture(kind="JPEG", exif=turned, quality=95)).json()
    assert (answer["width"], answer["height"]) == (80, 120)
    box = [answer["faces"][0][name] for name in "xywh"]
    assert box == pytest.approx([80 - 20 - 40, 10, 40, 30], abs=1)
    large = picture(width=4000, height=3000, box=(400, 800, 1600, 1200))
    answer = post(client, large).json()
    assert (answer["width"], answer["height"]) == (4000, 3000)
    box = [answer["faces"][0][name] for name in "xywh"]
    assert box == pytest.approx([400, 800, 1600, 1200], abs=4)


def test_the_model_is_described(client: httpx.Client) -> None:
    facts = client.get("/api/model").json()
    assert (facts["name"], facts["classes"]) == ("fake", list(EMOTIONS))
    assert "28,709 faces of fer2013" in facts["learnt_from"][1]
    assert "71.2 % of 3,589 test faces (95 % interval 69.7 % to 72.7 %)" in facts["accuracy"]
    assert facts["max_bytes"] == 20 * 2**20


def test_the_page_loads_nothing_from_elsewhere(client: httpx.Client) -> None:
    for path in ("/", "/page.css", "/page.js", "/icon.svg"):
        found = client.get(path)
        assert found.status_code == 200
        policy = found.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert found.headers["x-content-type-options"] == "nosniff"
        assert found.headers["referrer-policy"] == "no-referrer"
        assert "camera=(self)" in found.headers["permissions-policy"]
    page = client.get("/").text
    assert "<style" not in page
    assert " style=" not in page
    assert "<script>" not in page


def test_the_page_says_what_the_card_says_and_names_no_data_of_its_own(
    client: httpx.Client,
) -> None:
    page = unescape(client.get("/").text)
    assert all(one in page for one in WORDS)
    assert "FER2013" not in page
    assert "$" not in page


def test_the_endpoints_are_described_as_openapi(client: httpx.Client) -> None:
    found = client.get("/api/openapi.json").json()
    assert list(found["paths"]) == ["/api/model", "/api/predict"]
    assert "image/*" in found["paths"]["/api/predict"]["post"]["requestBody"]["content"]


REFUSED = [
    pytest.param(b"", {}, 400, "the body is empty", id="empty"),
    pytest.param(b"x", {"content-type": "text/plain"}, 415, "the content type", id="text"),
    pytest.param(b"x", {"content-type": ""}, 415, "the content type", id="no type"),
    pytest.param(b"x" * 100, {}, 422, "no picture of a known type", id="no picture"),
    pytest.param(picture()[:90], {}, 422, "cannot be read", id="half a picture"),
    pytest.param(b"%!PS-Adobe-3.0 EPSF-3.0\n", {}, 422, "no picture of a known type", id="EPS"),
    pytest.param(b"x", {"origin": "http://evil.example"}, 403, "another site", id="origin"),
    pytest.param(b"x", {"origin": "http://127.0.0.1:9"}, 403, "another site", id="port"),
    pytest.param(b"x", {"origin": "null"}, 403, "another site", id="null"),
    pytest.param(b"x", {"sec-fetch-site": "cross-site"}, 403, "another site", id="fetch"),
    pytest.param(b"x", {"sec-fetch-site": "same-site"}, 403, "another site", id="same site"),
    pytest.param(b"x", {"host": "evil.example"}, 403, "the name evil.example", id="rebinding"),
    pytest.param(b"x", {"host": "192.168.1.7:8000"}, 403, "192.168.1.7", id="other address"),
    pytest.param(b"x", {"host": "127.0.0.1@evil"}, 400, "no host", id="host"),
]


@pytest.mark.parametrize(("body", "headers", "status", "error"), REFUSED)
def test_what_is_refused_says_why(
    client: httpx.Client, body: bytes, headers: dict[str, str], status: int, error: str
) -> None:
    found = post(client, body, **headers)
    assert found.status_code == status
    assert set(found.json()) == {"error", "hint"}
    assert error in found.json()["error"]
    assert "default-src 'none'" in found.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/etc/passwd", 404), ("GET", "/api/predict", 405), ("OPTIONS", "/api/predict", 405)],
)
def test_other_paths_and_methods_are_refused(
    client: httpx.Client, method: str, path: str, status: int
) -> None:
    found = client.request(method, path)
    assert found.status_code == status
    assert set(found.json()) == {"error", "hint"}
    assert "access-control-allow-origin" not in found.headers


@pytest.mark.parametrize(
    ("head", "error"),
    [
        pytest.param(b"GET /api/model HTTP/1.0\r\n", "the request names no host", id="1.0"),
        pytest.param(b"GET /api/model HTTP/1.1\r\n", "the request is no valid HTTP", id="1.1"),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n", "the request is no valid HTTP", id="two"
        ),
        pytest.param(b"nonsense\r\n", "the request is no valid HTTP", id="nonsense"),
    ],
)
def test_a_request_without_a_valid_host_is_refused_in_json(
    client: httpx.Client, head: bytes, error: str
) -> None:
    found = raw(client.base_url.port, head + b"\r\n")
    assert (found.status_code, found.json()["error"]) == (400, error)
    assert set(found.json()) == {"error", "hint"}
    assert found.headers["content-type"] == "application/json"
    assert "default-src 'none'" in found.headers["content-security-policy"]


def test_one_connection_too_many_is_refused_in_json() -> None:
    app = create_app(FakeModel(), FakeDetector(), Limits())
    with serving(app, connections=1) as address:
        found = httpx.get(f"{address}/api/model")
    assert (found.status_code, found.headers["retry-after"]) == (503, "1")
    assert found.json()["error"] == "too many connections are open"


def raw(port: int | None, request: bytes) -> httpx.Response:
    """What a server answers to these bytes before it closes the connection."""
    with socket.create_connection(("127.0.0.1", port or 80), timeout=5) as connection:
        connection.sendall(request)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = [line.split(": ", 1) for line in lines]
    return httpx.Response(int(status.split()[1]), headers=dict(headers), content=body)


@pytest.mark.parametrize("host", ["localhost:8000", "LOCALHOST", "127.0.0.2:1", "[::1]:8000"])
def test_this_machine_is_let_in_by_any_of_its_names(client: httpx.Client, host: str) -> None:
    own = {"host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin"}
    assert post(client, picture(), **own).status_code == 200
    link = {"host": host, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client.get("/", headers=link).status_code == 200


def test_names_and_addresses_are_let_in_where_that_is_asked_for() -> None:
    with client_of(names=["Faces.example"], addresses=True) as opened:
        for host in ("faces.example", "192.168.1.7:8000"):
            assert opened.get("/", headers={"host": host}).status_code == 200
        assert opened.get("/", headers={"host": "evil.example"}).status_code == 403


def test_a_picture_of_too_many_bytes_or_pixels_is_refused() -> None:
    with client_of(Limits(bytes=10_000, pixels=1_000_000)) as opened:
        for size in (10_001, 30_000):
            found = post(opened, b"x" * size)
            assert (found.status_code, found.json()["hint"]) == (413, "send a smaller picture")
        found = post(opened, iter([b"x" * 6_000] * 100))
        assert found.status_code == 413
        found = post(opened, encoded(np.zeros((1001, 1000), np.uint8)))
        assert found.status_code == 413
        assert found.json()["error"] == "the picture has more than 1 million pixels"
        assert post(opened, picture()).status_code == 200


def test_a_fault_of_the_program_is_one_line_and_tells_nothing(
    capfd: pytest.CaptureFixture[str],
) -> None:
    class Broken(FakeModel):
        def probabilities(self, images: Any) -> Any:
            raise RuntimeError("secret")

    with client_of(model=Broken()) as opened:
        found = post(opened, picture())
        assert found.status_code == 500
        assert "secret" not in found.text
        assert post(opened, picture(box=None)).status_code == 200
    out, err = capfd.readouterr()
    assert out == ""
    line = r"fault: RuntimeError in test_serve.py, line \d+; the server goes on\n"
    assert re.fullmatch(line, err)


def malformed(rng: np.random.Generator) -> Iterator[bytes]:
    """500 files: cut, with bytes changed, of the wrong kind, and noise."""
    kinds = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
    whole = [picture(width=60, height=40, box=(5, 5, 30, 30), kind=kind) for kind in kinds]
    for number in range(500):
        body = bytearray(whole[number % len(whole)])
        match number // len(whole) % 4:
            case 0:
                body = body[: rng.integers(len(body))]
            case 1:
                for place in rng.integers(0, len(body), 1 + number % 9):
                    body[place] = rng.integers(256)
            case 2:
                start = rng.integers(len(body))
                body[start : start + 20] = rng.bytes(20)
            case 3:
                body = body[:12] + rng.bytes(rng.integers(2, 400))
        yield bytes(body)


def test_500_malformed_pictures_leave_it_up_and_correct(
    client: httpx.Client, rng: np.random.Generator, capfd: pytest.CaptureFixture[str]
) -> None:
    right = post(client, picture()).json()["faces"]
    for body in malformed(rng):
        found = post(client, body)
        assert found.status_code in (200, 400, 413, 422), found.text
        assert found.status_code == 200 or set(found.json()) == {"error", "hint"}
    assert post(client, picture()).json()["faces"] == right
    assert capfd.readouterr() == ("", "")


async def many(address: str, bodies: list[bytes]) -> list[httpx.Response]:
    async with httpx.AsyncClient(timeout=60) as opened:
        url = f"{address}/api/predict"
        return await asyncio.gather(
            *(opened.post(url, content=body, headers=JPEG) for body in bodies)
        )


@pytest.mark.parametrize("waiting", [4, 64])
def test_50_at_once_are_each_answered_right_or_asked_to_wait(waiting: int) -> None:
    limits = Limits(waiting=waiting)
    boxes = [(number, 2 * number % 40, 20 + number, 25 + number % 15) for number in range(50)]
    bodies = [picture(box=box) for box in boxes]
    with serving(create_app(FakeModel(), FakeDetector(), limits)) as address:
        for _ in range(2):
            answers = asyncio.run(many(address, bodies))
            refused = [one for one in answers if one.status_code == 503]
            assert all(one.headers["retry-after"] == "1" for one in refused)
            assert len(refused) <= (0 if waiting == 64 else 50 - 6)
            for answer, box in zip(answers, boxes, strict=True):
                if answer not in refused:
                    (face,) = answer.json()["faces"]
                    assert tuple(face[name] for name in "xywh") == box
        assert httpx.get(f"{address}/api/model").status_code == 200


def test_the_page_is_served_while_the_model_works() -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Slow(FakeModel):
        def probabilities(self, images: Any) -> Any:
            begun.set()
            go_on.wait(10)
            return super().probabilities(images)

    app = create_app(Slow(), FakeDetector(), Limits(workers=1, waiting=0, answer_s=0.3))
    with serving(app) as address:
        url = f"{address}/api/predict"
        slow = threading.Thread(
            target=lambda: answers.append(httpx.post(url, content=picture(), headers=JPEG))
        )
        answers: list[httpx.Response] = []
        slow.start()
        assert begun.wait(10)
        assert httpx.get(address).status_code == 200
        full = httpx.post(url, content=picture(), headers=JPEG)
        assert (full.status_code, full.headers["retry-after"]) == (503, "1")
        slow.join()  # its time is up, but its thread still works
        assert (answers[0].status_code, "no answer within" in answers[0].text) == (503, True)
        assert httpx.post(url, content=picture(), headers=JPEG).status_code == 503
        go_on.set()
        statuses = _until(200, lambda: httpx.post(url, content=picture(), headers=JPEG))
        assert statuses <= {503, 200}


def _until(status: int, ask: Any, seconds: float = 10) -> set[int]:
    seen: set[int] = set()
    end = time.monotonic() + seconds
    while status not in seen and time.monotonic() < end:
        seen.add(ask().status_code)
    assert status in seen
    return seen


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        pytest.param(b"", b"", id="silence"),
        pytest.param(b"POST /api/predict HTTP/1.1\r\nHost: local", b"", id="half a head"),
        pytest.param(
            b"GET /api/model HTTP/1.1\r\nHost: localhost\r\n\r\n|GET /", b"200 OK", id="second head"
        ),
        pytest.param(
            b"POST /api/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
            b"Content-Length: 500\r\n\r\nhalf",
            b"408 Request Timeout",
            id="half a body",
        ),
    ],
)
def test_a_client_that_stops_sending_is_dropped(sent: bytes, answer: bytes) -> None:
    limits = Limits(head_s=0.2, body_s=0.2)
    app = create_app(FakeModel(), FakeDetector(), limits)
    with serving(app, head_s=0.2) as address:
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            first, _, second = sent.partition(b"|")
            connection.sendall(first)
            received = connection.recv(65536) if second else b""
            connection.sendall(second)
            while part := connection.recv(65536):  # until the server closes it
                received += part
        assert answer in received
        assert bool(answer) == bool(received)
