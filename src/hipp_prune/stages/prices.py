"""What each stage costs, as plain arithmetic: seconds and bytes from sizes, numbers of questions, and rates."""

from dataclasses import dataclass

from hipp_prune.evaluation.free_answers import ANSWER_TOKENS
from hipp_prune.evaluation.speed import FEWEST, ROUND_SECONDS, count_within
from hipp_prune.models.described import ModelSizes
from hipp_prune.plans.modes import Compensation
from hipp_prune.pruning.streams import HELD_BYTES
from hipp_prune.recovery.settings import RecoverySettings
from hipp_prune.search.settings import SearchSettings
from hipp_prune.stages.rates import READ, Amount, Lengths, Rates
from hipp_prune.stages.settings import CalibrateSettings

_TAYLOR_QUESTIONS = 10
"""Of how many questions calibration takes Taylor terms."""
_TRAINED_PASSES = 4
"""A step of recovery in plain passes: forward, back through the whole model to the projector, and the teacher's."""
_STEP = 0.05
"""Seconds of losses, optimizer and schedule a step, however small the model."""
_FITTED_PASSES = 2
"""A question of ``sequential`` compensation in plain passes: the dense model's and the pruned one's. What memory does
not hold of either is computed once more."""
_RIDGES = 5
"""Ridges that every block chooses from."""
_DOUBLE = 2
"""An operation in float64, in such of float32."""
_TURNS = 6
"""How often both models are asked the same when they are timed against each other."""
_MEASURED_BLOCKS, _MEASURED_ROUNDS, _MEAN_WIDTH = 4 * 9, 7, 0.5
"""MLPs that a table of latencies takes a round, the rounds, and their mean width."""
_REPORTED = 1.0
"""Seconds of a query and of the report, whatever the model."""
_OPENED = 0.15
"""Seconds of pruning however small the checkpoint is."""
_RANKED = 3.5
"""What a search does with each MLP weight before its first plan, in flows: ranks, sorts, describes."""
_SLICED = 1 / 4
"""What cutting it costs a byte of an MLP, in bytes that are read for their checksum."""
_CUT = 4
"""Matrices of an MLP that are in memory while one is cut."""
_PROCESS = 3.5e8
"""Bytes that a process holds which has imported torch and transformers."""
_SUMS = 8 * 3 * 2
"""Bytes of a calibration file a channel: three sums in float64, image and text tokens apart."""
_BATCH = 64
"""Questions that an evaluation asks in a pass where nobody says."""
_ROOM = 8
"""Vectors as wide as the hidden states that a pass holds a token, beside its neurons."""


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


def calibrate_price(
    rates: Rates,
    memory: "Memory",
    asked: Amount,
    settings: CalibrateSettings,
    reading: float,
    unlabelled: Amount,
) -> Price:
    """Of measuring the dense model, which answers first what comes without an answer.

    Args:
        rates: of the model here.
        memory: that its stages take.
        asked: the calibration sample.
        settings: of calibration.
        reading: seconds to read the questions.
        unlabelled: what comes without an answer, whatever its split.
    """
    sizes, taylor = memory.sizes, min(_TAYLOR_QUESTIONS, asked.questions)
    seconds = rates.first + rates.load + rates.trial + reading + asked.pictures * rates.picture
    seconds += unlabelled.questions * rates.answered * settings.answer_tokens / ANSWER_TOKENS
    seconds += unlabelled.pictures * rates.looked
    seconds += asked.questions * rates.observed + taylor * (rates.taylor + rates.picture)
    channels = sizes.num_blocks * (sizes.hidden_size + sizes.neurons)
    grams = 4 * sizes.num_blocks * sizes.neurons**2 * (settings.compensation == "ridge")
    gradients = sizes.mlp_weights // sizes.num_blocks * sizes.number_bytes
    room = memory.activations(settings.batch_size) + gradients
    return memory.price("calibrate", seconds, room=room, disk=channels * _SUMS + grams, asked=asked)


def search_price(
    rates: Rates,
    memory: "Memory",
    asked: Amount,
    settings: SearchSettings,
    reading: float,
    image_bytes: int,
    paid: float = 0.0,
) -> Price:
    """Of training the policy; a search that is given minutes takes them, if it is not through before.

    What an earlier start has paid for is learnt from again and costs no evaluation.

    Args:
        rates: of the model here.
        memory: that its stages take.
        asked: the search split.
        settings: of the search.
        reading: seconds to read the questions.
        image_bytes: of encoded pictures that stay in memory.
        paid: evaluations of a whole minibatch that an earlier start has paid for.
    """
    sizes, evaluations = memory.sizes, settings.most_evaluations
    left = rates.left(sizes, (settings.s_min + settings.s_max) / 2)
    evaluating = max(0.0, evaluations - paid) * settings.minibatch * rates.searched * left
    if settings.minutes is not None:
        evaluating = min(evaluating, 60 * settings.minutes)
        evaluations = int(evaluating / max(1e-9, settings.minibatch * rates.searched * left))
    seconds = rates.load + reading + asked.pictures * rates.picture + evaluating + evaluations * rates.learnt
    seconds += _RANKED * sizes.mlp_weights * rates.weighed
    features = asked.pictures * memory.feature_bytes
    kept = min(features, image_bytes)
    room = (
        memory.activations(settings.minibatch, settings.per_image) + 2 * sizes.mlp_weights // sizes.num_blocks
    )
    return memory.price("search", seconds, room=room, disk=features - kept, asked=asked, features=kept)


def prune_price(
    rates: Rates,
    memory: "Memory",
    sparsity: float,
    asked: Amount,
    compensation: Compensation = "none",
) -> Price:
    """Of writing the smaller checkpoint.

    Args:
        rates: of the model here.
        memory: that its stages take.
        sparsity: fraction of the MLP parameters that leaves.
        asked: the calibration sample.
        compensation: ``sequential`` asks that again; the other modes are fitted without a question.
    """
    sizes = memory.sizes
    written = sizes.bytes_without(sparsity)
    seconds = _OPENED + rates.load + rates.byte * written + READ * rates.read * sizes.bytes
    seconds += _SLICED * rates.read * sizes.mlp_weights * sizes.number_bytes
    if compensation != "sequential":
        cpu = int(_PROCESS) + _CUT * sizes.hidden_size * sizes.neurons * sizes.number_bytes
        return Price(
            stage="prune", seconds=seconds, cpu_bytes=cpu, gpu_bytes=0, disk_bytes=written,
            questions=0, pictures=0,
        )  # fmt: skip
    kept = (1 - sparsity) * sizes.neurons
    tokens = asked.questions * memory.length
    seconds += rates.load + asked.pictures * rates.picture
    held = _held_while_fitting(sizes, kept, tokens)
    passes = _FITTED_PASSES + sum(1 - min(1.0, HELD_BYTES / size) for size in held)
    seconds += passes * asked.questions * rates.timed + _fit_seconds(rates, sizes, kept, tokens)
    sums = 8 * 4 * int(kept) * int(kept + sizes.hidden_size)
    streams = int(2 * tokens * sizes.hidden_size * sizes.number_bytes)
    downs = int(4 * sizes.num_blocks * kept * sizes.hidden_size)
    room = sums + streams + downs + memory.activations(CalibrateSettings().batch_size)
    room += sum(min(HELD_BYTES, int(size)) for size in held)
    return memory.price("prune", seconds, room=room, disk=written, asked=asked)


def _held_while_fitting(sizes: ModelSizes, kept: float, tokens: float) -> tuple[float, float]:
    """Bytes of the dense stream behind all blocks, and of what one block has computed of the pruned one, at least 1.

    Args:
        sizes: of the model.
        kept: neurons that a block keeps.
        tokens: of the calibration sample.
    """
    stream = tokens * sizes.hidden_size
    dense = stream * sizes.num_blocks * sizes.number_bytes
    return max(1.0, dense), max(1.0, 4 * stream + tokens * kept * sizes.number_bytes)


def _fit_seconds(rates: Rates, sizes: ModelSizes, kept: float, tokens: float) -> float:
    """Of the sums over tokens, and of what is solved with them, in every block.

    Args:
        rates: of the model here.
        sizes: of the model.
        kept: neurons that a block keeps.
        tokens: of the calibration sample.
    """
    summed = 2 * tokens * kept * (kept + 2 * sizes.hidden_size)
    solved = (_RIDGES + 1) * (kept**3 / 3 + 4 * sizes.hidden_size * kept**2)
    judged = _RIDGES * 2 * sizes.hidden_size * kept**2
    return sizes.num_blocks * rates.product * (summed + _DOUBLE * (solved + judged))


def recover_price(
    rates: Rates, memory: "Memory", asked: Amount, settings: RecoverySettings, reading: float
) -> Price:
    """Of a short fine-tuning in float32, roughly, with the dense model as its teacher.

    Args:
        rates: of the model here.
        memory: that its stages take.
        asked: the recovery split.
        settings: of the recovery.
        reading: seconds to read the questions.
    """
    sizes = memory.sizes
    step, shown = rates.step, rates.shown
    if step is None:
        step = _STEP + settings.batch_size * rates.searched * _TRAINED_PASSES * rates.full
    if shown is None:
        shown = 2 * rates.picture * rates.full
    seconds = 2 * rates.load + reading + asked.pictures * shown + settings.steps * step
    both = 2 * 4 * sizes.parameters - sizes.bytes
    trained = 4 * 4 * sizes.head_weights * settings.head
    graph = memory.activations(settings.pass_size, settings.per_image) * sizes.num_blocks
    features = 2 * asked.pictures * memory.feature_bytes
    return memory.price(
        "recover", seconds, room=both + trained + graph, disk=sizes.bytes, asked=asked, features=features
    )


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


def check_price(reading: float) -> Price:
    """Of looking through the questions of every split before anything is begun.

    Args:
        reading: seconds to read them.
    """
    return _light("check", reading)


def latency_price(rates: Rates, memory: "Memory", batch_size: int) -> Price:
    """Of the table of seconds by block width.

    Args:
        rates: of the model here.
        memory: that its stages take.
        batch_size: questions of the pass that is timed.
    """
    sizes = memory.sizes
    narrow = _MEASURED_BLOCKS * _MEAN_WIDTH * sizes.mlp_share / sizes.num_blocks
    seconds = rates.load + batch_size * rates.timed * (1 + _MEASURED_ROUNDS * (1 + narrow))
    room = memory.activations(batch_size)
    return memory.price("latency", seconds, room=room, disk=0, asked=Amount(questions=0, pictures=0))


def speed_price(rates: Rates, memory: "Memory", asked: Amount, sparsity: float) -> Price:
    """Of timing the pruned model against the dense one.

    Args:
        rates: of the model here.
        memory: that its stages take.
        asked: the questions that both are asked in turns, as far as a round takes about a minute.
        sparsity: fraction of the MLP parameters that has left.
    """
    models = 1 + rates.left(memory.sizes, sparsity)
    count = count_within(ROUND_SECONDS / 2, rates.timed, asked.questions)
    asked = Amount(questions=count, pictures=min(count, asked.pictures))
    probes = 2 * min(FEWEST, count) * rates.timed
    seconds = (
        2 * rates.load + 2 * asked.pictures * rates.picture + probes + _TURNS * count * rates.timed * models
    )
    room = memory.sizes.bytes_without(sparsity) + memory.activations(_BATCH)
    features = 2 * asked.pictures * memory.feature_bytes
    return memory.price("speed", seconds, room=room, disk=0, asked=asked, features=features)


def report_price() -> Price:
    """Of a query and the run's page."""
    return _light("report", _REPORTED)


def _light(stage: str, seconds: float) -> Price:
    """Of a stage that opens no model."""
    return Price(
        stage=stage, seconds=seconds, cpu_bytes=int(_PROCESS), gpu_bytes=0, disk_bytes=0, questions=0,
        pictures=0,
    )  # fmt: skip


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

    @property
    def length(self) -> float:
        """Tokens of a question with its pictures."""
        return self.lengths.shown + self.lengths.text

    def activations(self, questions: int, per_picture: float = 1.0) -> int:
        """Bytes that a pass over a batch holds at once.

        Args:
            questions: in the batch.
            per_picture: questions that share their pictures' tokens.
        """
        sizes = self.sizes
        sequences = questions / per_picture
        length = self.lengths.shown + self.lengths.text * per_picture
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
