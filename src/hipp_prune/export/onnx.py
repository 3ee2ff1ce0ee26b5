"""ONNX graphs of a vision-language model, and the proof that ONNX Runtime answers as torch does.

The folder has the three graphs and the names that models for ONNX Runtime are published with: ``vision_encoder`` (tower
and projector), ``embed_tokens`` and ``decoder_model_merged`` (language model with its cache, for the prompt and for
single tokens alike). A graph has one width a block, so uneven, sliced and head-pruned models are nothing special.
"""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copyfile
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from hipp_prune.checkpoints.folders import check_output, copy_companions, whole_or_not_at_all
from hipp_prune.checkpoints.footprint import weight_bytes
from hipp_prune.errors import CheckpointError, UnsupportedModelError
from hipp_prune.export.exported import Exported, check_widths
from hipp_prune.export.onnx_graphs import AnySizeVision, Decoder, Embedding, FixedSizeVision
from hipp_prune.files.packages import require_packages
from hipp_prune.files.progress import Progress
from hipp_prune.models import load_model, structure
from hipp_prune.models.adapter import Adapter, Batch
from hipp_prune.models.families import family_of
from hipp_prune.questions.question import probe

_VISIONS: dict[str, type[nn.Module]] = {
    "llava": FixedSizeVision,
    "qwen2_vl": AnySizeVision,
    "qwen2_5_vl": AnySizeVision,
}
"""Families whose vision tower can be exported, by model type."""

_PACKAGES = ("onnx", "onnxscript", "onnxruntime")

_TOLERANCE = 1e-3
"""Largest deviation from torch's logits that passes, over the largest logit; about 1e-6 is what float32 gives."""

_STEPS = 4
"""Tokens generated for the check: the prompt, then the cache."""


@dataclass(frozen=True, kw_only=True)
class _Graph:
    """A module to trace: what it is called with, what its tensors are called, which of their sizes may vary."""

    name: str
    module: nn.Module
    arguments: tuple[Any, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    varying: tuple[Any, ...]
    """Names of the varying axes of each argument, by axis."""


def write_onnx(source: Path, out: Path, *, force: bool = False, progress: Progress | None = None) -> Exported:
    """Writes the graphs, tokenizer, image processor and a ``generate.py`` that runs them, in float32.

    Args:
        source: checkpoint folder.
        out: folder to write.
        force: replace what an earlier export wrote there.
        progress: told (parts done, parts in all).

    Raises:
        OutputExistsError: if ``out`` is there and ``force`` is false.
        InputError: if a package is missing.
        UnsupportedModelError: if the family's vision tower, or its attention, has no graph here.
        CheckpointError: if ``out`` cannot be written, or ONNX Runtime computes something else than torch.
    """
    check_output(source, out, force=force)
    require_packages("--format onnx", _PACKAGES, extra="onnx")
    adapter = load_model(source, dtype="float32")
    check_widths(source, adapter)
    graphs = _graphs(source, adapter)
    embeddings = adapter.model.get_input_embeddings().weight
    needed = 4 * (adapter.shape.total_parameters + embeddings.numel())  # a tied head is stored twice
    with whole_or_not_at_all(out, needed=needed) as folder:
        for done, graph in enumerate(graphs):
            _write_graph(graph, folder / f"{graph.name}.onnx")
            _tell(progress, done + 1, len(graphs) + 1)
        copy_companions(source, folder)
        copyfile(source / "config.json", folder / "config.json")
        copyfile(Path(__file__).with_name("onnx_generate.py"), folder / "generate.py")
        (folder / "chat_template.jinja").write_text(adapter.processor.chat_template, encoding="utf-8")
        difference = _check(adapter, folder)
        _tell(progress, len(graphs) + 1, len(graphs) + 1)
    return Exported(
        path=out,
        num_bytes=sum(path.stat().st_size for path in out.glob("*.onnx*")),
        bytes_before=weight_bytes(source),
        notes=(
            f"checked: {_STEPS} steps with a picture and {_STEPS} without, logits within {difference:.1e} of torch's",
            f'try it: python {out}/generate.py PICTURE "Is there a dog in the picture?"',
        ),
    )


def _graphs(source: Path, adapter: Adapter) -> tuple[_Graph, ...]:
    """The three graphs of a model, with small inputs to trace them by; no axis that varies is 0 or 1 long there."""
    model = adapter.model
    check_vision(source, adapter)
    if not structure.takes_any_mask(model):
        raise UnsupportedModelError(
            f"{source}: expected full attention in every block (attn_implementation sdpa), found sliding windows; the "
            "exported graph would let tokens see too far"
        )
    return (_vision(adapter), _embedding(model), _decoder(adapter))


def check_vision(source: Path, adapter: Adapter) -> None:
    """Refuses a family whose vision tower has no graph.

    Raises:
        UnsupportedModelError: naming those that have one.
    """
    config = adapter.model.config
    row = family_of(config)
    family = config.model_type if row is None else row.key
    if family not in _VISIONS:
        raise UnsupportedModelError(
            f"{source}: expected a model of type {', '.join(_VISIONS)}, found {family}, whose vision tower has no ONNX "
            "graph here; serve it with transformers or vLLM"
        )


def _vision(adapter: Adapter) -> _Graph:
    any_size = _VISIONS[adapter.model.config.model_type] is AnySizeVision
    pixels = adapter.processor.pixels([_picture(180, 240)])
    names = ("pixel_values", "image_grid_thw") if any_size else ("pixel_values",)
    return _Graph(
        name="vision_encoder",
        module=_VISIONS[adapter.model.config.model_type](adapter.model),
        arguments=tuple(pixels[name] for name in names),
        inputs=names,
        outputs=("image_features",),
        varying=({0: "patches"}, {}) if any_size else ({},),
    )


def _embedding(model: Any) -> _Graph:
    return _Graph(
        name="embed_tokens",
        module=Embedding(model),
        arguments=(torch.ones(2, 3, dtype=torch.long),),
        inputs=("input_ids",),
        outputs=("inputs_embeds",),
        varying=({0: "batch", 1: "new"},),
    )


def _decoder(adapter: Adapter) -> _Graph:
    """The language model, traced with a batch of 2, 3 tokens in the cache and 5 new ones."""
    model = adapter.model
    attentions: list[Any] = [block.attention for block in adapter.blocks]
    heads = [attention.k_proj.out_features // attention.head_dim for attention in attentions]
    shapes = [(2, count, 3, part.head_dim) for count, part in zip(heads, attentions, strict=True)]
    past = [torch.zeros(shape) for shape in shapes for _ in ("key", "value")]
    width = model.get_input_embeddings().weight.shape[1]
    has_axes = _VISIONS[model.config.model_type] is AnySizeVision
    positions = torch.arange(3, 8).expand((3, 2, 5) if has_axes else (2, 5)).clone()
    names = [f"{block}.{part}" for block in range(len(shapes)) for part in ("key", "value")]
    batch_new = {0: "batch", 1: "new"}
    return _Graph(
        name="decoder_model_merged",
        module=Decoder(model),
        arguments=(torch.zeros(2, 5, width), torch.ones(2, 8, dtype=torch.long), positions, past),
        inputs=("inputs_embeds", "attention_mask", "position_ids", *(f"past_key_values.{n}" for n in names)),
        outputs=("logits", *(f"present.{name}" for name in names)),
        varying=(
            batch_new,
            {0: "batch", 1: "all"},
            {1: "batch", 2: "new"} if has_axes else batch_new,
            [{0: "batch", 2: "past"} for _ in past],
        ),
    )


def _write_graph(graph: _Graph, path: Path) -> None:
    with _quiet(), torch.no_grad():
        torch.onnx.export(
            graph.module.eval(),
            graph.arguments,
            path,
            dynamo=True,
            external_data=True,
            input_names=graph.inputs,
            output_names=graph.outputs,
            dynamic_shapes=graph.varying,
            verbose=False,
        )


def _check(adapter: Adapter, folder: Path) -> float:
    """The largest deviation of ONNX Runtime's logits from torch's, over the largest logit.

    Raises:
        CheckpointError: if it is more than rounding explains.
    """
    from hipp_prune.export.onnx_generate import OnnxModel

    exported = OnnxModel(folder)
    difference = max(_difference(adapter, exported, picture) for picture in (_picture(200, 120), None))
    if not difference <= _TOLERANCE:
        raise CheckpointError(
            f"{folder}: ONNX Runtime's logits deviate from torch's by {difference:.1e} of the largest one, expected at "
            f"most {_TOLERANCE:.0e}; nothing was written, try other versions of {' and '.join(_PACKAGES)}"
        )
    return difference


@torch.no_grad()
def _difference(adapter: Adapter, exported: Any, picture: Image.Image | None) -> float:
    """As ``_check``, for one question: the exported model generates, torch reads what it said."""
    path = None if picture is None else Path("picture")
    question = probe("Is there a dog in the image?", *([] if path is None else [path]))
    pixels = None if picture is None else adapter.processor.pixels([picture])
    features = {} if path is None or picture is None else {path: adapter.encode_images([picture])[0]}
    batch, images = adapter.encode([question], features)
    ids = adapter.processor.token_ids(adapter.processor.render(question.prompt, images=len(question.images)))
    arrays = None if pixels is None else {name: value.numpy() for name, value in pixels.items()}
    answer, scores = exported.generate(ids, arrays, stop=(), limit=_STEPS)
    states = adapter.hidden_states(_continued(batch, answer[:-1]), images)[0, -_STEPS:]
    expected = adapter.model.get_output_embeddings()(states)
    worst = max(
        (torch.from_numpy(got) - want).abs().max() for got, want in zip(scores, expected, strict=True)
    )
    return float(worst / expected.abs().max())


def _continued(batch: Batch, answer: Sequence[int]) -> Batch:
    """A batch of one question with the first words of an answer behind it."""
    more = torch.tensor([answer], dtype=torch.long)

    def lengthened(values: Tensor, new: Tensor) -> Tensor:
        return torch.cat([values, new.to(values)], dim=1)

    nothing = torch.zeros_like(more)
    return replace(
        batch,
        input_ids=lengthened(batch.input_ids, more),
        attention_mask=lengthened(batch.attention_mask, nothing + 1),
        image_mask=lengthened(batch.image_mask, nothing),
        marker_mask=lengthened(batch.marker_mask, nothing),
        last=batch.last + len(answer),
        extras={
            name: lengthened(value, nothing) if value.shape == batch.input_ids.shape else value
            for name, value in batch.extras.items()
        },
    )


def _picture(width: int, height: int) -> Image.Image:
    """A picture with edges and colours, the same every time."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, 256, (6, 10, 3), generator=generator, dtype=torch.uint8)
    return Image.fromarray(coarse.numpy()).resize((width, height), Image.Resampling.BICUBIC)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences the exporter: which operators of absent packages it skips, and what it finds deprecated in itself."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _tell(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)
