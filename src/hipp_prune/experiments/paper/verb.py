"""The verb that makes the paper's tables and figures."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import tyro

from hipp_prune.errors import InputError
from hipp_prune.experiments.paper.settings import FULL, QUICK, PaperSettings
from hipp_prune.experiments.settings import CrewSettings, require_extra
from hipp_prune.stages.settings import LoadSettings

_QUICK_MINUTES = 19
_BUDGETS = (0.225, 0.7)
"""Of models that are not ours."""


@dataclass(frozen=True, kw_only=True)
class Paper:
    """Make every table and figure of the paper, and what the paper lacks, on the embedded models or your own.

    Interrupted or killed, it goes on from its last cell when started again.

    Examples: hipp-prune paper --out paper --results paper/pages --quick; hipp-prune paper --out paper --results
    paper/pages --models /data/llava-1.5-7b-hf --questions pope:POPE scienceqa:SQA --device cuda --workers 1
    """

    out: Path
    """Folder of all cells, to make or to go on in."""
    results: Path
    """Folder of the pages: one a part, and README.md."""
    force: bool = False
    """Replace pages there that hipp-prune did not write, or that somebody changed."""
    parts: tuple[str, ...] = ()
    """Of table1 table2 table3 figure2 table4 decisions ablations proxy hallucination claims; all by default."""
    quick: bool = False
    """Few cells, questions and evaluations, to see that everything runs; 19 minutes, where not told otherwise."""
    models: tuple[str, ...] = ()
    """One for Table 1, and one for Table 2: checkpoint folders or hub names; the embedded ones by default."""
    budgets: tuple[float, ...] = ()
    """Shares of the MLP neurons to remove from --models, 0.225 and 0.7 by default.
    Where one setting changes, the largest."""
    settings: PaperSettings = field(default_factory=lambda: FULL)
    crew: CrewSettings = CrewSettings()
    loading: LoadSettings = LoadSettings()

    @classmethod
    def preset(cls, words: Sequence[str]) -> "Paper":
        """What ``--quick`` stands for."""
        if "--quick" not in words:
            return cls(out=tyro.MISSING, results=tyro.MISSING)
        crew = CrewSettings(minutes=_QUICK_MINUTES)
        return cls(out=tyro.MISSING, results=tyro.MISSING, settings=QUICK, crew=crew)

    def run(self) -> object:
        """Calls ``paper.stage.paper``."""
        require_extra("paper", *self.settings.searches)
        settings = self.settings
        if self.models:
            settings = replace(settings, budgets=dict.fromkeys(self.models, self.budgets or _BUDGETS))
        elif self.budgets:
            raise InputError(
                "--budgets are those of --models, and none is named; name models, or leave both out"
            )
        from hipp_prune.experiments.paper.stage import paper
        from hipp_prune.report.terminal import say

        paper(
            self.out,
            self.results,
            settings,
            parts=self.parts,
            force=self.force,
            command=shlex.join(["hipp-prune", *sys.argv[1:]]),
            crew=self.crew,
            loading=self.loading,
            say=say,
        )
        return {"results": self.results}
