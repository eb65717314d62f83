"""The commands and programs in README.md and docs/ run as they stand.

Blocks marked ``sh`` and ``python`` are run, in their order, in one folder for all documents; blocks
marked ``console`` need data, weights or a network that a test does not have.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fer_features.cli import app

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(path: Path) -> Iterator[tuple[str, str]]:
    for found in BLOCK.finditer(path.read_text(encoding="utf-8")):
        yield found[1], found[2]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all documents, so that the sample is extracted once."""
    folder = tmp_path_factory.mktemp("docs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for head in ([], ["fit", "--head", "logreg"]):
            args = head or ["extract", "sample", "--weights", "random:0"]
            assert CliRunner().invoke(app, args).exit_code == 0
    return folder


@pytest.mark.long
@pytest.mark.parametrize(
    "path", [path for path in DOCUMENTS if any(blocks(path))], ids=lambda path: path.name
)
def test_what_a_document_shows_runs(
    path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shared)
    names: dict[str, object] = {"__name__": path.stem}
    for kind, text in blocks(path):
        if kind == "python":
            runnable = re.sub(
                r'"cache/[^"]*….h5"', f'"{next(shared.glob("cache/sample-inception*.h5"))}"', text
            )
            exec(compile(runnable, path.name, "exec"), names)  # noqa: S102  ours
            continue
        for line in text.splitlines():
            program, *args = shlex.split(line, comments=True)
            assert program == "fer", f"{path.name}: {line}: only fer is run in sh blocks"
            result = CliRunner().invoke(app, args)
            assert result.exit_code == 0, f"{path.name}: {line}: {result.output}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_to_a_file_leads_somewhere(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text(encoding="utf-8"))
    missing = [link for link in links if not (path.parent / link).exists()]
    assert not missing
