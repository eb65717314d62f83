"""``python -m benchmarks.child``: the program that does one job of `fer bench`."""

from __future__ import annotations

from benchmarks.protocol import Contender, Message, serve


def make_contender(job: Message) -> Contender:
    """The contender of a job, by its ``kind``; each kind imports what only it needs."""
    kind = job["kind"]
    if kind == "matmul":
        from benchmarks.matmul import make_product

        return make_product(job)
    if kind == "extract":
        from benchmarks.whole_child import WholeExtraction

        return WholeExtraction(job)
    if kind == "merge":
        from benchmarks.whole_child import Merging

        return Merging(job)
    if kind == "head":
        from benchmarks.heads_child import HeadContender

        return HeadContender(job)
    from benchmarks.contenders import EngineContender, NaiveContender

    return NaiveContender(job) if kind == "naive" else EngineContender(job)


def main() -> None:
    """Serve the parent."""
    serve(make_contender)


if __name__ == "__main__":
    main()
