"""What vLLM is asked are the embedded models' own answers, though their heads are wider there."""

from pathlib import Path

import pytest

from hipp_prune.evaluation.scorecard import answer_questions, limit_questions
from hipp_prune.models import TOYS, load_model
from hipp_prune.questions.sources import load_questions
from tests.e2e.wide_heads import write_wide_heads


@pytest.mark.parametrize("model", TOYS)
def test_wider_heads_give_the_same_answers(model: str, tmp_path: Path) -> None:
    write_wide_heads(model, tmp_path / "wide")
    questions = limit_questions(load_questions(["toyworld"], "validation", cache=tmp_path, seed=0), 20)
    narrow, wide = (answer_questions(load_model(name), questions)[0] for name in (model, tmp_path / "wide"))
    margins = ([answer.margin for answer in answers] for answers in (wide, narrow))
    assert next(margins) == pytest.approx(next(margins), rel=0, abs=2e-3)
