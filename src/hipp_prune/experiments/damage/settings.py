"""Settings of ``damage``; free of torch, so that the command line can read them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hipp_prune.errors import InputError
from hipp_prune.experiments.settings import HeldOut
from hipp_prune.files.ranges import Count, Mixed, Natural, Seed, Share
from hipp_prune.files.strict import check_settings
from hipp_prune.plans.preference import Preference
from hipp_prune.search.settings import SearchSettings

DamageCompensation = Literal["none", "ridge", "sequential"]
"""How neurons that stay answer for those that leave; the same for all methods that are compared."""


@dataclass(frozen=True, kw_only=True)
class DamageSettings:
    """What judges, what is calibrated on, and what a search may pay."""

    questions: tuple[str, ...]
    """Question specifications, as for calibrate; of those without an answer the dense model's own is the one wanted."""
    texts: tuple[Path, ...] = ()
    """Plain text or .jsonl files on whose windows the KL to the dense model is taken; nothing else reads them."""
    general_text: tuple[Path, ...] = ()
    """Other texts: a share of the Gram matrices, and what a search keeps the model's distribution on."""
    split: HeldOut = "test"
    """Whose questions judge: test once, at the end; validation while something is improved."""
    limit: Count = 150
    """At most so many of them a question file, ≥ 1."""
    windows: Count = 48
    """Windows of the texts, ≥ 1, of up to 128 tokens."""
    calibration: Count = 128
    """Calibration questions a seed, ≥ 1, and as many windows of general text."""
    general_share: Mixed = 0.5
    """Share of the Gram matrices that general text has, in (0, 1)."""
    evaluations: Count = 100
    """Plans that a search may evaluate, ≥ 1."""
    search_questions: Count = 48
    """Questions that a search asks a plan, ≥ 1."""
    search_windows: Natural = 16
    """Windows of general text that it asks as well, ≥ 0."""
    preference: str = "0,1,0"
    """R,U,C of a search: R is its questions, U the KL on its windows."""
    s_min: Share = 0.1
    """Smallest sparsity searched, in [0, s_max]."""
    s_max: Share = 0.6
    """Largest sparsity searched, in [s_min, r_max]."""
    r_max: Share = 0.9
    """Largest fraction that any method may take from one block, in (0, 1)."""
    batch_size: Count = 16
    """Questions a calibration pass, ≥ 1."""
    split_seed: Seed = 0
    """Of what is drawn to judge, the same for all seeds of a method, ≥ 0."""

    def __post_init__(self) -> None:
        check_settings(self)
        if not self.questions and not self.texts:
            raise InputError("nothing judges: give --questions, --texts or both")
        Preference.parse(self.preference)
        self.search(0, "none", "surrogate")

    def search(self, seed: int, compensation: DamageCompensation, method: str) -> SearchSettings:
        """The settings of a search: what is fitted in sequence is searched with ridge, which costs a plan nothing."""
        return SearchSettings(
            evaluations=self.evaluations,
            s_min=self.s_min,
            s_max=self.s_max,
            r_max=self.r_max,
            compensation="none" if compensation == "none" else "ridge",
            probe=None,
            minibatch=self.search_questions,
            seed=seed,
        ).for_method(method)
