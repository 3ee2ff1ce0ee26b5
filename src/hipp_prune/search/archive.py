"""Every evaluation a search has paid for: appended to a JSON-lines file, looked up before paying again."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hipp_prune import distributed
from hipp_prune.errors import IncompleteRunError, RunError
from hipp_prune.plans.arrays import Floats, Ints

SYNC_SECONDS = 1.0
"""How long an evaluation may stay in the system's memory before the archive waits for the disk."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One plan asked one minibatch. Its objectives do not depend on the preference it was drawn for."""

    kept: tuple[int, ...]
    """Neurons kept by each unit, length U."""
    minibatch: str
    """Which questions it was asked; plans are comparable within a minibatch."""
    robustness: float
    """R_rob, raw."""
    utility: float
    """R_util, raw."""
    accuracies: dict[str, float]
    """Accuracy on the minibatch's questions of each benchmark, in [0, 1]."""
    questions: int
    """Questions it was asked: the price of the evaluation."""
    sparsity: float
    """Realised sparsity."""
    source: str
    """What proposed it, e.g. ``warm-up``, ``surrogate`` or ``policy``."""
    seconds: float
    """Wall time of the evaluation."""
    z: tuple[float, ...] | None = None
    """Raw action, for plans the policy drew."""
    budget: tuple[float, float] | None = None
    """Budget interval it was drawn for."""
    preference: tuple[float, float, float] | None = None
    """λ it was drawn for."""
    log_prob: float | None = None
    """log π_old(z | λ) at the draw."""

    @property
    def key(self) -> tuple[tuple[int, ...], str]:
        """Integer plan and minibatch: evaluated once, ever."""
        return self.kept, self.minibatch


class Archive:
    """Append-only store of evaluations.

    A line cut off by a killed process is dropped on reading, so a search goes on from its last whole evaluation.

    Args:
        path: JSON-lines file, made when the first evaluation is added; ``None`` keeps the archive in memory.

    Raises:
        IncompleteRunError: if a line other than the last is damaged.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._synced = -SYNC_SECONDS
        self._evaluations: dict[tuple[tuple[int, ...], str], Evaluation] = {}
        if path is not None and path.exists():
            for evaluation in _read(path):
                self._evaluations[evaluation.key] = evaluation

    def __len__(self) -> int:
        return len(self._evaluations)

    def __iter__(self) -> Iterator[Evaluation]:
        return iter(self._evaluations.values())

    def find(self, kept: tuple[int, ...], minibatch: str) -> Evaluation | None:
        """The evaluation of this plan on this minibatch, if it has been paid for."""
        return self._evaluations.get((kept, minibatch))

    def add(self, evaluation: Evaluation) -> None:
        """Keeps an evaluation, in its file before this returns.

        A killed process loses nothing. A power cut loses at most what was added within ``SYNC_SECONDS``: waiting
        for the disk after every evaluation would take a tenth of a small model's search.

        Raises:
            RunError: if the disk is full or not writable; nothing already stored is lost.
        """
        assert evaluation.key not in self._evaluations, "a plan was evaluated twice on one minibatch"
        self._evaluations[evaluation.key] = evaluation
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(evaluation)) + "\n")
                file.flush()
                if time.monotonic() - self._synced >= SYNC_SECONDS:
                    os.fsync(file.fileno())
                    self._synced = time.monotonic()
        except OSError as error:
            raise RunError(
                f"cannot write {self.path}: {error.strerror or error}; free space and start the search again, "
                f"it goes on from evaluation {len(self._evaluations) - 1}"
            ) from error

    def select(self, *sources: str) -> list[Evaluation]:
        """Evaluations from these sources (all, if none is named), in the order they were paid for."""
        return [evaluation for evaluation in self if not sources or evaluation.source in sources]


def shared_archive(path: Path) -> Archive:
    """The archive in a file, at every worker: the first one reads the file and adds to it, the others keep a copy.

    Raises:
        IncompleteRunError: if a line other than the last is damaged.
    """
    archive = Archive(path if distributed.is_first() else None)
    stored = distributed.once(lambda: [asdict(evaluation) for evaluation in archive])
    if not distributed.is_first():
        for fields in stored:
            archive.add(_evaluation(fields))
    return archive


def kept_matrix(evaluations: list[Evaluation]) -> Ints:
    """Kept counts of evaluations, [N, U]."""
    return np.array([evaluation.kept for evaluation in evaluations], dtype=np.int64)


def objective_matrix(evaluations: list[Evaluation]) -> Floats:
    """(R_rob, R_util, s) of evaluations, [N, 3]."""
    return np.array([(e.robustness, e.utility, e.sparsity) for e in evaluations], dtype=np.float64).reshape(
        -1, 3
    )


def _read(path: Path) -> list[Evaluation]:
    """Reads whole lines and cuts a half-written last line off the file, so that appending stays sound."""
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    evaluations = []
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            evaluations.append(_evaluation(json.loads(line)))
        except (ValueError, KeyError, TypeError) as error:
            raise IncompleteRunError(
                f"{path}, line {number}: expected an evaluation, found {line[:60].decode(errors='replace')!r} "
                f"({error}); delete that line to go on without it"
            ) from error
    return evaluations


def _evaluation(fields: dict[str, Any]) -> Evaluation:
    """An evaluation as JSON says it."""
    tuples = {name: fields[name] and tuple(fields[name]) for name in ("kept", "z", "budget", "preference")}
    return Evaluation(**{**fields, **tuples})
