"""Stage 2: labelled rows, splits, contamination, fitting, calibration.

The package can be called: ``fer_features.fit(...)`` is `fer_features.fit.fit.fit`.
"""

from fer_features.runtime.callable_package import make_callable

make_callable(__name__, "fer_features.fit.fit:fit")
