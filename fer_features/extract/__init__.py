"""Stage 1: what is missing is read, run and written.

The package can be called: ``fer_features.extract(...)`` is
`fer_features.extract.run.extract_features`.
"""

from fer_features.runtime.callable_package import make_callable

make_callable(__name__, "fer_features.extract.run:extract_features")
