"""``fer serve``."""

from __future__ import annotations

import importlib.util
import socket
from ipaddress import ip_address

import typer

from fer_features.config import ServeConfig
from fer_features.errors import FerError, install_hint
from fer_features.runtime.console import print_message
from fer_features.runtime.interrupt import INTERRUPTED

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
    import fer_features as fer
    from fer_features.detect import Detector
    from fer_features.serve.app import create_app
    from fer_features.serve.limits import Limits
    from fer_features.serve.server import listen, make_server

    limits = Limits(bytes=config.max_mib * 2**20)
    own, name = _is_loopback(config.host), socket.gethostname()
    listener = listen(config.host, config.port)
    model = fer.load_model(config.model)
    names = config.allow_host if own else (*config.allow_host, config.host, name)
    app = create_app(model, Detector(), limits, names=names, addresses=not own)

    if not own:
        print_message(OPEN)
    host, port = listener.getsockname()[:2]
    shown = name if ip_address(host).is_unspecified else f"[{host}]" if ":" in host else host
    print_message(f"{model.name} answers at http://{shown}:{port}/ (Ctrl-C ends it)")
    try:
        with listener:
            make_server(app, limits).run(sockets=[listener])
    except KeyboardInterrupt:
        print_message("stopped")
        raise typer.Exit(INTERRUPTED) from None


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
