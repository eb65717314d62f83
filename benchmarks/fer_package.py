"""Run the scripts for the package `fer` of PyPI with the Python that has it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from fer_features.errors import FerError

INSTALL = '-m pip install "fer==25.10.3" "setuptools<81"'
"""What a Python of its own is called with to get the package; setuptools 81 lacks what it needs."""


def run_fer_package(python: Path, script: str, *arguments: Path) -> str:
    """The last line that a script of `benchmarks.peers` prints.

    Raises:
        FerError: the Python is not there, or the script fails, most often for want of the package.
    """
    command = [str(python), str(Path(__file__).parent / "peers" / script), *map(str, arguments)]
    hint = f"{python} {INSTALL}"
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  the user's own Python
    except OSError as error:
        raise FerError(
            f"{python} cannot be run: {error.strerror}",
            hint=f"python -m venv FOLDER, then FOLDER/bin/python {INSTALL}",
        ) from error
    lines = (done.stderr if done.returncode else done.stdout).strip().splitlines() or [""]
    if done.returncode:
        raise FerError(f"{python} cannot run the package fer: {lines[-1]}", hint=hint)
    return lines[-1]
