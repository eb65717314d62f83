"""Facial-expression classification in two stages: features cached once, heads in seconds.

```python
import fer_features as fer

faces = fer.load_faces("sample")
cache = fer.extract("sample", backbone="hog")
run = fer.fit(cache, head="svm", split="grouped")
print(fer.compare([run]).to_markdown())
```

What is listed in `__all__` is imported when it is first used.
"""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from fer_features.errors import FerError

if TYPE_CHECKING:
    from fer_features.backbones import list_backbones
    from fer_features.cache import Cache
    from fer_features.data import Faces, load_faces
    from fer_features.extract.extractor import FeatureExtractor
    from fer_features.extract.run import extract_features as extract
    from fer_features.fit.fit import fit
    from fer_features.heads import list_heads
    from fer_features.model.load import load_model
    from fer_features.model.model import Model
    from fer_features.runs.compare import Comparison, compare
    from fer_features.runs.run import Run, read_run

__all__ = [
    "Cache",
    "Comparison",
    "Faces",
    "FeatureExtractor",
    "FerError",
    "Model",
    "Run",
    "__version__",
    "compare",
    "extract",
    "fit",
    "list_backbones",
    "list_heads",
    "load_faces",
    "load_model",
    "read_run",
]

__version__ = "0.1.0"

_HOMES = {
    "Cache": "fer_features.cache:Cache",
    "Comparison": "fer_features.runs.compare:Comparison",
    "Faces": "fer_features.data:Faces",
    "FeatureExtractor": "fer_features.extract.extractor:FeatureExtractor",
    "Model": "fer_features.model.model:Model",
    "Run": "fer_features.runs.run:Run",
    "compare": "fer_features.runs.compare:compare",
    "extract": "fer_features.extract",  # rooms that can be called
    "fit": "fer_features.fit",
    "list_backbones": "fer_features.backbones:list_backbones",
    "list_heads": "fer_features.heads:list_heads",
    "load_faces": "fer_features.data:load_faces",
    "load_model": "fer_features.model.load:load_model",
    "read_run": "fer_features.runs.run:read_run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return resolve_name(_HOMES[name])


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
