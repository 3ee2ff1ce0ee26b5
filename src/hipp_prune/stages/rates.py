"""How fast a model is on a machine: seconds of what stages do again and again, and how they follow from its sizes."""

from dataclasses import dataclass

from hipp_prune.evaluation.free_answers import ANSWER_TOKENS
from hipp_prune.models.described import ModelSizes
from hipp_prune.questions.coco import OBJECTS

_OBSERVED = 1.3
"""A pass that is observed, in plain passes."""
_TAYLOR_PASSES = 4
"""A question's Taylor terms in plain passes."""
_TRIED = 16
"""Questions' worth of passes that trying a model takes."""
_LEARNT = 0.012
"""Seconds of surrogate and policy an evaluation, on one processor."""
_EFFICIENCY = 0.75
"""Share of a large product's speed that a whole forward pass reaches (``benchmarks/outlook.py --shape``)."""
READ = 1 / 3
"""What a byte of weights costs that is read and looked at, in bytes that are read for their checksum."""
_CALL = 1e-3
"""Seconds that a pass through one block takes on a processor however small it is, and a picture's through the tower."""
ROWS = 16
"""Sequences that are written together, a token after another."""


@dataclass(frozen=True, kw_only=True)
class Amount:
    """How much a stage is asked."""

    questions: int
    pictures: int
    together: int | None = None
    """Different lists of pictures that questions show; None where each shows one."""

    @property
    def per_picture(self) -> float:
        """Questions about the same picture or pictures, ≥ 1."""
        return max(1.0, self.questions / max(1, self.together or self.pictures))


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """Tokens of a question."""

    picture: int
    """Image tokens that stand for one of its pictures."""
    text: float
    """Tokens of its prompt, the chat template included."""
    pictures: float = 1.0
    """How many it shows, ≥ 1."""

    @property
    def shown(self) -> float:
        """Image tokens of all its pictures."""
        return self.picture * self.pictures


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Seconds of what stages do again and again, on one machine with one model."""

    load: float
    """Opening the model."""
    trial: float
    """Trying it before calibration."""
    picture: float
    """A picture through the vision tower."""
    observed: float
    """A question of calibration."""
    taylor: float
    """A question's Taylor terms."""
    searched: float
    """A question of a search's evaluation, of a dense model."""
    evaluated: float
    """A question of ``evaluate``, its share of its pictures included."""
    timed: float
    """A question that shares a pass with others but no picture, as two models are timed."""
    answered: float
    """A question that the dense model answers in its own words, its share of a picture included."""
    looked: float
    """A picture about whose objects it is asked, the picture included."""
    step: float | None
    """A step of recovery; None where it follows from the rest."""
    shown: float | None
    """A picture before recovery, to the model that learns and to the one that teaches; None as above."""
    byte: float
    """A byte written, and read again for its checksum."""
    read: float
    """A byte read for its checksum."""
    weighed: float
    """A weight whose flow is summed up."""
    product: float
    """An operation of a product of matrices in float32."""
    products: float = 1.0
    """Share of a pass that products of matrices take, in [0, 1]; the rest is the same however narrow the blocks are."""
    full: float = 1.0
    """What a pass in float32 takes, in passes, ≥ 1."""
    first: float = 0.0
    """What opening the first model takes longer than any later one: libraries are imported, files are not cached."""
    learnt: float = _LEARNT
    """What the search learns from an evaluation."""

    def left(self, sizes: ModelSizes, sparsity: float) -> float:
        """What a pass takes without a fraction of the MLP parameters, in passes of the dense model."""
        return 1 - self.products * sparsity * sizes.mlp_share


def question_flops(sizes: ModelSizes, tokens: float) -> float:
    """Multiplications and additions of a forward pass of the language model over one sequence; see ``flops_table``."""
    attention = 4 * tokens**2 * sizes.query_width * sizes.num_blocks
    return 2 * tokens * sizes.block_weights + attention + 2 * sizes.head_weights


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Speeds of a machine."""

    speed: float
    """Operations a second of a large product of matrices in the model's precision, beside whatever else runs."""
    full_speed: float
    """The same in float32."""
    thin_speed: float
    """The same of a product with few rows, one a sequence that is being written."""
    byte: float
    """Seconds to write one, and to read it again for its checksum; of a file of a size as will be written."""
    read: float
    """Seconds to read one for its checksum."""
    weighed: float
    """Seconds to sum a weight up in float64."""
    on_gpu: bool = False
    share: float = 1.0
    """Of its processors' time, what this process got of that of its threads, in [0, 1]; less beside other programs."""

    def pass_seconds(self, sizes: ModelSizes, tokens: float) -> float:
        """What the products of a forward pass over one sequence take."""
        return question_flops(sizes, tokens) / self.passing

    @property
    def passing(self) -> float:
        """Operations a second of a whole pass."""
        return self.speed * _EFFICIENCY


def computed_rates(
    sizes: ModelSizes,
    lengths: Lengths,
    machine: Machine,
    *,
    per_image: int,
    per_picture: float,
) -> Rates:
    """Rates that follow from a model's sizes and the speed of one large product of matrices.

    Args:
        sizes: of the model.
        lengths: of a question.
        machine: the speeds.
        per_image: questions about the same pictures in a search's minibatch.
        per_picture: questions about the same pictures in the test split.
    """
    call = _CALL * (0.1 if machine.on_gpu else 1)

    def passed(tokens: float, calls: float = 1.0) -> float:
        return machine.pass_seconds(sizes, tokens) + calls * call * sizes.num_blocks

    whole = lengths.shown + lengths.text
    patches = lengths.picture * sizes.patches_a_token
    picture = 2 * patches * sizes.vision_weights / machine.passing + call
    shared = lengths.shown / per_image + lengths.text
    written = question_flops(sizes, 1) / machine.thin_speed + call * sizes.num_blocks / ROWS
    return Rates(
        load=READ * machine.read * sizes.bytes,
        trial=_TRIED * passed(whole) + machine.byte * sizes.bytes * 2 / sizes.num_blocks,
        picture=picture,
        observed=_OBSERVED * passed(whole, 1 / 16),
        taylor=_TAYLOR_PASSES * passed(whole),
        searched=passed(shared, 1 / 32),
        evaluated=passed(lengths.shown / per_picture + lengths.text, 1 / 64)
        + lengths.pictures * picture / per_picture,
        answered=picture + passed(whole, 1 / ROWS) + ANSWER_TOKENS * written,
        looked=picture + passed(lengths.picture + len(OBJECTS) * lengths.text),
        timed=passed(whole, 1 / 64),
        step=None,
        shown=None,
        byte=machine.byte,
        read=machine.read,
        weighed=machine.weighed,
        product=1 / machine.full_speed,
        products=machine.pass_seconds(sizes, shared) / passed(shared, 1 / 32),
        full=max(1.0, machine.speed / machine.full_speed),
    )
