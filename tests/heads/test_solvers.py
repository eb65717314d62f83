"""scikit-learn-intelex beside plain scikit-learn, and beside OpenVINO in one process."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
import skops.io
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from fer_features.heads import load_head, make_head, solvers
from fer_features.heads.checks import HeadError
from fer_features.heads.solvers import Machine, rbf, solve_svms

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
    monkeypatch.setattr(solvers, "intelex", lambda: None)
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


LIMITS = {"max_kernel_gb": 1.0, "n_jobs": 1}


def machines(X, y, *, Cs, gamma):
    """Fitted SVMs on features that are standardised already, as far as the scaler can tell."""
    scaler = StandardScaler(with_mean=False, with_std=False).fit(X)
    solutions = solve_svms(X, y, Cs=Cs, gamma=gamma, **LIMITS)
    return [Machine(scaler, X, gamma, *solution) for solution in solutions]


@needs_sklearnex
@pytest.mark.parametrize("n_classes", [2, 4])
def test_both_libraries_give_the_same_decision_values(monkeypatch, n_classes):
    X, y = overlapping(200, n_classes=n_classes)
    X /= X.std()
    both = both_ways(monkeypatch, lambda: machines(X, y, Cs=(30.0, 1.0), gamma=0.05))
    for one, other in zip(*both, strict=True):
        np.testing.assert_allclose(one.values(X), other.values(X), atol=0.02)


@needs_sklearnex
def test_a_greater_c_is_not_fitted_where_no_coefficient_has_reached_its_bound(monkeypatch):
    fits, svc = [], solvers.intelex().svm.SVC

    def counted(**options):
        fits.append(options["C"])
        return svc(**options)

    counting = SimpleNamespace(svm=SimpleNamespace(SVC=counted))
    monkeypatch.setattr(solvers, "intelex", lambda: counting)
    X, y = overlapping(60, n_classes=2)
    large, small, larger = machines(X, y, Cs=(1e3, 1e-2, 1e4), gamma=0.2)
    assert fits == [1e-2, 1e3]
    np.testing.assert_array_equal(large.weights, larger.weights)
    assert np.abs(small.weights).max() == pytest.approx(1e-2)


# --- decision values


def test_rbf_is_the_exponential_of_squared_distance():
    a, b = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    np.testing.assert_allclose(rbf(a, b, gamma=0.3), rbf_kernel(a, b, gamma=0.3), rtol=1e-5)
    assert rbf(a, a, gamma=0.3).max() <= 1


@pytest.mark.parametrize("n_classes", [2, 3, 4])
def test_decision_values_are_scikit_learns(monkeypatch, n_classes):
    monkeypatch.setattr(solvers, "intelex", lambda: None)
    (X, y), (other, _) = (overlapping(80, n_classes=n_classes, seed=seed) for seed in (0, 1))
    (machine,) = machines(X, y, Cs=(3.0,), gamma=0.1)
    svc = SVC(C=3.0, gamma=0.1, decision_function_shape="ovo").fit(X, y)
    pairs = svc.decision_function(other)
    expected = np.zeros((80, n_classes))
    if n_classes == 2:
        expected = pairs[:, None]
    else:
        places = [(i, j) for i in range(n_classes) for j in range(i + 1, n_classes)]
        for pair, (i, j) in enumerate(places):
            expected[:, i] += pairs[:, pair]
            expected[:, j] -= pairs[:, pair]
    np.testing.assert_allclose(machine.values(other), expected, atol=5e-3)


def test_a_kernel_matrix_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(solvers, "intelex", lambda: None)
    with pytest.raises(HeadError, match="max_kernel_gb"):
        make_head("svm", max_kernel_gb=1e-6).fit(*overlapping(60, n_classes=2))


def test_more_rows_than_an_svm_can_be_fitted_to_are_refused_before_it_starts(monkeypatch):
    X, y = overlapping(60, n_classes=2)
    make_head("svm", max_rows=60).fit(X, y)
    monkeypatch.setattr("fer_features.heads.svm.solve_svms", None)  # nothing is solved
    with pytest.raises(HeadError, match="60 training rows, more than max_rows = 59") as error:
        make_head("svm", max_rows=59).fit(X, y)  # a part is held out, and fitted to at the end
    assert "logreg" in error.value.hint


# --- files and processes


@needs_sklearnex
def test_a_model_file_holds_nothing_of_scikit_learn_intelex(tmp_path):
    X, y = overlapping(60, n_classes=3)
    code = (
        "import sys; sys.modules.update(sklearnex=None, onedal=None, daal4py=None);"
        "from fer_features.heads import load_head; import numpy as np;"
    )
    expected = []
    for name in ("logreg", "svm"):
        path = make_head(name).fit(X, y).save(tmp_path / name)
        assert len(skops.io.get_untrusted_types(file=path)) == 1  # the head's own class
        code += f"print(load_head({name!r}, {str(path)!r}).predict(np.ones((2, 12))).tolist());"
        expected.append(str(load_head(name, path).predict(np.ones((2, 12))).tolist()))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.splitlines() == expected


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

    assert sklearn.svm.SVC.__module__.startswith("sklearn.")


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


@pytest.fixture(scope="module")
def processes():
    """Processes of both packages, which take seconds to import: run two at a time."""
    programs = {
        "the engine first": ("error::RuntimeWarning", ENGINE + HEAD),
        "the head first": ("error::RuntimeWarning", HEAD + ENGINE),
        "imported first": ("default::RuntimeWarning", "import openvino\n" + HEAD),
    }

    def ended(warnings, code):
        command = [sys.executable, "-W", warnings, "-c", code]
        return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603

    with ThreadPoolExecutor(2) as pool:
        yield {name: pool.submit(ended, *program) for name, program in programs.items()}


@needs_both
@pytest.mark.parametrize("name", ["the engine first", "the head first"])
def test_openvino_and_scikit_learn_intelex_share_a_process(name, processes):
    done = processes[name].result()
    assert (done.stdout.split(), done.stderr) == (["scikit-learn-intelex"], "")


@needs_both
def test_a_head_is_fitted_even_where_openvino_was_imported_first(processes):
    done = processes["imported first"].result()
    assert done.returncode == 0
    if done.stdout.split() == ["scikit-learn"]:
        assert "OpenVINO" in done.stderr
    else:  # their two copies of TBB go together
        assert done.stdout.split() == ["scikit-learn-intelex"]
