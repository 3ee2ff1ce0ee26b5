"""vLLM itself against transformers, on questions about pictures, both ways in which it takes a pruned checkpoint.

vLLM wants another transformers than we are tested with, so it is no development dependency. ``make test-vllm`` installs
it into an environment of its own, whose Python answers here as another process.
"""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hipp_prune import api
from hipp_prune.models import TOYS, load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.questions.images import read_image
from hipp_prune.questions.question import Question
from hipp_prune.questions.sources import load_questions
from tests.e2e.vllm_answers import PLUGINS, ask
from tests.e2e.wide_heads import write_wide_heads
from tests.tolerance import assert_greedy
from tests.unit.checkpoints.tiny_plans import make_plan

PYTHON = os.environ.get("VLLM_PYTHON", "")
pytestmark = pytest.mark.skipif(not PYTHON, reason="vLLM is not installed; run `make test-vllm`")

COUNT = 50
"""Questions a benchmark."""
TOKENS = 2
"""Generated for each: the answer, and that it ends. Behind an end that no training went beyond, rounding grows: the two
then differ by up to 1.0e-4, and transformers in 32 bits from itself in 64 by 1.2e-4."""


def questions_with_pictures(cache: Path) -> list[Question]:
    world = load_questions(["toyworld"], "test", cache=cache, seed=0)
    seen = [question for question in world if question.images]
    return [
        question
        for name in ("pope", "scienceqa")
        for question in [question for question in seen if question.benchmark == name][:COUNT]
    ]


def write_pruned(model: str, folder: Path) -> Path:
    """An embedded model with wide heads, its blocks pruned to three widths in turn."""
    dense, checkpoint = folder / "dense", folder / "pruned"
    write_wide_heads(model, dense)
    adapter = load_model(dense)
    widths = [neurons - 1 - block % 3 for block, neurons in enumerate(adapter.shape.neurons)]
    api.prune(str(dense), make_plan(adapter, "coupled", widths), checkpoint)
    return checkpoint


@torch.inference_mode()
def score(adapter: Adapter, question: Question, tokens: NDArray[np.int64]) -> tuple[list[int], Any]:
    """The prompt's ids, and transformers' log-probabilities of what follows it and those tokens [TOKENS, V]."""
    assert question.images
    picture = read_image(question.images[0])
    batch, _ = adapter.encode([question], {question.images[0]: adapter.encode_images([picture])[0]})
    ids = torch.cat([batch.input_ids, torch.from_numpy(tokens[None, :-1])], dim=1)
    extras = {**batch.extras, **adapter.processor.pixels([picture])}
    if "mm_token_type_ids" in extras:
        extras["mm_token_type_ids"] = torch.nn.functional.pad(extras["mm_token_type_ids"], (0, TOKENS - 1))
    logits = adapter.model(input_ids=ids, attention_mask=torch.ones_like(ids), **extras).logits[0, -TOKENS:]
    return batch.input_ids[0].tolist(), logits.log_softmax(-1).numpy()


@pytest.mark.parametrize("impl", PLUGINS)
@pytest.mark.parametrize("model", TOYS)
def test_vllm_says_what_transformers_says(
    model: str, impl: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = write_pruned(model, tmp_path)
    pruned = load_model(checkpoint)
    questions = questions_with_pictures(tmp_path / "world")
    prompts = [
        (pruned.processor.render(question.prompt, images=1), question.images[0])
        for question in questions
        if question.images
    ]
    answers = ask(PYTHON, checkpoint, impl, prompts, tokens=TOKENS)
    assert len(set(answers.tokens[:, 0])) > 1
    difference = 0.0
    for index, question in enumerate(questions):
        ids, logprobs = score(pruned, question, answers.tokens[index])
        assert answers.prompts[index] == ids
        assert_greedy(answers.tokens[index], logprobs)
        difference = max(difference, float(np.abs(answers.logprobs[index] - logprobs).max()))
    with capsys.disabled():
        sys.stdout.write(f"\n{model}, {impl}: log-probabilities differ by at most {difference:.1e}\n")
    assert difference <= 1e-4
