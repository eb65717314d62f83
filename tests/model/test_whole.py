"""The packaged model through ``detect_and_predict``: the same face, the same answer."""

from pathlib import Path

import numpy as np
import pytest

import fer_features as fer
from tests.model.fakes import save


def test_a_face_has_the_same_answer_in_any_batch_and_as_an_array(tmp_path: Path) -> None:
    images = fer.load_faces("sample").images[:40]
    model = fer.load_model("fernet", precision="float32")
    paths = [save(tmp_path / f"{place:02d}.png", image) for place, image in enumerate(images)]
    expected = model.predict_proba(images)
    together = model.detect_and_predict(paths, whole=True)
    alone = model.detect_and_predict(paths[7], whole=True)
    found = np.array([row.probabilities for row in together])
    assert np.abs(found - expected).max() < 1e-3
    assert alone[0].probabilities == pytest.approx(tuple(expected[7]), abs=1e-3)
    assert [row.label for row in together] == model.predict(paths).tolist()
