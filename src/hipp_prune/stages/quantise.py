"""From a checkpoint to one of fewer bits a weight: quantised, opened again, and asked before and after."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hipp_prune.errors import CheckpointError, InputError
from hipp_prune.evaluation.results import Results, score
from hipp_prune.evaluation.scorecard import answer_questions, limit_questions
from hipp_prune.export.compressor import compress, silence
from hipp_prune.export.exported import Exported
from hipp_prune.export.formats import QuantisedFormat
from hipp_prune.export.four_bits import pack
from hipp_prune.export.quantised import Quantised, write_quantised
from hipp_prune.files.packages import require_packages
from hipp_prune.files.progress import Progress
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.models.stock import own_inputs
from hipp_prune.questions.benchmarks import BENCHMARKS
from hipp_prune.questions.images import read_image
from hipp_prune.questions.minibatches import calibration_sample
from hipp_prune.questions.question import Question
from hipp_prune.stages.loading import cache_folder, draw_questions

_COMPRESSOR = ("llmcompressor", "compressed_tensors")
PACKAGES: dict[QuantisedFormat, tuple[str, ...]] = {
    "gptq": _COMPRESSOR, "awq": _COMPRESSOR, "fp8": _COMPRESSOR, "bnb4": ("bitsandbytes",)
}  # fmt: skip
"""What quantises, by format, and reads the result again."""
_SHOWN = ("gptq", "awq")
"""Formats that are fitted to what the model sees."""


def quantise(
    format: QuantisedFormat,
    source: Path,
    out: Path,
    *,
    questions: Sequence[str] = (),
    count: int = 128,
    limit: int | None = None,
    group_size: int = 128,
    seed: int = 0,
    force: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Writes a quantised checkpoint, whole or not at all, after it was opened again.

    Args:
        format: what the matrices of the language blocks become.
        source: checkpoint folder.
        out: folder to write.
        questions: sources of questions; their calibration split fits gptq and awq, their test split is asked.
        count: calibration questions, ≥ 1.
        limit: at most this many test questions a benchmark.
        group_size: columns that share a scale, for gptq and awq.
        seed: of the splits and the sample.
        force: replaces a checkpoint that is there.
        progress: told (blocks or matrices done, all of them).

    Raises:
        InputError: if a package is missing, or gptq and awq are given no questions.
        CheckpointError: if a width does not fit the format, or what was written cannot be opened.
        HippPruneError: as ``write_quantised`` and ``load_questions`` say.
    """
    require_packages(f"--format {format}", PACKAGES[format], extra="quantize")
    if format in _SHOWN and not questions:
        raise InputError(
            f"--format {format} fits its rounding to what the model sees; add --questions, e.g. --questions toyworld"
        )
    with cache_folder(None) as cache:
        interview = _Interview(
            format=format, questions=questions, count=count, limit=limit, group_size=group_size, seed=seed,
            cache=cache, progress=progress,
        )  # fmt: skip
        exported = write_quantised(
            source,
            out,
            format,
            interview.quantise,
            group_size=group_size,
            force=force,
            check=interview.reopen,
        )
    return exported.noting(interview.compared())


@dataclass(frozen=True, kw_only=True)
class _Interview:
    """A model that is asked, quantised, opened again and asked once more."""

    format: QuantisedFormat
    questions: Sequence[str]
    count: int
    limit: int | None
    group_size: int
    seed: int
    cache: Path
    """Where the embedded world is drawn."""
    progress: Progress | None
    results: list[Results] = field(default_factory=list)
    """Before, and after."""

    def quantise(self, adapter: Adapter) -> Quantised:
        """Asks the model as it is, and quantises it."""
        if self.questions:
            self.results.append(self._results(adapter))
        if self.format == "bnb4":
            return pack(adapter, progress=self.progress)
        rows = _rows(adapter, self._sample) if self.format in _SHOWN else []
        return compress(adapter, rows, self.format, group_size=self.group_size, progress=self.progress)

    def reopen(self, folder: Path) -> None:
        """Opens what was written as whoever uses it will, and asks that.

        Raises:
            CheckpointError: if its answers are no numbers.
        """
        with silence():
            adapter = load_model(folder, quantised=True)
            ids = torch.tensor([adapter.processor.plain_ids("Is it so?")])
            with torch.inference_mode():
                logits = adapter.model(input_ids=ids).logits
        if not logits.isfinite().all():
            raise CheckpointError(
                f"{folder}: the quantised model answers with numbers that are not finite; nothing was written"
            )
        if self.questions:
            self.results.append(self._results(adapter))

    def compared(self) -> tuple[str, ...]:
        """Accuracies before and after, a line a benchmark."""
        if not self.results:
            return ()
        before, after = self.results
        return tuple(
            f"{BENCHMARKS[name].title}: {before.scores[name].accuracy:.1%} before, {now.accuracy:.1%} after, of "
            f"{now.n} questions"
            for name, now in after.scores.items()
        )

    @property
    def _sample(self) -> list[Question]:
        drawn = draw_questions(self.questions, "calibration", cache=self.cache, seed=self.seed)
        return calibration_sample(drawn, self.count, seed=self.seed)

    def _results(self, adapter: Adapter) -> Results:
        drawn = draw_questions(self.questions, "test", cache=self.cache, seed=self.seed)
        asked = limit_questions(drawn, self.limit, seed=self.seed)
        answers, _ = answer_questions(adapter, asked, progress=self.progress)
        return score(asked, {answer.id: answer.given for answer in answers})


def _rows(adapter: Adapter, questions: Sequence[Question]) -> list[dict[str, Tensor]]:
    """Inputs of the stock forward, one question each: those about pictures, where there are any."""
    pictured = [question for question in questions if question.images]
    return [_row(adapter, question) for question in pictured or questions]


def _row(adapter: Adapter, question: Question) -> dict[str, Tensor]:
    if not question.images:
        batch, _ = adapter.encode([question], {})
        return {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask, **batch.extras}
    pictures = [read_image(path) for path in question.images]
    features = dict(zip(question.images, adapter.encode_images(pictures), strict=True))
    batch, _ = adapter.encode([question], features)
    inputs: dict[str, Any] = own_inputs(adapter, batch, pictures)
    row = {name: torch.as_tensor(value) for name, value in inputs.items()}
    return row | {"pixel_values": row["pixel_values"].to(adapter.model.dtype)}
