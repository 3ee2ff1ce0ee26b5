"""From answers to scores, and the counts by picture from which a bootstrap computes them again."""

from dataclasses import dataclass

import numpy as np

from hipp_prune.evaluation.scoring import PopeMetrics, pope_metrics
from hipp_prune.experiments.compare.cell_results import AnswerColumns
from hipp_prune.plans.arrays import Bools, Floats


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What one checkpoint scores; shares in [0, 1], and NaN where no question of the kind was asked."""

    pope: float
    """Balanced accuracy over all POPE questions."""
    splits: dict[str, float]
    """Balanced accuracy by POPE split."""
    yes_rate: float
    """Share of Yes among its POPE answers."""
    auc: float
    """Probability that a Yes question has a larger margin of Yes over No than a No question: no threshold in it."""
    choice: float
    """Multiple-choice accuracy."""
    chance: float
    """Multiple-choice accuracy of a uniform guess; that of POPE is a half."""
    num_pope: int
    num_choice: int

    @property
    def mean(self) -> float:
        """Of the two accuracies."""
        return (self.pope + self.choice) / 2

    def asked(self, robustness_share: float) -> float:
        """The two accuracies as a preference weighs them (``Preference.robustness_share``)."""
        return robustness_share * self.pope + (1 - robustness_share) * self.choice


def score_columns(answers: AnswerColumns) -> Scores:
    """Scores of one checkpoint."""
    pope = answers.benchmark == "pope"
    choice = ~pope
    yes = answers.gold == "Yes"
    pooled = _pope(answers, pope)
    return Scores(
        pope=pooled.balanced_accuracy if pope.any() else float("nan"),
        splits={
            str(split): _pope(answers, pope & (answers.subset == split)).balanced_accuracy
            for split in np.unique(answers.subset[pope])
        },
        yes_rate=pooled.yes_rate if pope.any() else float("nan"),
        auc=auc(np.where(yes, answers.margin, -answers.margin)[pope], yes[pope]),
        choice=float(answers.right[choice].mean()) if choice.any() else float("nan"),
        chance=float((1 / answers.options[choice]).mean()) if choice.any() else float("nan"),
        num_pope=int(pope.sum()),
        num_choice=int(choice.sum()),
    )


def _pope(answers: AnswerColumns, chosen: Bools) -> PopeMetrics:
    return pope_metrics((answers.gold[chosen] == "Yes").tolist(), (answers.given[chosen] == "Yes").tolist())


def auc(values: Floats, positive: Bools) -> float:
    """Probability that a positive's value exceeds a negative's, ties counting half; NaN where either is missing."""
    negatives = np.sort(values[~positive])
    positives = values[positive]
    if not len(negatives) or not len(positives):
        return float("nan")
    below = np.searchsorted(negatives, positives, side="left")
    not_above = np.searchsorted(negatives, positives, side="right")
    return float((below + not_above).mean() / (2 * len(negatives)))


def picture_counts(answers: AnswerColumns) -> Floats:
    """Right answers and questions by group, [groups, 6]: right and all Yes, right and all No, right and all choice."""
    pope = answers.benchmark == "pope"
    yes = answers.gold == "Yes"
    kinds = (pope & yes, pope & ~yes, ~pope)
    counted = np.stack([column for kind in kinds for column in (kind & answers.right, kind)], axis=1)
    counts = np.zeros((int(answers.group.max()) + 1, counted.shape[1]))
    np.add.at(counts, answers.group, counted)
    return counts


def accuracies(sums: Floats, *, robustness_share: float = 0.5) -> Floats:
    """(POPE balanced, multiple choice, mean, weighed as asked) [..., 4] of summed ``picture_counts`` [..., 6]."""
    with np.errstate(invalid="ignore"):
        yes, no, choice = (sums[..., 2 * kind] / sums[..., 2 * kind + 1] for kind in range(3))
    pope = (yes + no) / 2
    asked = robustness_share * pope + (1 - robustness_share) * choice
    return np.stack([pope, choice, (pope + choice) / 2, asked], axis=-1)
