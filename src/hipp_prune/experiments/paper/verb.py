"""The subcommand that makes the paper's tables and figures; as in ``commands``, nothing heavy is imported here."""

import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro

from hipp_prune.cli.commands import ModelFlags


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
    parts: tuple[str, ...] = ()
    """Of table1 table2 table3 figure2 table4 decisions ablations proxy hallucination claims; all by default."""
    quick: bool = False
    """Few cells, questions and evaluations, to see that everything runs; 19 minutes, where not told otherwise."""
    models: tuple[str, ...] = ()
    """One for Table 1, and one for Table 2: checkpoint folders or hub names; the embedded ones by default."""
    budgets: tuple[float, ...] = (0.225, 0.7)
    """Shares of the MLP neurons to remove from --models; where one setting changes, the largest."""
    questions: tuple[str, ...] = ("toyworld",)
    """Question specifications, as for calibrate."""
    split: Literal["validation", "test"] | None = None
    """Whose questions judge: test once, at the end, which is the default; validation for --quick and while something is
    improved."""
    first_seed: int | None = None
    """The first of consecutive seeds, 200 by default: fresh, since tuning used those below; 0 for --quick."""
    workers: int = 2
    """Processes, one thread each."""
    minutes: float | None = None
    """Stop after this time; without it, when everything is done."""
    load: tyro.conf.OmitArgPrefixes[ModelFlags] = field(default_factory=ModelFlags)

    def run(self) -> None:
        """Calls ``api.paper``."""
        from dataclasses import replace

        from hipp_prune.cli.output import console, model_options
        from hipp_prune.experiments.paper.settings import FULL, QUICK
        from hipp_prune.experiments.paper.stage import paper

        settings = QUICK if self.quick else FULL
        settings = replace(settings, compare=replace(settings.compare, questions=self.questions))
        if self.split is not None:
            settings = replace(settings, compare=replace(settings.compare, split=self.split))
        if self.models:
            settings = replace(settings, budgets=dict.fromkeys(self.models, self.budgets))
        if self.first_seed is not None:
            settings = replace(settings, first_seed=self.first_seed)
        paper(
            self.out,
            self.results,
            settings,
            parts=self.parts,
            command=shlex.join(["hipp-prune", *sys.argv[1:]]),
            workers=self.workers,
            minutes=19 if self.quick and self.minutes is None else self.minutes,
            options=model_options(self.load),
            say=lambda line: console.print(line, highlight=False, soft_wrap=True),
        )
