"""Which of a comparison's runs is best, if that can be said at all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fer_features.compare import Comparison
from fer_features.errors import FerError
from fer_features.intervals import Verdict, verdict


def verdict_of(
    comparison: Comparison, *, note: Callable[[str], None] | None = None
) -> Verdict | None:
    """What the paired tests on the test rows say of the run that validation puts first.

    Args:
        comparison: runs on the same split.
        note: told why there is no verdict.

    Returns:
        None where there are not two runs, or the predictions of one cannot be read.
    """
    if len(comparison.runs) < 2:
        return None
    try:
        tests = [run.predictions().test for run in comparison.runs]
    except FerError as error:
        if note is not None:
            note(f"no verdict: {error.message}")
        return None
    if any(not np.array_equal(tests[0].row, one.row) for one in tests):
        raise FerError(
            "runs of one table have different test rows: their folders have been mixed up",
            hint="fit them again",
        )
    return verdict(
        comparison.names,
        tests[0].label,
        [one.probability for one in tests],
        validation_accuracy=[run.record["validation"]["accuracy"] for run in comparison.runs],
    )
