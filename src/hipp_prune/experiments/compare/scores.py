"""From answers to scores, and the counts by picture from which a bootstrap computes them again."""

from dataclasses import dataclass

import numpy as np

from hipp_prune.experiments.compare.cell_results import AnswerColumns
from hipp_prune.plans.arrays import Bools, Floats
from hipp_prune.questions.yes_no import YesNoCounts, count_yes_no


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What one checkpoint scores; shares in [0, 1], and NaN where no question of the kind was asked."""

    robustness: float
    """Balanced accuracy over all questions that serve robustness."""
    splits: dict[str, float]
    """Balanced accuracy by their subset."""
    yes_rate: float
    """Share of Yes among their answers."""
    auc: float
    """Probability that a Yes question has a larger margin of Yes over No than a No question: no threshold in it."""
    utility: float
    """Accuracy on the questions that serve utility."""
    chance: float
    """That of a uniform guess; the balanced one's is a half."""
    num_robustness: int
    num_utility: int

    @property
    def mean(self) -> float:
        """Of the two accuracies."""
        return (self.robustness + self.utility) / 2

    def asked(self, robustness_share: float) -> float:
        """The two accuracies as a preference weighs them (``Preference.robustness_share``)."""
        share = _share(robustness_share, self.num_robustness, self.num_utility)
        parts = ((share, self.robustness), (1 - share, self.utility))
        return sum(weight * accuracy for weight, accuracy in parts if weight)


def score_columns(answers: AnswerColumns) -> Scores:
    """Scores of one checkpoint."""
    robust, rest = answers.robust, ~answers.robust
    yes = answers.gold == "Yes"
    pooled = _counts(answers, robust)
    return Scores(
        robustness=pooled.balanced_accuracy if robust.any() else float("nan"),
        splits={
            str(split): _counts(answers, robust & (answers.subset == split)).balanced_accuracy
            for split in np.unique(answers.subset[robust])
        },
        yes_rate=pooled.yes_rate if robust.any() else float("nan"),
        auc=auc(np.where(yes, answers.margin, -answers.margin)[robust], yes[robust]),
        utility=float(answers.right[rest].mean()) if rest.any() else float("nan"),
        chance=float((1 / answers.options[rest]).mean()) if rest.any() else float("nan"),
        num_robustness=int(robust.sum()),
        num_utility=int(rest.sum()),
    )


def _counts(answers: AnswerColumns, chosen: Bools) -> YesNoCounts:
    return count_yes_no((answers.gold[chosen] == "Yes").tolist(), (answers.given[chosen] == "Yes").tolist())


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
    """Right answers and questions by group, [groups, 6]: right and all Yes, right and all No, right and all others.

    Yes and No are those of the questions that serve robustness; the others serve utility.
    """
    robust, yes = answers.robust, answers.gold == "Yes"
    kinds = (robust & yes, robust & ~yes, ~robust)
    counted = np.stack([column for kind in kinds for column in (kind & answers.right, kind)], axis=1)
    counts = np.zeros((int(answers.group.max()) + 1, counted.shape[1]))
    np.add.at(counts, answers.group, counted)
    return counts


def accuracies(sums: Floats, *, robustness_share: float = 0.5) -> Floats:
    """(Robustness, utility, mean, weighed as asked) [..., 4] of summed ``picture_counts`` [..., 6]."""
    with np.errstate(invalid="ignore"):
        yes, no, utility = (sums[..., 2 * kind] / sums[..., 2 * kind + 1] for kind in range(3))
    robustness = (yes + no) / 2
    number = sums[..., 1::2].reshape(-1, 3).sum(axis=0)
    share = _share(robustness_share, number[:2].sum(), number[2])
    parts = ((share, robustness), (1 - share, utility))
    asked = sum(weight * accuracy for weight, accuracy in parts if weight)
    return np.stack([robustness, utility, (robustness + utility) / 2, asked], axis=-1)


def _share(wanted: float, num_robustness: float, num_utility: float) -> float:
    """What robustness weighs: as wanted, but where one role alone was asked about, that one is all there is."""
    if num_robustness and num_utility:
        return wanted
    return 1.0 if num_robustness else 0.0
