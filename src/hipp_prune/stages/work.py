"""The stages that lie ahead, by their settings, and a row for each of what it costs."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from hipp_prune.plans.modes import Compensation
from hipp_prune.recovery.settings import RecoverySettings
from hipp_prune.search.settings import SearchSettings
from hipp_prune.stages.pipeline import SPEED_QUESTIONS
from hipp_prune.stages.prices import (
    Memory,
    Price,
    calibrate_price,
    check_price,
    evaluate_price,
    latency_price,
    prune_price,
    recover_price,
    report_price,
    search_price,
    speed_price,
)
from hipp_prune.stages.rates import Rates
from hipp_prune.stages.settings import AskSettings, CalibrateSettings, EvaluateSettings
from hipp_prune.stages.split_questions import SplitQuestions


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is to be done; by default what the commands do that one gives after another."""

    calibrate: CalibrateSettings = CalibrateSettings()
    search: SearchSettings = field(default_factory=SearchSettings)
    asking: AskSettings = AskSettings()
    """How questions are asked while the search lasts."""
    sparsity: float = 0.3
    """Fraction of the MLP parameters that is to leave, in [0, 1]."""
    compensation: Compensation = "none"
    """How neurons that stay answer for those that leave, when the checkpoint is written."""
    recover: RecoverySettings | None = None
    """None where nothing is recovered."""
    evaluate: EvaluateSettings = EvaluateSettings()
    whole: bool = False
    """Whether it is all that ``auto`` does: both models are evaluated, timed against each other, and reported."""
    skip_bad: bool = False
    """Whether broken questions and pictures are left out."""
    paid: float = 0.0
    """Evaluations of a whole minibatch that an earlier start of the search has paid for, ≥ 0."""
    done: frozenset[str] = frozenset()
    """Stages that an earlier start has finished; they have no row."""

    @property
    def timed(self) -> int:
        """Test questions, at most, by which models are timed against each other; 0 where they are not."""
        return SPEED_QUESTIONS if self.whole else 0

    def prices(self, rates: Rates, memory: Memory, splits: SplitQuestions) -> list[Price]:
        """The rows, in the order of the work.

        Args:
            rates: of the model here.
            memory: that its stages take.
            splits: the questions.
        """
        drawing = splits.reading("drawing")
        rows = (
            self._whole(rates, memory, splits) if self.whole else self._stages(rates, memory, splits, drawing)
        )
        return [row for row in rows if row.stage not in self.done]

    def _stages(
        self, rates: Rates, memory: Memory, splits: SplitQuestions, drawing: float = 0.0
    ) -> Iterator[Price]:
        """The stages one by one, the first of which takes so many seconds more where it draws the embedded world."""
        sample, searched = splits.asked("calibration"), splits.asked("search")
        reading = drawing + splits.reading("survey", "calibration", "all")
        yield calibrate_price(rates, memory, sample, self.calibrate, reading, splits.unlabelled)
        yield search_price(
            rates, memory, searched, self.search, splits.reading("search"), self.asking.image_bytes, self.paid
        )
        yield prune_price(rates, memory, self.sparsity, sample, self.compensation)
        if self.recover is not None:
            asked = splits.asked("recovery")
            yield recover_price(rates, memory, asked, self.recover, splits.reading("recovery"))
        test, reading = splits.asked("test"), splits.reading("test")
        yield evaluate_price(rates, memory, test, self.evaluate.batch_size, reading)

    def _whole(self, rates: Rates, memory: Memory, splits: SplitQuestions) -> Iterator[Price]:
        """All of ``auto``; questions that have been read once are read again faster than by hand, stage by stage."""
        yield check_price(splits.reading("drawing", "calibration", "search", "test", "recovery"))
        *stages, evaluate = self._stages(rates, memory, splits)
        calibrate, search, *later = stages
        yield calibrate
        if self.search.compression == "latency":
            yield latency_price(rates, memory, self.asking.batch_size)
        yield search
        yield from later
        yield replace(evaluate, stage="evaluate dense")
        left = rates.left(memory.sizes, self.sparsity)
        yield replace(evaluate, stage="evaluate pruned", seconds=evaluate.seconds * left)
        yield speed_price(rates, memory, splits.asked("timed"), self.sparsity)
        yield report_price()
