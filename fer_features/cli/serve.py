"""``fer serve``."""

from __future__ import annotations

import importlib.util
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING

from fer_features.config import ServeConfig
from fer_features.errors import FerError, install_hint
from fer_features.runtime.console import print_message
from fer_features.runtime.interrupt import prompt_interrupt

if TYPE_CHECKING:
    from fastapi import FastAPI

    from fer_features.serve.limits import Limits

OPEN = (
    "warning: anybody who can reach this machine can send pictures and read the answers: there is "
    "no password and no TLS"
)


def serve(config: ServeConfig) -> None:
    """Show a page, and a JSON endpoint, that answer for a picture.

    Drop a picture on the page, choose or paste one, or use the camera: faces are found, and each
    gets the probability of each expression. Pictures go to this program only, and nothing is kept.

    An expression is not a feeling, and this has not been measured for fairness. The EU's AI Act
    (Regulation (EU) 2024/1689) bans inferring emotions at work and in education, except for medical
    or safety reasons (Art. 5(1)(f)), and asks that people be informed (Art. 50).
    """
    _check_installed()
    from fer_features.serve.limits import Limits
    from fer_features.serve.server import listen, make_server

    limits = Limits(bytes=config.max_mib * 2**20)
    with prompt_interrupt("stopped"), listen(config.host, config.port) as listener:
        app = _make_app(config, limits)
        if not _is_loopback(config.host):
            print_message(OPEN)
        print_message(f"{config.model} answers at {_url(listener)} (Ctrl-C ends it)")
        make_server(app, limits).run(sockets=[listener])


def _make_app(config: ServeConfig, limits: Limits) -> FastAPI:
    """The application, its networks built, so that the first answer is as quick as the others."""
    import numpy as np

    import fer_features as fer
    from fer_features.detect import Detector
    from fer_features.serve.app import create_app

    model, detector = fer.load_model(config.model), Detector()
    detector.detect(np.zeros((480, 640, 3), np.uint8))
    model.probabilities(np.zeros((1, 48, 48), np.uint8))
    own = _is_loopback(config.host)
    names = config.allow_host if own else (*config.allow_host, config.host, socket.gethostname())
    return create_app(model, detector, limits, names=names, addresses=not own)


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    if ip_address(host).is_unspecified:
        host = socket.gethostname()
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _check_installed() -> None:
    missing = [name for name in ("fastapi", "uvicorn") if not importlib.util.find_spec(name)]
    if missing:
        raise FerError(
            f"fer serve needs {' and '.join(missing)}, not installed", hint=install_hint("serve")
        )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
