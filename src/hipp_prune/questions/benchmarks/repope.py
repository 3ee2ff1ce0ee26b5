"""RePOPE: POPE on COCO with its wrong labels corrected and its ambiguous questions left out.

RePOPE (Neuhaus and Hein 2025, github.com/YanNeu/RePOPE) has files in POPE's format that are called
``coco_repope_{random,popular,adversarial}.json``, with POPE's prompts and ids: 2,774, 2,727 and 2,684 questions, of
which 41.8, 43.7 and 44.2% are yes.

Answers to POPE score it without a model, whatever edition of POPE was asked (``evaluation.answers``).
"""

from collections.abc import Mapping, Sequence
from functools import partial

from hipp_prune.questions.benchmark import Benchmark
from hipp_prune.questions.benchmarks import pope
from hipp_prune.questions.question import Question
from hipp_prune.questions.yes_no import class_balanced_mean, predict_yes_no, restore_yes_no, score_yes_no

REPOPE = pope.Edition(name="repope", title="RePOPE", prefix="repope/")


def aliases(questions: Sequence[Question]) -> Mapping[str, Question]:
    """POPE's ids, and its other numberings."""
    ids = {question.id.removeprefix(REPOPE.prefix): question for question in questions}
    return {**pope.aliases(questions), **ids}


BENCHMARK = Benchmark(
    name=REPOPE.name,
    title=REPOPE.title,
    role="robustness",
    explanation="is POPE with labels that were checked again, without the questions that nobody can answer "
    "for sure.",
    instruction=pope.INSTRUCTION,
    load=partial(pope.load_edition, REPOPE),
    parse=predict_yes_no,
    score=partial(score_yes_no, REPOPE.title),
    restore=restore_yes_no,
    mean=class_balanced_mean,
    stratum=pope.stratum,
    aliases=aliases,
    corrects=pope.BENCHMARK.name,
)
