"""scikit-learn-intelex beside plain scikit-learn, and beside OpenVINO in one process."""

import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import skops.io

from fer_features.heads import load_head, make_head
from fer_features.heads.accel import estimators, plain
from fer_features.heads.choice import Part
from fer_features.heads.machines import fit_machines

needs_sklearnex = pytest.mark.skipif(not find_spec("sklearnex"), reason="no scikit-learn-intelex")
needs_both = pytest.mark.skipif(
    not (find_spec("sklearnex") and find_spec("openvino")), reason="needs both libraries"
)


def overlapping(n, *, n_classes, seed=0):
    random = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    return (random.normal(size=(n, 12)) + 1.5 * np.eye(n_classes, 12)[y]).astype(np.float32), y


def both_ways(monkeypatch, make):
    """What `make` returns by scikit-learn-intelex, and by plain scikit-learn."""
    quick = make()
    for module in ("logreg", "machines", "svm"):
        monkeypatch.setattr(f"fer_features.heads.{module}.estimators", plain)
    return quick, make()


@needs_sklearnex
@pytest.mark.parametrize("n_classes", [2, 3, 4])
@pytest.mark.parametrize("name", ["logreg", "svm"])
def test_both_libraries_fit_the_same_model(monkeypatch, name, n_classes):
    X, y = overlapping(240, n_classes=n_classes)
    held, test = (overlapping(120, n_classes=n_classes, seed=seed) for seed in (1, 2))
    quick, slow = both_ways(monkeypatch, lambda: make_head(name).fit(X, y, validation=held))
    assert quick.chosen_["solver"].startswith("scikit-learn-intelex")
    assert slow.chosen_["solver"].startswith("scikit-learn 1")
    losses = [[one["log_loss"] for one in head.chosen_["candidates"]] for head in (quick, slow)]
    np.testing.assert_allclose(*losses, rtol=0.01)
    np.testing.assert_allclose(quick.predict_proba(test[0]), slow.predict_proba(test[0]), atol=0.02)


@needs_sklearnex
@pytest.mark.parametrize("n_classes", [2, 4])
def test_both_libraries_give_the_same_decision_values(monkeypatch, n_classes):
    X, y = overlapping(200, n_classes=n_classes)
    part = Part(X, np.arange(200), y)
    options = {"Cs": (30.0, 1.0), "gammas": (0.5, 2.0), "max_kernel_gb": 1.0, "n_jobs": 1}
    for own, others in zip(
        *both_ways(monkeypatch, lambda: fit_machines(part, **options)), strict=True
    ):
        for one, other in zip(own, others, strict=True):
            np.testing.assert_allclose(one.values(X), other.values(X), atol=0.02)


@needs_sklearnex
def test_a_greater_c_is_not_fitted_where_no_coefficient_has_reached_its_bound(monkeypatch):
    fits = []
    kind = estimators()

    def counted(**options):
        fits.append(options["C"])
        return kind.svc(**options)

    monkeypatch.setattr(
        "fer_features.heads.machines.estimators", lambda: kind._replace(svc=counted)
    )
    X, y = overlapping(60, n_classes=2)
    part = Part(X, np.arange(60), y)
    ((large, small, larger),) = fit_machines(
        part, Cs=(1e3, 1e-2, 1e4), gammas=(3.0,), max_kernel_gb=1.0, n_jobs=1
    )
    assert fits == [1e-2, 1e3]
    np.testing.assert_array_equal(large.weights, larger.weights)
    assert np.abs(small.weights).max() == pytest.approx(1e-2)


@needs_sklearnex
@pytest.mark.parametrize("name", ["logreg", "svm"])
def test_a_model_file_holds_nothing_of_scikit_learn_intelex(name, tmp_path):
    X, y = overlapping(60, n_classes=3)
    path = make_head(name).fit(X, y).save(tmp_path / "model")
    assert len(skops.io.get_untrusted_types(file=path)) == 1  # the head's own class
    code = (
        "import sys; sys.modules.update(sklearnex=None, onedal=None, daal4py=None);"
        "from fer_features.heads import load_head; import numpy as np;"
        f"print(load_head({name!r}, {str(path)!r}).predict(np.ones((2, 12))).tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == str(load_head(name, path).predict(np.ones((2, 12))).tolist())


@needs_sklearnex
@pytest.mark.parametrize("name", ["logreg", "svm"])
def test_the_same_seed_gives_the_same_model(name):
    X, y = overlapping(300, n_classes=3)
    one, other = (make_head(name, random_state=3).fit(X, y) for _ in range(2))
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


def test_scikit_learn_itself_stays_what_it_is():
    X, y = overlapping(60, n_classes=2)
    make_head("logreg").fit(X, y)
    import sklearn.svm

    assert sklearn.svm.SVC.__module__ == "sklearn.svm._classes"


HEAD = """
from fer_features.heads import make_head
import numpy as np
X = np.random.default_rng(0).normal(size=(60, 4)).astype("f")
head = make_head("svm").fit(X, (X[:, 0] > 0) * 1)
print(head.chosen_["solver"].split()[0])
"""
ENGINE = """
from fer_features.runtime.openvino_runtime import import_openvino
ov = import_openvino()
from openvino import opset13 as ops
import numpy as np
x = ops.parameter([2, 2], np.float32)
model = ov.Core().compile_model(ov.Model([ops.matmul(x, x, False, False)], [x], "square"), "CPU")
assert (model([np.ones((2, 2), np.float32)])[0] == 2).all()
"""


@needs_both
@pytest.mark.parametrize(
    ("code", "solver"),
    [
        (ENGINE + HEAD, "scikit-learn-intelex"),
        (HEAD + ENGINE, "scikit-learn-intelex"),
    ],
    ids=["the engine first", "the head first"],
)
def test_openvino_and_scikit_learn_intelex_share_a_process(code, solver):
    command = [sys.executable, "-W", "error::RuntimeWarning", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert (done.stdout.split(), done.stderr) == ([solver], "")


@needs_both
def test_a_head_is_fitted_even_where_openvino_was_imported_first():
    command = [sys.executable, "-c", "import openvino\n" + HEAD]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    if done.stdout.split() == ["scikit-learn"]:
        assert "was OpenVINO imported first?" in done.stderr
    else:  # their two copies of TBB go together
        assert done.stdout.split() == ["scikit-learn-intelex"]
