"""An engine that is built once for all passes with one graph."""

from __future__ import annotations

from fer_features.cache import GRAPHS
from fer_features.engines import Engine, GraphSpec, make_engine
from fer_features.extract.plan import Pass, Plan
from fer_features.runtime.progress import Log, no_log


class KeptEngine:
    """The engine of the last pass, for the next one with the same graph.

    Args:
        threads: as for `make_engine`.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads
        self._graph: GraphSpec | None = None
        self._engine: Engine | None = None

    def get(self, plan: Plan, work: Pass, log: Log = no_log) -> Engine:
        """The engine of a pass; building it takes seconds."""
        graph = plan.graph(work.features)
        if self._engine is None or graph != self._graph:
            self.close()
            self._engine = make_engine(
                plan.engine.engine,
                graph,
                batch_size=plan.config.batch_size,
                graphs=plan.config.cache_dir / GRAPHS,
                threads=self._threads,
                log=log,
            )
            self._graph = graph
        return self._engine

    def close(self) -> None:
        """Release the engine's threads and memory."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None
