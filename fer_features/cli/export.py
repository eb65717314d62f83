"""``fer export``."""

from __future__ import annotations

from fer_features.cli.flags import Json
from fer_features.config import ExportConfig
from fer_features.runtime.console import emit_json, print_line, print_message


def export(config: ExportConfig, *, json: Json = False) -> None:
    """Write a model as one graph for other programs: faces in, probabilities out.

    Its input is uint8 faces (N, 48, 48), its output probabilities (N, K). The file is compared with
    the model on 64 faces of the built-in sample before it is kept.
    """
    from fer_features.model.export import export_model
    from fer_features.model.load import load_model

    model = load_model(config.model, precision="float32")
    done = export_model(model, config.format, config.out, log=print_message)
    facts = {"path": str(done.path), "format": config.format, "classes": list(model.classes)}
    if json:
        emit_json(facts | {"difference": done.difference, "faces": done.faces})
        return
    print_line(
        f"{done.path}: {', '.join(model.classes)}; largest difference from the model on "
        f"{done.faces} faces {done.difference:.1e}"
    )
