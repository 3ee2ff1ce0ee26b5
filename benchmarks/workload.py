"""One model, the questions it is asked, and every way of asking them: what ``bench.py`` times."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from hipp_prune.calibration.grams import GramLayout, Grams, gather_grams
from hipp_prune.calibration.measurement import Calibration, calibrate
from hipp_prune.evaluation.evaluator import Evaluator
from hipp_prune.evaluation.features import encode_image_files
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.plans.arrays import Ints
from hipp_prune.pruning.compensated import choose_ridge
from hipp_prune.questions.images import read_image
from hipp_prune.questions.minibatches import draw_minibatch
from hipp_prune.questions.question import Question
from hipp_prune.questions.sources import load_questions
from hipp_prune.search.model_problem import ModelProblem
from hipp_prune.search.settings import SearchSettings

PLAIN, UNPACKED, PACKED, ALIGNED = "plain", "unpacked", "packed", "22.5%, widths multiples of 64"
SPARSITIES = (0.225, 0.5)
"""The paper's operating point, and the largest budget of a default search."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """How much is asked, and where."""

    device: str = "cpu"
    dtype: Literal["float32", "bfloat16"] = "float32"
    images: int = 4
    per_image: int = 6
    """POPE questions about each."""
    plain_batch: int = 12
    """Questions a forward pass of the plain way."""


class Workload:
    """One model and the questions that every way of evaluating it answers.

    Args:
        load: how much is asked, and where.
        checkpoint: the dense model.
        root: folder for pictures and the calibration.
        compensation: of the plans that are evaluated.
    """

    def __init__(
        self, load: Load, checkpoint: Path, root: Path, compensation: Literal["none", "ridge"] = "none"
    ) -> None:
        self.load, self.checkpoint = load, checkpoint
        self.adapter = self.open(checkpoint)
        self.questions = draw_questions(load, root)
        self.calibration = self._calibrate(root / f"{checkpoint.name}.safetensors")
        count = len(self.questions)
        self.settings = SearchSettings(minibatch=count, per_image=load.per_image, compensation=compensation)
        grams = (
            self._grams(root / f"{checkpoint.name}-grams.safetensors") if compensation == "ridge" else None
        )
        self.problem = ModelProblem(
            self.adapter,
            self.calibration,
            self.questions,
            self.settings,
            grams=grams,
            factors=root / "factors",
        )
        self.features = encode_image_files(self.adapter, self.questions)

    def open(self, checkpoint: Path) -> Adapter:
        """A model, loaded where and in the precision that the work asks for."""
        return load_model(checkpoint, device=self.load.device, dtype=self.load.dtype)

    def _calibrate(self, path: Path) -> Calibration:
        if not path.exists():
            calibrate(self.adapter, self.questions).save(path)
        return Calibration.load(path)

    def _grams(self, path: Path) -> Grams:
        if not path.exists():
            layout = GramLayout(widths=tuple(self.adapter.shape.neurons))
            with gather_grams(path, layout, self.calibration.origin) as grams:
                calibrate(self.adapter, self.questions, taylor_questions=1, grams=grams)
                grams.factor = choose_ridge(self.adapter, self.calibration, grams)
        return Grams.load(path)

    def plan(self, sparsity: float, align: int = 1) -> Ints:
        """Kept counts of a plan that prunes later blocks more, [U]."""
        space = self.problem.space
        slope = np.log(np.linspace(1.0, 1.5, space.num_units))
        return space.kept(space.ratios(slope[None], np.array([sparsity])), align=align)[0]

    def plain_inputs(self) -> list[dict[str, Tensor]]:
        """What a user gives the stock model: one question a row, pixels with it, padded."""
        size, device, model = self.load.plain_batch, self.load.device, self.adapter.model
        inputs = []
        for start in range(0, len(self.questions), size):
            asked = self.questions[start : start + size]
            batch, _ = self.adapter.encode(asked, self.features)
            pixels = self.adapter.processor.pixels(
                [read_image(path) for question in asked for path in question.images]
            )
            inputs.append(
                {
                    "input_ids": batch.input_ids,
                    "attention_mask": batch.attention_mask,
                    "pixel_values": pixels["pixel_values"].to(device, model.dtype),
                    **batch.extras,
                }
            )
        return inputs

    def ways(self) -> dict[str, Callable[[], object]]:
        """The ladder from the stock forward pass to a search's evaluation."""
        plain = self.plain_inputs()
        rows = Evaluator(self.adapter, self.questions, packed=False)
        alone = rows.prepare()

        def evaluate(sparsity: float, align: int = 1) -> Callable[[], object]:
            kept = self.plan(sparsity, align)
            return lambda: self.problem.evaluate(kept, "bench", len(self.questions))

        @torch.inference_mode()
        def stock() -> None:
            for inputs in plain:
                self.adapter.model(**inputs).logits.argmax(-1).cpu()

        return {
            PLAIN: stock,
            UNPACKED: lambda: rows.scores(alone),
            PACKED: evaluate(0.0),
            **{f"{sparsity:.1%}": evaluate(sparsity) for sparsity in SPARSITIES},
            ALIGNED: evaluate(SPARSITIES[0], 64),
        }


def draw_questions(load: Load, root: Path) -> list[Question]:
    """POPE questions of the embedded world, several about each picture."""
    pope = [
        question
        for question in load_questions(["toyworld"], "search", cache=root)
        if question.benchmark == "pope"
    ]
    count = load.images * load.per_image
    chosen = draw_minibatch(pope, count, np.random.default_rng(0), per_image=load.per_image)
    return [pope[index] for index in chosen]


def race(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each way, in turns, after one turn to warm up."""
    turns = [{name: clock(way) for name, way in ways.items()} for _ in range(rounds + 1)]
    return {name: float(np.median([turn[name] for turn in turns[1:]])) for name in ways}


def clock(way: Callable[[], object]) -> float:
    """Seconds until it is done, on the GPU too."""
    _synchronise()
    start = time.perf_counter()
    way()
    _synchronise()
    return time.perf_counter() - start


def _synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
