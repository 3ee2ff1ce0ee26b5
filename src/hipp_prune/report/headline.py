"""What pruning saved and what it cost, in a line that needs no table."""

from collections.abc import Iterator

from hipp_prune.evaluation.scorecard import Scorecard
from hipp_prune.questions.benchmarks import BENCHMARKS


def headline(dense: Scorecard | None, pruned: Scorecard) -> str:
    """E.g. ``38% smaller, 1.4× faster, POPE −0.3 points``: what was measured of both, and nothing else.

    Without the dense model's scores: what the pruned model lost by its plan, and its own scores.
    """
    scores = _own_scores(pruned) if dense is None else _scores(dense, pruned)
    return ", ".join((*_size(dense, pruned), *_speed(pruned.speedup), *scores))


def _size(dense: Scorecard | None, pruned: Scorecard) -> Iterator[str]:
    """Bytes on disk, or parameters where the bytes are not known of both."""
    if dense is not None and dense.bytes and pruned.bytes is not None:
        saved, smaller, larger, same = 1 - pruned.bytes / dense.bytes, "smaller", "larger", "as large"
    elif pruned.ledger is not None:
        saved, smaller, larger, same = (
            pruned.ledger.model,
            "fewer parameters",
            "more parameters",
            "as many parameters",
        )
    else:
        return
    share = f"{abs(saved):.0%}" if abs(saved) >= 0.1 else f"{abs(saved):.1%}"
    yield same if share == "0.0%" else f"{share} {smaller if saved > 0 else larger}"


def _speed(ratio: float | None) -> Iterator[str]:
    """Dense time over pruned time; only what is above 1 is called faster."""
    if ratio is None:
        return
    text = f"{ratio:.2f}".rstrip("0").rstrip(".")
    if text == "1":
        yield "as fast"
    else:
        yield f"{text}× {'faster' if ratio > 1 else 'as fast'}"


def _scores(dense: Scorecard, pruned: Scorecard) -> Iterator[str]:
    """Points that each benchmark gained or lost, where both models were asked the same.

    Of a benchmark without labels, the share of answers that are the dense model's. Where the dense model only guesses,
    nothing could be lost, and that is said.
    """
    origins = [each.origin.questions for each in (dense, pruned) if each.origin is not None]
    if len(set(origins)) > 1 or dense.results.rule != pruned.results.rule:
        return
    for name, before in dense.results.scores.items():
        after = pruned.results.scores.get(name)
        if after is None or after.n != before.n:
            continue
        if BENCHMARKS[name].of_dense:
            yield f"{BENCHMARKS[name].title} {after.accuracy:.1%}"
            continue
        if before.accuracy <= before.chance:
            yield f"{BENCHMARKS[name].title} no better than guessing before ({before.accuracy:.1%})"
            continue
        points = f"{100 * (after.accuracy - before.accuracy):+.1f}"
        change = "as before" if float(points) == 0 else f"{points.replace('-', '−')} points"
        yield f"{BENCHMARKS[name].title} {change}"


def _own_scores(pruned: Scorecard) -> Iterator[str]:
    for name, score in pruned.results.scores.items():
        yield f"{BENCHMARKS[name].title} {score.accuracy:.1%}"
