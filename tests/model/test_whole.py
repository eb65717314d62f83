"""The packaged model through ``detect_and_predict``: the same face, the same answer."""

from pathlib import Path

import numpy as np
import pytest

import fer_features as fer
from fer_features import FerError
from fer_features.model.faces import as_faces
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


@pytest.mark.parametrize("shape", [(64, 64, 3), (48, 48), (2, 64, 4)])
def test_one_picture_is_not_taken_for_many_faces(shape: tuple[int, ...]) -> None:
    with pytest.raises(FerError, match="not a sequence of faces"):
        as_faces(np.zeros(shape, np.uint8))


def test_a_file_that_is_no_model_is_not_replaced(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(b"a photograph")
    with pytest.raises(FerError, match="is no model, and is not replaced"):
        fer.load_model().save(photo)
    assert photo.read_bytes() == b"a photograph"
    path = fer.load_model().save(tmp_path / "model")
    assert fer.load_model(fer.load_model().save(path)).classes == fer.load_model().classes
