"""What `auto` is asked for, and all that can be refused of it before a weight is read and anything is written."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from hipp_prune.checkpoints.folders import check_output
from hipp_prune.errors import InputError, OutputExistsError
from hipp_prune.files.recipes import parse_recipe, read_recipe, recipe_text
from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.plans.alignment import check_runtimes, fitting_alignment
from hipp_prune.plans.allocation import check_alignment, fewest_neurons
from hipp_prune.plans.arrays import Ints
from hipp_prune.plans.footprint import Footprint
from hipp_prune.plans.preference import Preference
from hipp_prune.questions.benchmark import ROLES
from hipp_prune.questions.benchmarks import asked_at_last
from hipp_prune.questions.question import Question
from hipp_prune.questions.specs import parse_source, with_count
from hipp_prune.questions.splits import Split
from hipp_prune.recovery.settings import RecoverySettings
from hipp_prune.search.query.forecast import FEWEST_EVALUATIONS
from hipp_prune.search.query.requirements import SAVINGS, Requirement
from hipp_prune.search.query.roles import check_preference
from hipp_prune.search.query.targets import check_targets
from hipp_prune.search.record import read_record
from hipp_prune.search.settings import SearchSettings
from hipp_prune.stages.pipeline import Headlines, Pipeline, silent
from hipp_prune.stages.query import check_sparsity, fit_of
from hipp_prune.stages.settings import AutoSettings, LoadSettings, QuerySettings


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A smaller model, as it was asked for: everything that a recipe holds."""

    model: str
    """As for ``calibrate``."""
    questions: tuple[str, ...]
    """Sources of the questions, as ``calibrate`` takes them."""
    out: Path
    """Checkpoint folder to make."""
    run: Path
    """Run directory to make, or to go on with."""
    preference: Preference | None = None
    """What counts how much; all that the questions measure alike by default."""
    requirements: tuple[Requirement, ...] = ()
    """Lower bounds on accuracies and savings."""
    target: QuerySettings = QuerySettings()
    """A sparsity, a size or a speed, and which widths a plan may have."""
    settings: AutoSettings = AutoSettings()
    loading: LoadSettings = LoadSettings()

    def __post_init__(self) -> None:
        if self.target.sparsity is None and not self.target.targets and not self.requirements:
            raise InputError(
                "auto needs a target: --sparsity 0.3, --fit 8GB, --speed 1.3, or --require pope=0.85; add one"
            )
        if self.requirements and (self.target.sparsity is not None or self.target.uniform):
            raise InputError(
                "with --require a sparsity is required too (--require sparsity=0.3), and plans of one width are not "
                "offered; leave out --sparsity and --uniform"
            )
        if any(each.name == "latency" for each in self.requirements):
            raise InputError(
                "auto measures seconds for --speed alone; give --speed 1.3 instead of --require latency"
            )
        if self.requirements and self.settings.evaluations < FEWEST_EVALUATIONS:
            raise InputError(
                f"--require takes a forecast, which needs at least {FEWEST_EVALUATIONS} evaluations, got --evaluations "
                f"{self.settings.evaluations}; allow it that many, or give --sparsity, --fit or --speed alone"
            )
        if self.run.resolve() == self.out.resolve():
            raise InputError(f"--out and --run are both {self.out}; give two folders")

    @property
    def asked(self) -> tuple[str, ...]:
        """The sources, each with as many questions as are wanted of it."""
        return tuple(with_count(source, self.settings.count) for source in self.questions)

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits whose questions are asked."""
        splits: tuple[Split, ...] = ("calibration", "search", "test")
        return (*splits, "recovery") if self.settings.recover else splits

    def pipeline(self, *, force: bool, bars: Headlines = silent) -> Pipeline:
        """The stages, as they are wished for.

        Args:
            force: whether what the run began with other settings is done anew.
            bars: draws how far each stage has got.
        """
        return Pipeline(
            run=RunDirectory(self.run),
            model=self.model,
            questions=self.asked,
            seed=self.settings.seed,
            batch_size=self.settings.batch_size,
            loading=self.loading,
            anew="changed" if force else "never",
            otherwise="choose another --run, or add --force to start over",
            bars=bars,
            skip_bad=self.settings.skip_bad,
            may_grow=True,
        )

    @property
    def recovery(self) -> RecoverySettings | None:
        """How it is recovered; None where that was not asked for."""
        if not self.settings.recover:
            return None
        return RecoverySettings(seed=self.settings.seed, head=self.target.fit is None)

    @property
    def recipe(self) -> dict[str, object]:
        """Every flag of ``auto`` that makes it again, by its name."""
        weights = None if self.preference is None else self.preference.vector.tolist()
        named = {
            "model": self.model,
            "questions": self.questions,
            "out": self.out,
            "run": self.run,
            "preference": None if weights is None else ",".join(map(repr, weights)),
            "require": tuple(f"{each.name}={each.value!r}" for each in self.requirements) or None,
        }
        groups = asdict(self.settings) | asdict(self.target) | asdict(self.loading)
        return named | {name.replace("_", "-"): value for name, value in groups.items()}


def check_wish(wish: Wish, folder: Path, *, force: bool) -> None:
    """Refuses what folders and names of questions already tell; nothing is written.

    Args:
        wish: what is to be made of which model.
        folder: of the model, which has been checked.
        force: as for ``auto``.

    Raises:
        OutputExistsError: if ``wish.out`` is there and this is not the start of it that was cut off.
        QuestionError: see ``parse_source``.
    """
    run = RunDirectory(wish.run)
    for source in wish.asked:
        parse_source(source)
    if wish.out.exists() and not force and not is_cut_off(wish):
        raise OutputExistsError(
            f"{wish.out} already exists; choose another --out or add --force to replace it"
        )
    check_output(folder, wish.out, force=True)
    run.check(force=True)


def is_cut_off(wish: Wish) -> bool:
    """Whether this very wish was begun and has not ended, so that what lies in OUT is its own."""
    run = RunDirectory(wish.run)
    if run.summary.exists() or not run.recipe.is_file():
        return False
    try:
        begun = read_recipe(run.recipe)
    except InputError:  # damaged, so nobody knows which wish it was
        return False
    return begun == parse_recipe(recipe_text(wish.recipe), where="the flags")


def check_asked(wish: Wish, asked: Sequence[Question]) -> None:
    """Refuses to want what the questions do not measure."""
    benchmarks = asked_at_last(asked)
    measured = [role for role in ROLES if role in {benchmark.role for benchmark in benchmarks}]
    if wish.preference is not None:
        check_preference(wish.preference, measured)
    names = {benchmark.name for benchmark in benchmarks} | set(SAVINGS)
    for requirement in wish.requirements:
        if requirement.name not in names:
            raise InputError(
                f"{requirement.name} cannot be required, since the questions are of "
                f"{', '.join(benchmark.name for benchmark in benchmarks)} alone; add questions that measure it"
            )


def check_attainable(wish: Wish, footprint: Footprint) -> None:
    """Refuses a sparsity, an alignment or a size that no plan has; what a speed takes is measured later.

    Raises:
        BudgetError: saying what is attainable.
    """
    r_max = SearchSettings().r_max
    check_sparsity(wish.target.sparsity, r_max)
    check_runtimes(wish.target.align, wish.target.align_for, widths=footprint.neurons, r_max=r_max)
    narrowest, widest = bounds_of(wish, footprint)
    if wish.target.fit is not None:
        target = fit_of(footprint, wish.target)
        check_targets([target], narrowest=narrowest, widest=widest, r_max=r_max)


def bounds_of(wish: Wish, footprint: Footprint) -> tuple[Ints, Ints]:
    """Neurons of each block in the smallest and in the largest plan of a wish, [U].

    Raises:
        BudgetError: if its alignment leaves a block no width.
    """
    r_max, widths = SearchSettings().r_max, np.array(footprint.neurons)
    align = fitting_alignment(wish.target.align, wish.target.align_for, widths=footprint.neurons, r_max=r_max)
    fewest = fewest_neurons(widths, r_max)
    check_alignment(fewest, widths, align)
    return -(-fewest // align) * align, widths // align * align


def wanted_share(wish: Wish, footprint: Footprint) -> float:
    """The share of the neurons that has to leave; 3/10 where accuracies alone are asked for."""
    shares = [each.value for each in wish.requirements if each.name in ("sparsity", "mlp")]
    if wish.target.sparsity is not None:
        shares.append(wish.target.sparsity)
    if wish.target.fit is not None:
        target = fit_of(footprint, wish.target)
        too_much = int(target.bytes(np.array(footprint.neurons))) - target.limit
        shares.append(too_much / footprint.removed_with(footprint.neurons))
    return max(shares, default=0.3)


def search_settings(wish: Wish, run: RunDirectory, *, wanted: float, most: float) -> SearchSettings:
    """What the search is told: the usual, and a range of savings that has room around the target.

    In units of what plans can save at the most, the usual range is 1/8 to 5/8. Where an earlier search of the run had a
    range that holds the target, that is kept, and with it the search.

    Args:
        wish: what is to be made.
        run: its run directory, which may not be there yet.
        wanted: the saving that it takes, in [0, 1], of the language model's seconds with ``--speed``, else of neurons.
        most: the largest saving of any plan.
    """
    usual = SearchSettings(
        evaluations=wish.settings.evaluations,
        seed=wish.settings.seed,
        compression="parameters" if wish.target.speed is None else "latency",
    )
    if run.search.record.exists():
        begun = read_record(run.search.record).settings
        if begun.compression == usual.compression and begun.s_min <= wanted <= begun.s_max:
            return replace(usual, s_min=begun.s_min, s_max=begun.s_max)
    return replace(usual, s_min=min(most / 8, wanted / 2), s_max=max(most * 5 / 8, (most + wanted) / 2))
