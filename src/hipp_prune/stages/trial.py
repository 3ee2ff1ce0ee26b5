"""A model is tried before hours are spent on it: pictures, answers, and a pruned checkpoint that opens again.

What can go wrong with a family nobody has tried is silent: answers read at the wrong place, a picture laid out
otherwise than in training, a checkpoint that nothing opens. So everything a run relies on is done once, small, against
the stock model. It costs nine prompts of one short question through the model, seven pictures through its tower, and,
for a moment, a second model of the first blocks on the device and in a temporary folder (LLaVA-1.5-7B in 16 bits: 1.9
GB).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from hipp_prune.checkpoints.reopening import cut_first_blocks, first_blocks, reopen, write_first_blocks
from hipp_prune.errors import HippPruneError, ImageError, UnsupportedModelError
from hipp_prune.models.adapter import Adapter, ImageFeatures
from hipp_prune.models.families import family_of
from hipp_prune.models.loading import find_source, local_folder
from hipp_prune.models.stock import CANNOT, own_inputs, processed_inputs, stock_logits, stock_processor
from hipp_prune.models.structure import check_prunable
from hipp_prune.questions.question import probe
from hipp_prune.stages.loading import Model, cache_folder, name_of_model

_ORDINARY, _FLAT = Path("ordinary"), Path("flat")
_PICTURES = {_ORDINARY: (320, 240), _FLAT: (448, 28)}
"""Width and height: one that many patches cover, one a single patch high."""
_ASKED = (
    ("Is there a dog in the image?", _ORDINARY),
    ("Is there an orange bowl left of the blue chair?\nAnswer Yes or No.", _ORDINARY),
    ("Is there a dog in the image?", _FLAT),
)
_TOLERANCE = {torch.float32: 1e-4, torch.float16: 0.03, torch.bfloat16: 0.15}
"""Mean difference of logits that rounding may make, in their standard deviations."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What was found of a model that passed."""

    family: str
    """transformers' ``model_type``."""
    image_tokens: int
    """Tokens of a picture of 320 × 240."""
    packs: bool
    """Whether questions about one picture share its tokens; otherwise each is asked alone, which takes longer."""
    flat_pictures: bool
    """Whether a picture of 448 × 28 can be encoded; such pictures are refused otherwise, or left out by --skip-bad."""
    unchecked: str | None
    """Why transformers' own processor could not be compared with; None if its tokens are the same."""


def try_model(adapter: Adapter, model: Model) -> Trial:
    """Does once what calibrate, search and prune rely on.

    Args:
        adapter: the model, loaded.
        model: its checkpoint folder or hub name; or itself, where it was given in memory.

    Returns:
        What was found.

    Raises:
        UnsupportedModelError: saying what was done, and what went wrong.
        CheckpointError: if the checkpoint's files do not allow pruning.
    """
    check_prunable(adapter.model)
    pictures = {path: _picture(size) for path, size in _PICTURES.items()}
    with torch.no_grad():
        features = _features(adapter, model, pictures)
        packs, alone = _answers(adapter, model, features)
        unchecked = _compare_with_stock(adapter, model, pictures, features, alone)
        _prune_and_reopen(adapter, model, pictures)
    return Trial(
        family=adapter.shape.family,
        image_tokens=len(features[_ORDINARY].tokens),
        packs=packs,
        flat_pictures=_FLAT in features,
        unchecked=unchecked,
    )


def _features(
    adapter: Adapter, model: Model, pictures: Mapping[Path, Image.Image]
) -> dict[Path, ImageFeatures]:
    """The pictures behind the tower; without the flat one, if the stock model's tower cannot encode it."""
    with _step(model, "encoding a picture"):
        try:
            features = {_ORDINARY: adapter.encode_images([pictures[_ORDINARY]])[0]}
        except ImageError as error:
            raise _unsupported(model, str(error)) from error
        with suppress(ImageError):
            features[_FLAT] = adapter.encode_images([pictures[_FLAT]])[0]
    return features


def _answers(adapter: Adapter, model: Model, features: Mapping[Path, ImageFeatures]) -> tuple[bool, Tensor]:
    """Asks all questions together and alone; returns whether they share pictures, and the logits, [questions, V]."""
    questions = [probe(prompt, path) for prompt, path in _ASKED if path in features]
    with _step(model, "answering questions"):
        packed, used = adapter.pack(questions, features)
        together = adapter.answer_logits(packed, used)
        alone = torch.cat([adapter.answer_logits(*adapter.encode([one], features)) for one in questions])
    _expect_close(
        adapter, model, together, alone, "questions asked together", "the same questions asked alone"
    )
    if _FLAT in features and torch.equal(alone[0], alone[-1]):
        raise _unsupported(
            model, "two pictures give the same answer to the last bit; the picture does not reach it"
        )
    return len(packed.input_ids) < len(questions), alone


def _compare_with_stock(
    adapter: Adapter,
    model: Model,
    pictures: Mapping[Path, Image.Image],
    features: Mapping[Path, ImageFeatures],
    alone: Tensor,
) -> str | None:
    """Compares tokens and answers with transformers'; returns why the tokens could not be, if so.

    Args:
        adapter: the model.
        model: as for ``try_model``.
        pictures: asked about.
        features: of the pictures.
        alone: our logits, [questions, V].
    """
    asked = [(prompt, path) for prompt, path in _ASKED if path in features]
    batches = [adapter.encode([probe(prompt, path)], features)[0] for prompt, path in asked]
    unchecked = None
    try:
        inputs = [_processed(adapter, model, prompt, pictures[path]) for prompt, path in asked]
    except CANNOT as error:
        unchecked = _gist(error)
        if family_of(adapter.model.config) is None:
            raise _unsupported(
                model,
                f"transformers' processor, which alone knows how this family lays out a picture, fails ({unchecked})",
            ) from error
        inputs = [
            own_inputs(adapter, batch, [pictures[path]])
            for batch, (_, path) in zip(batches, asked, strict=True)
        ]
    with _step(model, "asking the stock model"):
        expected = [stock_logits(adapter, given) for given in inputs]
    for batch, given, (_, path) in zip(batches, inputs, asked, strict=True):
        ours, stock = batch.input_ids[0].tolist(), given["input_ids"][0].tolist()
        if ours != stock:
            width, height = pictures[path].size
            raise _unsupported(
                model,
                f"transformers' processor makes {len(stock)} tokens of a question about a picture of {width}×{height}, "
                f"hipp-prune {len(ours)}, and not the same; the family lays pictures out in a way of its own",
            )
    _expect_close(adapter, model, alone, torch.stack(expected), "hipp-prune's answers", "the stock model's")
    return unchecked


def _processed(adapter: Adapter, model: Model, prompt: str, picture: Image.Image) -> dict[str, Any]:
    """What transformers' own processor makes of a question."""
    stock = _stock_processor(adapter, model)
    text = adapter.processor.render(prompt, images=1)
    special = not adapter.processor.begins_with_bos(text)
    return processed_inputs(stock, text, picture, special_tokens=special)


def _stock_processor(adapter: Adapter, model: Model) -> Any:
    """transformers' own processor: the one that came with the model, or what its files make.

    Raises:
        Exception: one of ``CANNOT``, where there is none.
    """
    if adapter.processor.stock is not None:
        return adapter.processor.stock
    if not isinstance(model, Adapter):
        return stock_processor(adapter.model.config, adapter.processor, find_source(model))
    raise LookupError("the model came without one")


def _prune_and_reopen(adapter: Adapter, model: Model, pictures: Mapping[Path, Image.Image]) -> None:
    """Compares two pruned blocks with the model's own first ones: as transformers opens them, or cut in memory."""
    question = probe(*_ASKED[0])
    path = Path("ordinary")

    def answer(asked: Adapter) -> Tensor:
        return asked.answer_logits(
            *asked.encode([question], {path: asked.encode_images([pictures[path]])[0]})
        )

    if isinstance(model, Adapter):
        with _step(model, "cutting two blocks"):
            opened = answer(type(adapter)(cut_first_blocks(adapter), adapter.processor))
    else:
        with cache_folder(None) as temporary:
            folder = temporary / "hipp_prune_trial"
            with _step(model, "writing two pruned blocks"):
                write_first_blocks(local_folder(model), adapter, folder)
            with _step(model, "opening two pruned blocks with transformers"):
                opened = answer(type(adapter)(reopen(folder, adapter), adapter.processor))
    with _step(model, "masking two blocks"), first_blocks(adapter):
        masked = answer(adapter)
    _expect_close(adapter, model, opened, masked, "two blocks without some neurons", "the same blocks masked")


def _expect_close(
    adapter: Adapter, model: Model, found: Tensor, expected: Tensor, what: str, other: str
) -> None:
    """Refuses a model of which two computations that should agree do not.

    Args:
        adapter: the model, whose precision says how near is near.
        model: its name in the error.
        found: logits, [questions, V].
        expected: likewise.
        what: how the first were computed.
        other: how the second were.
    """
    difference = float((found - expected).abs().mean() / expected.std())
    if not difference <= _TOLERANCE.get(adapter.model.dtype, 0.15):
        raise _unsupported(
            model, f"the logits of {what} differ from those of {other} by {difference:.1%} of their spread"
        )


@contextmanager
def _step(model: Model, doing: str) -> Iterator[None]:
    """Says in one sentence what was being done when something went wrong."""
    try:
        yield
    except (HippPruneError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise _unsupported(model, f"{doing} failed ({_gist(error)})") from error


def _gist(error: Exception) -> str:
    """Kind and first sentence."""
    line = str(error).strip().split("\n", maxsplit=1)[0]
    return f"{type(error).__name__}: {line.split('. ', maxsplit=1)[0]}"


def _unsupported(model: Model, what: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"{name_of_model(model)}: tried before anything was written, and cannot be pruned: {what}; choose a model that "
        f"`hipp-prune models` lists, or report this one"
    )


def _picture(size: tuple[int, int]) -> Image.Image:
    """A picture that differs everywhere: two gradients and stripes."""
    width, height = size
    across = torch.linspace(0, 255, width).expand(height, width)
    down = torch.linspace(0, 255, height)[:, None].expand(height, width)
    stripes = (torch.arange(width) // 16 % 2 * 255).expand(height, width)
    return Image.fromarray(torch.stack([across, down, stripes], dim=-1).to(torch.uint8).numpy())
