"""What each stage costs, as plain arithmetic: seconds and bytes from sizes, numbers of questions, and rates."""

from dataclasses import dataclass

from hipp_prune.models.described import ModelSizes
from hipp_prune.recovery.settings import RecoverySettings
from hipp_prune.search.settings import SearchSettings
from hipp_prune.stages.settings import CalibrateSettings

_OBSERVED = 1.3
"""A pass that is observed, in plain passes."""
_TAYLOR_PASSES, _TAYLOR_QUESTIONS = 4, 10
"""A question's Taylor terms in plain passes, and of how many questions calibration takes them."""
_TRIED = 16
"""Questions' worth of passes that trying a model takes."""
_TRAINED_PASSES = 3
"""A step of recovery in plain passes: forward, and back through the whole model to the projector."""
_LEARNT = 0.012
"""Seconds of surrogate and policy an evaluation, on one processor."""
_EFFICIENCY = 0.35
"""Share of a large product's speed that a whole forward pass reaches (``benchmarks/outlook.py --computed``)."""
_CALL = 1e-3
"""Seconds that a pass through one block takes on a processor however small it is, and a picture's through the tower."""
_OPENED = 0.15
"""Seconds of pruning however small the checkpoint is."""
_COPIED = 2
"""What a byte costs that is read, checked, cut and written, in bytes that are just written."""
_PROCESS = 6e8
"""Bytes of a process that has imported torch and transformers."""
_SUMS = 8 * 3 * 2
"""Bytes of a calibration file a channel: three sums in float64, image and text tokens apart."""
_ROOM = 8
"""Vectors as wide as the hidden states that a pass holds a token, beside its neurons."""


@dataclass(frozen=True, kw_only=True)
class Amount:
    """How much a stage is asked."""

    questions: int
    pictures: int

    @property
    def per_picture(self) -> float:
        """Questions about one picture, ≥ 1."""
        return max(1.0, self.questions / max(1, self.pictures))


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """Tokens of a question."""

    picture: int
    """Image tokens that stand for its picture."""
    text: float
    """Tokens of its prompt, the chat template included."""


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
    """A question of ``evaluate``, its share of a picture included."""
    byte: float
    """A byte written with its checksum."""
    learnt: float = _LEARNT
    """What the search learns from an evaluation."""


@dataclass(frozen=True, kw_only=True)
class Price:
    """A row of an outlook."""

    stage: str
    seconds: float
    cpu_bytes: int
    """Memory of the process at its peak."""
    gpu_bytes: int
    """Memory of the GPU at its peak; 0 without one."""
    disk_bytes: int
    """What it leaves on the disk."""
    questions: int
    pictures: int


def question_flops(sizes: ModelSizes, tokens: float) -> float:
    """Multiplications and additions of a forward pass of the language model over one sequence; see ``flops_table``."""
    attention = 4 * tokens**2 * sizes.query_width * sizes.num_blocks
    return 2 * tokens * sizes.block_weights + attention + 2 * sizes.head_weights


def computed_rates(
    sizes: ModelSizes,
    lengths: Lengths,
    speed: float,
    byte: float,
    *,
    per_image: int,
    per_picture: float,
    on_gpu: bool,
) -> Rates:
    """Rates that follow from a model's sizes and the speed of one large product of matrices.

    Args:
        sizes: of the model.
        lengths: of a question.
        speed: operations a second of the product.
        byte: seconds to write one.
        per_image: questions about one picture in a search's minibatch.
        per_picture: questions about one picture in the test split.
        on_gpu: whether the product was a GPU's.
    """
    call = _CALL * (0.1 if on_gpu else 1)

    def passed(tokens: float, calls: float = 1.0) -> float:
        return question_flops(sizes, tokens) / (speed * _EFFICIENCY) + calls * call * sizes.num_blocks

    whole = lengths.picture + lengths.text
    patches = lengths.picture * sizes.patches_a_token
    picture = 2 * patches * sizes.vision_weights / (speed * _EFFICIENCY) + call
    return Rates(
        load=2 * byte * sizes.bytes,
        trial=_TRIED * passed(whole) + byte * sizes.bytes * 2 / sizes.num_blocks,
        picture=picture,
        observed=_OBSERVED * passed(whole, 1 / 16),
        taylor=_TAYLOR_PASSES * passed(whole),
        searched=passed(lengths.picture / per_image + lengths.text, 1 / 32),
        evaluated=passed(lengths.picture / per_picture + lengths.text, 1 / 64) + picture / per_picture,
        byte=byte,
    )


def calibrate_price(
    rates: Rates, memory: "Memory", asked: Amount, settings: CalibrateSettings, reading: float
) -> Price:
    """Of measuring the dense model.

    Args:
        rates: of the model here.
        memory: that its stages take.
        asked: the calibration sample.
        settings: of calibration.
        reading: seconds to read the questions.
    """
    sizes, taylor = memory.sizes, min(_TAYLOR_QUESTIONS, asked.questions)
    seconds = rates.load + rates.trial + reading + asked.pictures * rates.picture
    seconds += asked.questions * rates.observed + taylor * (rates.taylor + rates.picture)
    channels = sizes.num_blocks * (sizes.hidden_size + sizes.neurons)
    grams = 4 * sizes.num_blocks * sizes.neurons**2 * (settings.compensation == "ridge")
    gradients = sizes.mlp_weights // sizes.num_blocks * sizes.number_bytes
    room = memory.activations(settings.batch_size) + gradients
    return memory.price("calibrate", seconds, room=room, disk=channels * _SUMS + grams, asked=asked)


def search_price(
    rates: Rates, memory: "Memory", asked: Amount, settings: SearchSettings, reading: float, image_bytes: int
) -> Price:
    """Of training the policy; a search that is given minutes takes them, if it is not through before.

    Args:
        rates: of the model here.
        memory: that its stages take.
        asked: the search split.
        settings: of the search.
        reading: seconds to read the questions.
        image_bytes: of encoded pictures that stay in memory.
    """
    sizes, evaluations = memory.sizes, settings.most_evaluations
    mlp = sizes.mlp_weights / sizes.block_weights
    left = 1 - (settings.s_min + settings.s_max) / 2 * mlp
    evaluating = evaluations * settings.minibatch * rates.searched * left
    if settings.minutes is not None:
        evaluating = min(evaluating, 60 * settings.minutes)
        evaluations = int(evaluating / max(1e-9, settings.minibatch * rates.searched * left))
    seconds = rates.load + reading + asked.pictures * rates.picture + evaluating + evaluations * rates.learnt
    features = asked.pictures * memory.feature_bytes
    kept = min(features, image_bytes)
    room = (
        memory.activations(settings.minibatch, settings.per_image) + 2 * sizes.mlp_weights // sizes.num_blocks
    )
    return memory.price("search", seconds, room=room, disk=features - kept, asked=asked, features=kept)


def prune_price(rates: Rates, memory: "Memory", sparsity: float) -> Price:
    """Of writing the smaller checkpoint.

    Args:
        rates: of the model here.
        memory: that its stages take.
        sparsity: fraction of the MLP parameters that leaves.
    """
    sizes = memory.sizes
    written = int(sizes.bytes - sparsity * sizes.mlp_weights * sizes.number_bytes)
    seconds = _OPENED + _COPIED * rates.byte * (sizes.bytes + written)
    none = Amount(questions=0, pictures=0)
    cpu = int(_PROCESS) + min(sizes.bytes, 5 * 10**9)
    return Price(
        stage="prune", seconds=seconds, cpu_bytes=cpu, gpu_bytes=0, disk_bytes=written,
        questions=none.questions, pictures=none.pictures,
    )  # fmt: skip


def recover_price(
    rates: Rates, memory: "Memory", asked: Amount, settings: RecoverySettings, reading: float
) -> Price:
    """Of a short fine-tuning in float32, roughly.

    Args:
        rates: of the model here.
        memory: that its stages take.
        asked: the recovery split.
        settings: of the recovery.
        reading: seconds to read the questions.
    """
    sizes = memory.sizes
    seconds = rates.load + reading + asked.pictures * rates.picture
    seconds += settings.steps * settings.batch_size * rates.searched * _TRAINED_PASSES
    full = 4 * sizes.parameters - sizes.bytes
    trained = 4 * 4 * sizes.head_weights * settings.head
    graph = memory.activations(settings.pass_size, settings.per_image) * sizes.num_blocks
    return memory.price(
        "recover", seconds, room=full + trained + graph, disk=sizes.bytes, asked=asked,
        features=asked.pictures * memory.feature_bytes,
    )  # fmt: skip


def evaluate_price(
    rates: Rates, memory: "Memory", asked: Amount, batch_size: int, reading: float, *, stage: str = "evaluate"
) -> Price:
    """Of scoring a model; the dense one takes this long, a pruned one less.

    Args:
        rates: of the model here.
        memory: that its stages take.
        asked: the test split.
        batch_size: questions a forward pass.
        reading: seconds to read the questions.
        stage: the row's name.
    """
    seconds = rates.load + reading + asked.questions * rates.evaluated
    room = memory.activations(batch_size, asked.per_picture)
    features = asked.pictures * memory.feature_bytes
    return memory.price(stage, seconds, room=room, disk=0, asked=asked, features=features)


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What a model's stages take of memory."""

    sizes: ModelSizes
    lengths: Lengths
    on_gpu: bool

    @property
    def feature_bytes(self) -> int:
        """Bytes of one encoded picture."""
        return self.lengths.picture * self.sizes.hidden_size * self.sizes.number_bytes

    def activations(self, questions: int, per_picture: float = 1.0) -> int:
        """Bytes that a pass over a batch holds at once.

        Args:
            questions: in the batch.
            per_picture: questions that share a picture's tokens.
        """
        sizes = self.sizes
        sequences = questions / per_picture
        length = self.lengths.picture + self.lengths.text * per_picture
        wide = _ROOM * sizes.hidden_size + 3 * sizes.neurons
        masks = 2 * sequences * length**2
        return int(
            (sequences * length * wide + masks) * sizes.number_bytes + 4 * questions * self._vocabulary
        )

    @property
    def _vocabulary(self) -> int:
        return self.sizes.head_weights // self.sizes.hidden_size

    def price(
        self, stage: str, seconds: float, *, room: int, disk: int, asked: Amount, features: int = 0
    ) -> Price:
        """A row: weights and what a pass holds are where the model is, encoded pictures as well.

        Args:
            stage: its name.
            seconds: that it takes.
            room: bytes beside weights and pictures.
            disk: bytes that it leaves.
            asked: questions and pictures.
            features: bytes of encoded pictures.
        """
        model = self.sizes.bytes + room + features
        return Price(
            stage=stage,
            seconds=seconds,
            cpu_bytes=int(_PROCESS) + (0 if self.on_gpu else model),
            gpu_bytes=model if self.on_gpu else 0,
            disk_bytes=int(disk),
            questions=asked.questions,
            pictures=asked.pictures,
        )
