"""The subcommand that compares ways to prune; as in ``commands``, nothing heavy is imported here."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal, get_args

import tyro

from hipp_prune.cli.commands import ModelFlags
from hipp_prune.experiments.compare.cells import CONTENDERS, DENSE, FOUR, Cell, Contender, schedule
from hipp_prune.experiments.compare.settings import DEFAULT_SETTINGS, RECOVERY, CompareSettings
from hipp_prune.plans.choices import Baseline, Match
from hipp_prune.plans.preference import Preference


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Prune models in many ways to one budget, and ask what is left before and after the same recovery.

    Interrupted or killed, it goes on from its last cell when started again; more of everything may be added later.

    Example: hipp-prune compare --out compared --models toy-llava --methods dense wanda-coupled flap hybrid --seeds 2
    """

    out: Path
    """Folder to make, and to go on in; compare.html is written there."""
    models: tuple[str, ...] = ("toy-llava", "toy-qwen2.5-vl")
    """toy-llava, toy-qwen2.5-vl, checkpoint folders, or hub names."""
    methods: Annotated[tuple[str, ...], tyro.conf.arg(metavar="{" + ",".join(CONTENDERS) + "}")] = (
        DENSE,
        *get_args(Baseline),
        "hybrid",
    )
    """Baselines (docs/baselines.md), searches (hybrid is HiPP-Prune), and dense, which loses nothing."""
    budgets: tuple[float, ...] = (0.225, 0.5)
    """Shares to remove."""
    match: Match = "mlp"
    """What a budget is a share of: MLP neurons, or parameters of the language blocks."""
    seeds: int = 5
    """How many: each draws its own calibration sample, search and recovery."""
    first_seed: int = 0
    """The first of them."""
    preferences: tuple[str, ...] = FOUR
    """R,U,C …: what a search is asked for at every budget; its row is the mean over them."""
    questions: tuple[str, ...] = ("toyworld",)
    """Question specifications, as for calibrate."""
    split: Literal["validation", "test"] = "test"
    """Whose questions judge."""
    limit: int = DEFAULT_SETTINGS.limit
    """How many of them a benchmark."""
    calibration: int = DEFAULT_SETTINGS.calibration
    """Calibration questions a seed; every method gets the same."""
    evaluations: int = DEFAULT_SETTINGS.evaluations
    """Evaluations of a plan that a search may pay for."""
    s_min: float = DEFAULT_SETTINGS.s_min
    """Smallest sparsity searched."""
    s_max: float = DEFAULT_SETTINGS.s_max
    """Largest sparsity searched; at least the largest budget, or searches answer beyond what they have learnt."""
    r_max: float = DEFAULT_SETTINGS.r_max
    """Largest fraction that any method may take from one block."""
    steps: int = RECOVERY.steps
    """Updates of the recovery; all methods get the same."""
    rate: float = RECOVERY.rate
    """Its learning rate of head, norm and projector."""
    lora_rate: float = RECOVERY.lora_rate
    """Its learning rate of LoRA."""
    lora_blocks: int = RECOVERY.lora_blocks
    """How many of the last language blocks it trains through LoRA."""
    workers: int = 2
    """Processes, one thread each."""
    minutes: float | None = None
    """Stop after this time; without it, when everything is done."""
    keep: bool = False
    """Keep all checkpoints, in OUT/checkpoints."""
    tables: bool = False
    """Do nothing but write tables and page anew, from the answers in OUT; no model is needed."""
    results: Path | None = None
    """Where compare.md and compare.csv are written; OUT by default."""
    load: tyro.conf.OmitArgPrefixes[ModelFlags] = field(default_factory=ModelFlags)

    @property
    def cells(self) -> list[Cell]:
        """What to prune how."""
        return schedule(
            self.models,
            [Contender(method=method) for method in self.methods],
            self.budgets,
            range(self.first_seed, self.first_seed + self.seeds),
            [Preference.parse(text) for text in self.preferences],
        )

    @property
    def settings(self) -> CompareSettings:
        """What all cells share."""
        return CompareSettings(
            questions=self.questions,
            split=self.split,
            limit=self.limit,
            calibration=self.calibration,
            match=self.match,
            evaluations=self.evaluations,
            s_min=self.s_min,
            s_max=self.s_max,
            r_max=self.r_max,
            recovery=replace(
                RECOVERY,
                steps=self.steps,
                rate=self.rate,
                lora_rate=self.lora_rate,
                lora_blocks=self.lora_blocks,
            ),
        )

    def run(self) -> None:
        """Calls ``api.compare``, or ``api.tabulate``."""
        from hipp_prune.cli.output import model_options, notes, print_comparison
        from hipp_prune.experiments.compare.stage import compare, tabulate

        if self.tables:
            found = tabulate(self.out, results=self.results)
        else:
            found = compare(
                self.out,
                self.cells,
                self.settings,
                workers=self.workers,
                minutes=self.minutes,
                keep=self.keep,
                results=self.results,
                options=model_options(self.load),
                say=lambda line: notes.print(line, highlight=False, soft_wrap=True),
            )
        print_comparison(found, self.out)
