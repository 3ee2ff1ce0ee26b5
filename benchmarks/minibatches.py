"""How many questions of a picture a minibatch should ask: what sharing pictures costs in noise, and what it saves.

Random plans are asked all search questions once; minibatches are then drawn from the table. Noise is the error of a
difference between two plans, estimated from a minibatch, against all questions.

Run: python benchmarks/minibatches.py   (a minute)
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tyro

from hipp_prune import api
from hipp_prune.calibration.measurement import Calibration
from hipp_prune.evaluation.evaluator import Evaluator
from hipp_prune.models import load_model
from hipp_prune.objectives.returns import AnswerScores, answer_returns
from hipp_prune.plans.arrays import Floats, Ints
from hipp_prune.pruning.importance import score_neurons
from hipp_prune.pruning.prefix_views import sort_neurons
from hipp_prune.questions.minibatches import draw_minibatch
from hipp_prune.questions.question import Question, pictures_of
from hipp_prune.questions.sources import load_questions
from hipp_prune.questions.yes_no import class_balanced_mean

MODELS = ("toy-llava", "toy-qwen2.5-vl")
IMAGE_TOKENS = 576
"""Of LLaVA-1.5; the embedded models have 16, so the price of a minibatch is counted for the real thing."""


@dataclass(frozen=True)
class Settings:
    """What the script may be told."""

    per_image: tuple[int, ...] = (1, 2, 3, 6, 9, 18)
    size: int = 64
    """Questions a minibatch."""
    plans: int = 16
    draws: int = 200
    """Minibatches drawn of each kind."""
    sparsity: tuple[float, float] = (0.1, 0.5)
    """Range of the plans."""


def plan_returns(name: str, settings: Settings, folder: Path) -> tuple[list[Question], Floats, list[int]]:
    """All search questions, the return of each under each plan [plans, questions], and their own tokens."""
    run = api.calibrate(name, ["toyworld"], folder / name)
    questions = load_questions(["toyworld"], "search", cache=run.cache)
    adapter = load_model(name)
    scores = score_neurons(adapter, Calibration.load(run.calibration), "coupled", 0.5)
    model = sort_neurons(adapter, scores)
    evaluator = Evaluator(adapter, questions)
    prepared = evaluator.prepare()
    rng = np.random.default_rng(0)
    table = []
    for _ in range(settings.plans):
        ratios = rng.uniform(*settings.sparsity, size=len(adapter.blocks))
        kept = [round((1 - r) * n) for r, n in zip(ratios, adapter.shape.neurons, strict=True)]
        with model.apply(kept):
            answered: AnswerScores = evaluator.scores(prepared)
        table.append(answer_returns(answered, evaluator.gold, kind="log-sigmoid"))
    own = [len(adapter.processor.token_ids(question.prompt)) for question in questions]
    return questions, np.array(table), own


def objectives(questions: Sequence[Question], returns: Floats, chosen: Ints) -> Floats:
    """(R_rob, R_util) of every plan on the chosen questions, [plans, 2]."""
    gold = np.array([questions[index].gold for index in chosen])
    is_pope = np.array([questions[index].benchmark == "pope" for index in chosen])
    return np.array(
        [
            (class_balanced_mean(row[is_pope], gold[is_pope]), row[~is_pope].mean())
            for row in returns[:, chosen]
        ]
    )


def tokens(questions: Sequence[Question], own: Sequence[int], chosen: Ints) -> int:
    """What a packed minibatch feeds a model whose pictures are ``IMAGE_TOKENS`` long."""
    pictures = pictures_of([questions[index] for index in chosen])
    return len(pictures) * IMAGE_TOKENS + sum(own[index] for index in chosen)


def rows(name: str, settings: Settings, folder: Path) -> Iterator[str]:
    """Lines of the table."""
    questions, returns, own = plan_returns(name, settings, folder)
    truth = objectives(questions, returns, np.arange(len(questions)))
    signal = np.sqrt(2 * truth.var(axis=0, ddof=1))
    first = 0.0
    for per_image in settings.per_image:
        drawn = [
            draw_minibatch(questions, settings.size, np.random.default_rng(seed), per_image=per_image)
            for seed in range(settings.draws)
        ]
        errors = np.array([objectives(questions, returns, chosen) - truth for chosen in drawn])
        noise = np.sqrt(2 * errors.var(axis=1, ddof=1).mean(axis=0))
        price = float(np.mean([tokens(questions, own, chosen) for chosen in drawn]))
        first = first or price
        yield (
            f"| {name} | {per_image} | {noise[0]:.3f} | {signal[0]:.3f} | {noise[1]:.3f} | {signal[1]:.3f} | "
            f"{price / first:.2f} |\n"
        )


def main(settings: Settings) -> None:
    """Prints one row a model and number of questions."""
    sys.stdout.write(
        "| model | questions a picture | noise of R_rob | spread of R_rob | noise of R_util | spread of R_util | "
        "tokens |\n|---|---|---|---|---|---|---|\n"
    )
    with TemporaryDirectory() as folder:
        for name in MODELS:
            for row in rows(name, settings, Path(folder)):
                sys.stdout.write(row)
                sys.stdout.flush()


if __name__ == "__main__":
    main(tyro.cli(Settings))
