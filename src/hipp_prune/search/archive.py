"""Every evaluation a search has paid for: appended to a JSON-lines file, looked up before paying again."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le, Len

from hipp_prune import distributed
from hipp_prune.errors import IncompleteRunError, RunError
from hipp_prune.files.manifest import read_whole
from hipp_prune.files.ranges import Count, Natural, NotNegative, Share
from hipp_prune.files.strict import parse_json
from hipp_prune.files.system import cause_and_remedy
from hipp_prune.plans.arrays import Floats, Ints
from hipp_prune.plans.modes import Compensation

Return = Annotated[float, Ge(-1e9), Le(1e9)]
"""Of a question, in nats or as another of the returns has it; also log-probabilities and raw actions."""

Saved = Annotated[float, Ge(-1), Le(1)]
"""A realised sparsity; below 0 where a plan costs more than the dense model."""

_REMEDY = "delete that line to go on without it"

SYNC_SECONDS = 1.0
"""How long an evaluation may stay in the system's memory before the archive waits for the disk."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One plan asked one minibatch. Its objectives do not depend on the preference it was drawn for."""

    kept: Annotated[tuple[Natural, ...], Len(1)]
    """Neurons kept by each unit, length U."""
    minibatch: str
    """Which questions it was asked; plans are comparable within a minibatch."""
    robustness: Return
    """R_rob, raw."""
    utility: Return
    """R_util, raw."""
    accuracies: dict[str, Share]
    """Accuracy on the minibatch's questions of each benchmark, in [0, 1]."""
    questions: Count
    """Questions it was asked: the price of the evaluation."""
    sparsity: Saved
    """Realised sparsity, in [−1, 1]: a slower plan has a negative one."""
    source: str
    """What proposed it, e.g. ``warm-up``, ``surrogate`` or ``policy``."""
    seconds: NotNegative
    """Wall time of the evaluation."""
    z: tuple[Return, ...] | None = None
    """Raw action, for plans the policy drew."""
    budget: tuple[Share, Share] | None = None
    """Budget interval it was drawn for."""
    preference: tuple[Share, Share, Share] | None = None
    """λ it was drawn for."""
    log_prob: Return | None = None
    """log π_old(z | λ) at the draw."""
    compensation: Compensation = "none"
    """How the neurons that stayed answered for those that left; its line says so where they did."""

    @property
    def key(self) -> tuple[tuple[int, ...], str]:
        """Integer plan and minibatch: evaluated once, ever."""
        return self.kept, self.minibatch


class Archive:
    """Append-only store of evaluations.

    A last line that a killed process cut off is passed over on reading, and cut off the file by the first evaluation
    that is added: so a search goes on from its last whole evaluation, and whoever only reads changes nothing.

    Args:
        path: JSON-lines file, made when the first evaluation is added; ``None`` keeps the archive in memory.

    Raises:
        IncompleteRunError: if a line other than the last is damaged.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._synced = -SYNC_SECONDS
        self._evaluations: dict[tuple[tuple[int, ...], str], Evaluation] = {}
        self._half_line_at: int | None = None
        if path is not None and path.exists():
            content = read_whole(path)
            whole = content[: content.rfind(b"\n") + 1]
            self._half_line_at = len(whole) if len(whole) < len(content) else None
            self._evaluations = {each.key: each for each in _evaluations(whole, path)}

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
            if self._half_line_at is not None:
                os.truncate(self.path, self._half_line_at)
                self._half_line_at = None
            with self.path.open("a", encoding="utf-8") as file:
                file.write(_line(evaluation) + "\n")
                file.flush()
                if time.monotonic() - self._synced >= SYNC_SECONDS:
                    os.fsync(file.fileno())
                    self._synced = time.monotonic()
        except OSError as error:
            raise RunError(
                f"cannot write {self.path}: {cause_and_remedy(error, self.path)}; the search goes on from evaluation "
                f"{len(self._evaluations) - 1}"
            ) from error

    def check_compensation(self, mode: Compensation) -> None:
        """Refuses evaluations of plans that were compensated otherwise: they say nothing of this mode.

        Raises:
            RunError: naming the first.
        """
        for number, evaluation in enumerate(self, start=1):
            if evaluation.compensation != mode:
                raise RunError(
                    f"{self.path or 'the archive'}, line {number}: expected a plan evaluated with {mode} compensation, "
                    f"found {evaluation.compensation}; plans of two modes cannot be compared, so search again with "
                    "--force"
                )

    def select(self, *sources: str) -> list[Evaluation]:
        """Evaluations from these sources (all, if none is named), in the order they were paid for."""
        return [evaluation for evaluation in self if not sources or evaluation.source in sources]


def shared_archive(path: Path) -> Archive:
    """The archive in a file, at every worker: the first one reads the file and adds to it, the others keep a copy.

    Raises:
        IncompleteRunError: if a line other than the last is damaged.
    """
    archive = Archive(path if distributed.is_first() else None)
    stored = distributed.once(lambda: [_line(evaluation) for evaluation in archive])
    if not distributed.is_first():
        for line in stored:
            archive.add(_evaluation(line, "the first worker's archive"))
    return archive


def kept_matrix(evaluations: list[Evaluation]) -> Ints:
    """Kept counts of evaluations, [N, U]."""
    return np.array([evaluation.kept for evaluation in evaluations], dtype=np.int64)


def objective_matrix(evaluations: list[Evaluation]) -> Floats:
    """(R_rob, R_util, s) of evaluations, [N, 3]."""
    return np.array([(e.robustness, e.utility, e.sparsity) for e in evaluations], dtype=np.float64).reshape(
        -1, 3
    )


def _evaluations(whole: bytes, path: Path) -> list[Evaluation]:
    """What the whole lines of an archive say."""
    evaluations: list[Evaluation] = []
    for number, line in enumerate(whole.split(b"\n")[:-1], start=1):
        where = f"{path}, line {number}"
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise IncompleteRunError(
                f"{where}: expected UTF-8 text, found {line[:20]!r}; {_REMEDY}"
            ) from error
        evaluation = _evaluation(text, where)
        if evaluations and len(evaluation.kept) != len(evaluations[0].kept):
            raise IncompleteRunError(
                f"{where}: expected a plan of {len(evaluations[0].kept)} units, found one of {len(evaluation.kept)}; "
                f"{_REMEDY}"
            )
        evaluations.append(evaluation)
    return evaluations


def _line(evaluation: Evaluation) -> str:
    """An evaluation as its line; of compensation nothing where there was none."""
    said = asdict(evaluation)
    if evaluation.compensation == "none":
        del said["compensation"]
    return json.dumps(said)


def _evaluation(text: str, where: str) -> Evaluation:
    """An evaluation as one line says it."""
    return parse_json(text, Evaluation, where=where, remedy=_REMEDY, error=IncompleteRunError)
