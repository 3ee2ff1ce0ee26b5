"""The subcommands that are no stage of a run: quick start, lists, the embedded world, the comparison of searchers.

As in ``commands``, nothing heavy is imported here.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, Union, get_args

import tyro

from hipp_prune.cli.commands import ModelFlags
from hipp_prune.plans.choices import Method
from hipp_prune.search.settings import SearchSettings


@dataclass(frozen=True, kw_only=True)
class BenchSearch:
    """Compare search methods at equal numbers of evaluations, on held-out questions.

    Interrupted or killed, it goes on from its last search when started again.

    Example: hipp-prune bench-search --out bench --quick
    """

    out: Path
    """Folder to make, and to go on in; curves.html is written there."""
    problems: tuple[str, ...] = ("toy-llava", "toy-qwen2.5-vl", "landscape")
    """Calibrated run directories, models to calibrate on --questions, or landscape, whose optimum is known."""
    methods: tuple[Method, ...] = get_args(Method)
    """Which searchers."""
    budgets: tuple[int, ...] | None = None
    """Evaluations a search, 100 250 500 1000 2000 by default; above 1,000 only for methods that learn a policy."""
    seeds: int | None = None
    """Searches of each kind, 5 by default; all have k before any has k + 1."""
    quick: bool = False
    """Budgets 100 and 250, 2 seeds, 100 held-out questions a benchmark, 14 minutes, where not told otherwise."""
    questions: tuple[str, ...] = ("toyworld",)
    """Question specifications of models that have not been calibrated."""
    split: Literal["validation", "test"] = "validation"
    """Whose questions judge the answers."""
    limit: int | None = None
    """Held-out questions a benchmark, 300 by default."""
    s_min: float = SearchSettings().s_min
    """Smallest sparsity searched."""
    s_max: float = SearchSettings().s_max
    """Largest sparsity searched."""
    workers: int = 2
    """Processes, one thread each."""
    minutes: float | None = None
    """Stop after this time; without it, when everything is done."""
    results: Path | None = None
    """Where results.md and results.csv are written; OUT by default."""
    load: tyro.conf.OmitArgPrefixes[ModelFlags] = field(default_factory=ModelFlags)

    def run(self) -> None:
        """Calls ``api.bench_search``."""
        from hipp_prune.cli.output import bench_search

        bench_search(self)


@dataclass(frozen=True, kw_only=True)
class Quickstart:
    """See it all on an embedded model in minutes: calibrate, search, query, prune, evaluate, report.

    Example: hipp-prune quickstart --out demo
    """

    out: Path = Path("demo")
    """Run directory to make."""
    model: str = "toy-llava"
    """toy-llava, toy-qwen2.5-vl, or a model of your own."""
    questions: tuple[str, ...] = ("toyworld",)
    """Question specifications."""
    evaluations: int = 400
    """Plans the search evaluates."""
    limit: int = 600
    """Test questions a benchmark."""
    seed: int = 0
    """Of everything."""
    force: bool = False
    """Replace an existing run."""
    load: tyro.conf.OmitArgPrefixes[ModelFlags] = field(default_factory=ModelFlags)

    def run(self) -> None:
        """Runs every stage on one run directory."""
        from hipp_prune.cli.quickstart import quickstart

        quickstart(self)


@dataclass(frozen=True, kw_only=True)
class Models:
    """List the embedded models and the families that are supported."""

    def run(self) -> None:
        """Prints two tables."""
        from hipp_prune.cli.output import print_models

        print_models()


@dataclass(frozen=True, kw_only=True)
class ToyMake:
    """Draw the embedded world and write its questions in the benchmarks' official file formats.

    Example: hipp-prune toy make --out toyworld
    """

    out: Path
    """Folder to make; use it as --questions toyworld:FOLDER."""
    seed: int = 0
    """Of the world."""

    def run(self) -> None:
        """Calls ``toyworld.write``."""
        from hipp_prune.cli.output import make_toyworld

        make_toyworld(self)


@dataclass(frozen=True, kw_only=True)
class ToyTrain:
    """Train an embedded model from nothing, as the shipped ones were.

    Example: hipp-prune toy train --model toy-llava --out my-toy-llava
    """

    model: Literal["toy-llava", "toy-qwen2.5-vl"]
    """Which one."""
    out: Path
    """Checkpoint folder to make."""
    log: Path | None = None
    """Where the training log goes; OUT/train.log by default."""
    seed: int = 0
    """Of data and weights."""

    def run(self) -> None:
        """Calls ``toy.train``."""
        from hipp_prune.cli.output import train_toy

        train_toy(self)


@dataclass(frozen=True, kw_only=True)
class Toy:
    """Rebuild the embedded data and models from nothing."""

    action: Union[  # noqa: UP007 (tyro reads the annotations at run time)
        Annotated[ToyMake, tyro.conf.subcommand("make", prefix_name=False)],
        Annotated[ToyTrain, tyro.conf.subcommand("train", prefix_name=False)],
    ]

    def run(self) -> None:
        """Runs what was chosen."""
        self.action.run()
