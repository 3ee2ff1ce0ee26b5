"""Everything that is measured once on the dense model, and the file that keeps it."""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from hipp_prune import distributed
from hipp_prune.calibration.activations import Moments, record_moments
from hipp_prune.calibration.general_text import GeneralText, add_general_text
from hipp_prune.calibration.gradients import score_taylor
from hipp_prune.calibration.grams import Grams
from hipp_prune.calibration.held_out import held_out_groups
from hipp_prune.calibration.reductions import HEAD_REDUCTIONS, TOKEN_REDUCTIONS
from hipp_prune.calibration.visual import VisualSensitivity, record_visual
from hipp_prune.errors import CheckpointError, IncompleteRunError, QuestionError
from hipp_prune.files.manifest import check_whole
from hipp_prune.files.progress import Progress
from hipp_prune.files.ranges import Count
from hipp_prune.files.strict import parse_json
from hipp_prune.files.system import cause
from hipp_prune.files.writing import atomic_path
from hipp_prune.models.adapter import Adapter, Batch, Block, ImageFeatures
from hipp_prune.models.structure import check_prunable
from hipp_prune.questions.fingerprint import Origin, fingerprint_questions
from hipp_prune.questions.images import read_image
from hipp_prune.questions.question import Question, group_of, pictures_of

CALIBRATION_FORMAT = "hipp-prune calibration 2"
"""What a calibration file says it is; a reader refuses any other."""

_REMEDY = "write it again with `hipp-prune calibrate`"

_SUMS = ("count", "total", "square", "maximum")


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Statistics of the dense model over the calibration questions, L blocks."""

    inputs: tuple[Moments, ...]
    """Input of gate and up of each block, length L, D = hidden size."""
    neurons: tuple[Moments, ...]
    """Input of down of each block (its neurons' activations), length L, D = neurons."""
    taylor: tuple[Tensor, ...]
    """Taylor importance Σ|W ⊙ g| of each block's neurons, length L, float32 [neurons]."""
    visual: VisualSensitivity
    """Attention that language tokens pay to the image, Eq. 5–6."""
    num_questions: int
    """Questions behind ``inputs`` and ``neurons``."""
    origin: Origin
    """The model's weights, and these questions."""

    def check_model(self, weights: str, *, path: Path) -> None:
        """Refuses a model that was not measured.

        Args:
            weights: its ``ModelShape.fingerprint``.
            path: the calibration's file, for the sentence.

        Raises:
            RunError: if its weights are others.
        """
        now = Origin(weights=weights, questions=self.origin.questions)
        self.origin.check(now, path=path, remedy="calibrate again")

    def save(self, path: Path) -> None:
        """Writes the file whole or not at all.

        Raises:
            RunError: if the disk is full or the place is not writable.
        """
        tensors = {f"taylor.{block}": scores for block, scores in enumerate(self.taylor)}
        tensors |= {"visual.total": self.visual.total, "visual.count": self.visual.count}
        for name, moments in (("inputs", self.inputs), ("neurons", self.neurons)):
            for block, sums in enumerate(moments):
                tensors |= {f"{name}.{block}.{kind}": getattr(sums, kind) for kind in _SUMS}
        metadata = {
            "format": CALIBRATION_FORMAT,
            "num_blocks": str(len(self.taylor)),
            "num_questions": str(self.num_questions),
            **asdict(self.origin),
        }
        with atomic_path(path) as temporary:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary, metadata)

    @classmethod
    def load(cls, path: Path) -> "Calibration":
        """Reads a calibration file.

        Raises:
            IncompleteRunError: if there is none, or it is cut off.
            CheckpointError: if it is something else than a calibration.
            RunError: if it is no longer what we wrote.
        """
        if not path.is_file():
            raise IncompleteRunError(f"no calibration at {path}; run `hipp-prune calibrate` first")
        check_whole(path)
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise IncompleteRunError(
                f"{path} is cut off or no calibration file ({cause(error)}); run `hipp-prune calibrate` again"
            ) from error
        return cls._of(tensors, metadata, path)

    @classmethod
    def _of(cls, tensors: dict[str, Tensor], metadata: dict[str, str], path: Path) -> "Calibration":
        found = metadata.get("format")
        if found != CALIBRATION_FORMAT:
            raise CheckpointError(
                f"{path}: expected a file that says {CALIBRATION_FORMAT!r}, found {found!r}; "
                "write it with `hipp-prune calibrate`"
            )

        def moments(name: str) -> Moments:
            return Moments(**{kind: tensors[f"{name}.{kind}"] for kind in _SUMS})

        num_blocks, num_questions = (
            _count(metadata.get(name, ""), f"{path}, {name}") for name in ("num_blocks", "num_questions")
        )
        try:
            blocks = range(num_blocks)
            read = cls(
                inputs=tuple(moments(f"inputs.{block}") for block in blocks),
                neurons=tuple(moments(f"neurons.{block}") for block in blocks),
                taylor=tuple(tensors[f"taylor.{block}"] for block in blocks),
                visual=VisualSensitivity(total=tensors["visual.total"], count=tensors["visual.count"]),
                num_questions=num_questions,
                origin=Origin(weights=metadata["weights"], questions=metadata["questions"]),
            )
        except KeyError as error:
            raise CheckpointError(
                f"{path}: expected a whole calibration, but {error} is missing; {_REMEDY}"
            ) from error
        if not read._fits():
            raise CheckpointError(f"{path}: expected a calibration, found tensors of other shapes; {_REMEDY}")
        return read

    def _fits(self) -> bool:
        """Whether every tensor is of the type and the shape that it is said to be."""
        exact, (hidden,) = torch.float64, self.inputs[0].total.shape[-1:] or (0,)
        reduced = (len(TOKEN_REDUCTIONS), len(HEAD_REDUCTIONS), len(self.taylor))
        wanted = [(self.visual.total, exact, reduced), (self.visual.count, exact, ())]
        for inputs, neurons, taylor in zip(self.inputs, self.neurons, self.taylor, strict=True):
            wanted.append((taylor, torch.float32, (taylor.numel(),)))
            for moments, width in ((inputs, hidden), (neurons, taylor.numel())):
                wanted.append((moments.count, exact, (2,)))
                wanted += [
                    (sums, exact, (2, width)) for sums in (moments.total, moments.square, moments.maximum)
                ]
        return all(found.dtype == kind and found.shape == shape for found, kind, shape in wanted)


def _count(text: str, where: str) -> int:
    return parse_json(text, Count, where=where, remedy=_REMEDY, error=CheckpointError)


@dataclass(frozen=True, kw_only=True)
class Observations:
    """What forward passes show: sums that add up over batches and workers."""

    inputs: tuple[Moments, ...]
    """Per block, of what its gate and up projections read."""
    neurons: tuple[Moments, ...]
    """Per block, of what its down projection reads."""
    visual: VisualSensitivity
    """Attention to image tokens, of every block."""

    def merge(self, other: "Observations") -> "Observations":
        """Observations of both sets of questions; order does not matter, up to rounding."""
        return Observations(
            inputs=tuple(map(Moments.merge, self.inputs, other.inputs)),
            neurons=tuple(map(Moments.merge, self.neurons, other.neurons)),
            visual=self.visual.merge(other.visual),
        )

    @classmethod
    def empty(cls, blocks: Sequence[Block]) -> "Observations":
        """Sums over no question, for blocks of these widths."""
        return cls(
            inputs=tuple(Moments.empty(block.gate.in_features) for block in blocks),
            neurons=tuple(Moments.empty(block.down.in_features) for block in blocks),
            visual=VisualSensitivity.empty(len(blocks)),
        )

    def over_workers(self, device: torch.device) -> "Observations":
        """Observations of all workers' questions, at every worker; their sums travel from ``device``."""
        moments = (*self.inputs, *self.neurons)
        sums = [tensor for each in moments for tensor in (each.count, each.total, each.square)]
        sums = [tensor.to(device) for tensor in (*sums, self.visual.total, self.visual.count)]
        maxima = [each.maximum.to(device) for each in moments]
        *added, total, count = (tensor.cpu() for tensor in distributed.all_reduce(sums))
        highest = [tensor.cpu() for tensor in distributed.all_reduce(maxima, largest=True)]
        merged = tuple(
            Moments(
                count=added[3 * index],
                total=added[3 * index + 1],
                square=added[3 * index + 2],
                maximum=maximum,
            )
            for index, maximum in enumerate(highest)
        )
        return Observations(
            inputs=merged[: len(self.inputs)],
            neurons=merged[len(self.inputs) :],
            visual=VisualSensitivity(total=total, count=count),
        )


def calibrate(
    adapter: Adapter,
    questions: Sequence[Question],
    *,
    batch_size: int = 16,
    taylor_questions: int = 10,
    grams: Grams | None = None,
    general: GeneralText | None = None,
    progress: Progress | None = None,
) -> Calibration:
    """Measures everything that scoring and the policy's state need, once, on the dense model.

    One forward pass of the language backbone a batch collects activations and visual sensitivity together, so
    the cost is about that of one plain pass over the questions (each image encoded once); then come
    ``taylor_questions`` forward and backward passes. Nothing is drawn: questions are sorted, so that their
    order does not matter, and neither does the batch size, up to rounding.

    Several workers each observe a part of the questions, and their sums are reduced. The Taylor importance is the
    first worker's: its gradients are as large as the MLPs, and sending them would cost more than a few questions do.

    Args:
        adapter: the dense model.
        questions: the calibration questions, at least one.
        batch_size: questions a forward pass, > 0.
        taylor_questions: how many of the questions the Taylor importance uses, > 0 (all, if there are fewer);
            the same set of questions always yields the same ones.
        grams: Gram matrices to be filled by the way; at the end they hold what all workers saw.
        general: text that they hold a share of beside the questions; nothing else is measured on it.
        progress: told (questions done, questions to do), Taylor passes included.

    Raises:
        QuestionError: if there is no question.
        ImageError: if a question's picture cannot be read.
        UnsupportedModelError: if the model's attention cannot be observed, or the model was sliced.
    """
    if not questions:
        raise QuestionError("calibration needs at least one question, got none; choose other questions")
    check_prunable(adapter.model)
    assert taylor_questions > 0
    chosen = sorted(questions, key=_digest)[:taylor_questions]
    own = distributed.share(sorted(questions, key=_by_image))
    observed = _shifted(progress, 0, len(own) + len(chosen))
    differentiated = _shifted(progress, len(own), len(own) + len(chosen))
    held_out = held_out_groups(questions)
    observations = observe(
        adapter, own, batch_size=batch_size, grams=grams, held_out=held_out, progress=observed
    )
    observations = observations.over_workers(adapter.device)
    if grams is not None:
        if general is not None:
            add_general_text(adapter, grams, general, batch_size=batch_size)
        grams.over_workers()
    if distributed.is_first():
        taylor = score_taylor(adapter, chosen, progress=differentiated)
    else:
        taylor = tuple(torch.zeros(block.gate.out_features) for block in adapter.blocks)
    return Calibration(
        inputs=observations.inputs,
        neurons=observations.neurons,
        taylor=tuple(distributed.all_reduce(taylor)),
        visual=observations.visual,
        num_questions=len(questions),
        origin=Origin(weights=adapter.shape.fingerprint, questions=fingerprint_questions(questions)),
    )


@torch.no_grad()
def observe(
    adapter: Adapter,
    questions: Sequence[Question],
    *,
    batch_size: int = 16,
    grams: Grams | None = None,
    held_out: Collection[str] = (),
    progress: Progress | None = None,
) -> Observations:
    """The forward half of ``calibrate``: what these questions show, be they none.

    Args:
        adapter: the model that is asked.
        questions: what it is asked; a worker passes its own share.
        batch_size: questions a forward pass, ≥ 1.
        grams: Gram matrices that their tokens are added to.
        held_out: groups whose questions are in none of these.
        progress: told (questions done, questions).

    Raises:
        ImageError: if a question's picture cannot be read.
        UnsupportedModelError: if the model's attention cannot be observed.
    """
    assert batch_size > 0
    merged = Observations.empty(adapter.blocks)
    ordered, done = sorted(questions, key=_by_image), 0
    for batch, images in batches(adapter, questions, batch_size):
        part = ordered[done : done + len(batch.last)]
        done += len(part)
        with grams.record(adapter.blocks, batch, part, held_out) if grams else nullcontext():
            merged = merged.merge(observe_batch(adapter, batch, images))
        if progress is not None:
            progress(done, len(questions))
    return merged


@torch.no_grad()
def observe_batch(adapter: Adapter, batch: Batch, images: Sequence[ImageFeatures]) -> Observations:
    """One forward pass of the language backbone, observed; results on the CPU.

    Raises:
        UnsupportedModelError: if the model's attention cannot be observed.
    """
    blocks = adapter.blocks
    with record_moments(blocks, batch) as moments, record_visual(adapter.model, blocks, batch) as mass:
        adapter.hidden_states(batch, images)
    return Observations(
        inputs=tuple(moments.inputs[index].to("cpu") for index in range(len(blocks))),
        neurons=tuple(moments.neurons[index].to("cpu") for index in range(len(blocks))),
        visual=mass.sensitivity(),
    )


def batches(
    adapter: Adapter, questions: Sequence[Question], batch_size: int
) -> Iterator[tuple[Batch, list[ImageFeatures]]]:
    """Encoded batches of ``questions``, image by image; each image is read and encoded once.

    Raises:
        ImageError: if a question's picture cannot be read.
    """
    questions = sorted(questions, key=_by_image)
    features: dict[Path, ImageFeatures] = {}
    for start in range(0, len(questions), batch_size):
        part = questions[start : start + batch_size]
        paths = pictures_of(part)
        new = [path for path in paths if path not in features]
        known = {path: features[path] for path in paths if path in features}
        encoded = adapter.encode_images([read_image(path) for path in new]) if new else []
        features = known | dict(zip(new, encoded, strict=True))
        yield adapter.encode(part, features)


def _by_image(question: Question) -> tuple[str, str, str]:
    """Questions about one image next to each other, those without one first."""
    return group_of(question.images, ""), question.benchmark, question.id


def _digest(question: Question) -> bytes:
    """Orders questions as if by chance, and always alike."""
    return hashlib.sha256(f"{question.benchmark}/{question.id}".encode()).digest()


def _shifted(progress: Progress | None, before: int, total: int) -> Progress | None:
    """Progress of one part of a longer work."""
    return None if progress is None else lambda done, _: progress(before + done, total)
