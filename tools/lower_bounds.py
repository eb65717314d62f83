"""Print the lower bound of each dependency as a pip constraint: ``name==version``."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path


def lower_bounds(pyproject: str) -> list[str]:
    """Constraints of all dependencies, those of extras too, that name a lower bound."""
    project = tomllib.loads(pyproject)["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    found: dict[str, str] = {}
    for requirement in (one for group in groups for one in group):
        match = re.match(r"([\w.-]+)(?:\[[^\]]*\])?>=([\w.]+)", requirement)
        if match:
            found[match[1]] = max(found.get(match[1], "0"), match[2], key=_numbers)
    return [f"{name}=={version}.*" for name, version in found.items()]


def _numbers(version: str) -> list[int]:
    return [int(one) for one in version.split(".")]


if __name__ == "__main__":
    path = Path(__file__).parents[1] / "pyproject.toml"
    print("\n".join(lower_bounds(path.read_text(encoding="utf-8"))))
