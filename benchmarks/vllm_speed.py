"""How fast and in how much memory vLLM answers, dense and pruned, beside transformers; Markdown on standard output.

Run: VLLM_PYTHON=build/vllm/bin/python PYTHONPATH=. python benchmarks/vllm_speed.py    (after `make test-vllm`; minutes)

The models have random weights and the proportions of public ones. All questions are given at once, each gets as many
tokens, in float32 on one thread; vLLM runs its own models with our plugin, transformers one batch. Of vLLM the
second of two runs counts, of transformers the faster of two.
"""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image
from shapes import SHAPES, ShapeName, build
from workload import clock

from hipp_prune import api
from hipp_prune.checkpoints.folders import open_shards
from hipp_prune.files.markdown import markdown_table
from hipp_prune.models import load_model
from hipp_prune.questions.question import Question, pictures_of
from tests.e2e.vllm_answers import Answers, ask

MODELS: tuple[ShapeName, ...] = ("small-llava", "small-qwen")
SPARSITIES = (0.0, 0.225, 0.5)
"""The dense model is written like the others: vLLM 0.32 does not know the names that transformers 5 saves."""
QUESTIONS = 16
TOKENS = 32
COLUMNS = (
    "model", "neurons removed", "checkpoint, MB", "vLLM, tokens/s", "of dense", "of transformers", "vLLM's memory, MB",
)  # fmt: skip


def draw_questions(name: ShapeName, root: Path) -> list[Question]:
    """A picture of noise each, as large as the model wants it."""
    questions = []
    for index in range(QUESTIONS):
        path = root / f"{name}-{index}.png"
        shape = (SHAPES[name].pixels, SHAPES[name].pixels, 3)
        Image.fromarray(np.random.default_rng(index).integers(0, 256, shape, dtype=np.uint8)).save(path)
        questions.append(
            Question(
                benchmark="pope", id=str(index), prompt="Is there a red cup in the image?", images=(path,),
                answers=("Yes", "No"), gold=0, subset="", group="",
            )
        )  # fmt: skip
    return questions


def speeds(checkpoint: Path, questions: list[Question]) -> tuple[Answers, float]:
    """What vLLM did, and how many tokens a second transformers generates, pictures included."""
    adapter = load_model(checkpoint)
    pictures = {path: Image.open(path) for path in pictures_of(questions)}
    prompts = [
        (adapter.processor.render(question.prompt, images=1), path)
        for question in questions
        for path in question.images
    ]

    def generate() -> None:
        features = dict(zip(pictures, adapter.encode_images(list(pictures.values())), strict=True))
        options = {"max_new_tokens": TOKENS, "min_new_tokens": TOKENS, "do_sample": False}
        adapter.generate(*adapter.encode(questions, features), **options)

    seconds = min(clock(generate) for _ in range(2))
    answers = ask(os.environ["VLLM_PYTHON"], checkpoint, "vllm", prompts, tokens=TOKENS)
    return answers, QUESTIONS * TOKENS / seconds


def main() -> None:
    """Measures every model and prints the table."""
    torch.set_num_threads(1)
    rows = []
    with TemporaryDirectory() as folder:
        root = Path(folder)
        for name in MODELS:
            build(SHAPES[name], root / name, device="cpu", dtype="float32")
            questions, dense = draw_questions(name, root), 0.0
            for sparsity in SPARSITIES:
                checkpoint = root / f"{name}-{sparsity}"
                source = str(root / name)
                api.baseline("random", sparsity, checkpoint, model=source, questions=["toyworld"], count=4)
                answers, ours = speeds(checkpoint, questions)
                speed = QUESTIONS * TOKENS / answers.seconds
                dense = dense or speed
                size = sum(shard.num_bytes for shard in open_shards(checkpoint)) / 1e6
                rows.append(
                    (
                        name, f"{sparsity:.1%}" if sparsity else "dense", f"{size:.1f}", f"{speed:.0f}",
                        f"{speed / dense:.2f}", f"{speed / ours:.2f}", f"{answers.memory / 1e6:.0f}",
                    )
                )  # fmt: skip
                sys.stderr.write(f"{rows[-1]}\n")
    sys.stdout.write(markdown_table([COLUMNS, *rows]) + "\n")


if __name__ == "__main__":
    main()
