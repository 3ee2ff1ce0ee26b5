"""One command for a smaller model: what can be refused is refused first, then every stage is done, or found done."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from io import StringIO
from pathlib import Path

import numpy as np
from rich.console import Console

from hipp_prune.checkpoints.configs import read_config_file
from hipp_prune.checkpoints.folders import check_output
from hipp_prune.checkpoints.footprint import measure_footprint
from hipp_prune.errors import BudgetError, InputError, OutputExistsError
from hipp_prune.evaluation.scorecard import Scorecard
from hipp_prune.files.manifest import remove_file, start_list
from hipp_prune.files.recipes import parse_recipe, read_recipe, recipe_text
from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.files.writing import write_text
from hipp_prune.plans.footprint import Footprint
from hipp_prune.plans.plan import Plan
from hipp_prune.plans.preference import Preference
from hipp_prune.questions.benchmark import ROLES
from hipp_prune.questions.benchmarks import asked_at_last
from hipp_prune.questions.question import Question
from hipp_prune.questions.sources import load_questions, parse_source
from hipp_prune.questions.splits import Split
from hipp_prune.recovery.settings import RecoverySettings
from hipp_prune.report.contents import DENSE
from hipp_prune.report.tables import print_summary
from hipp_prune.search.query.requirements import SAVINGS, Requirement
from hipp_prune.search.query.roles import check_preference
from hipp_prune.search.query.targets import check_targets
from hipp_prune.search.record import read_record
from hipp_prune.search.settings import SearchSettings
from hipp_prune.stages.loading import check_model, writing
from hipp_prune.stages.pipeline import Headlines, Pipeline, silent
from hipp_prune.stages.query import fit_of, plan_name, query
from hipp_prune.stages.recover import refuse_open
from hipp_prune.stages.report import report
from hipp_prune.stages.search import measure_latency
from hipp_prune.stages.settings import AskSettings, AutoSettings, LoadSettings, QuerySettings


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of it."""

    plan: Plan
    dense: Scorecard
    pruned: Scorecard
    """Of the checkpoint in OUT, recovered if that was asked for."""
    report: Path
    """The run's page."""
    summary: str
    """The table of both, and the lines that load, serve and compare what was made, 80 columns wide."""


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
        if self.run.resolve() == self.out.resolve():
            raise InputError(f"--out and --run are both {self.out}; give two folders")

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


def auto(wish: Wish, *, force: bool = False, bars: Headlines = silent) -> Outcome:
    """Calibrates, searches, queries, prunes, recovers if asked to, evaluates and reports; killed, it goes on.

    What an earlier start of the same wish has finished is found and not done again. A run may serve several wishes:
    another target within what it searched is a query of it.

    Args:
        wish: what is to be made of which model.
        force: replaces a checkpoint in ``wish.out``, and starts over what the run began with other settings.
        bars: draws how far each stage has got.

    Raises:
        OutputExistsError: if ``wish.out`` is there and this is not the start of it that was cut off.
        RunError: if the run was begun with other settings and ``force`` is false.
        BudgetError, RequirementError: if the target is out of reach, saying what is attainable.
        InputError: for bad questions, pictures or models; see ``errors``.
    """
    run = RunDirectory(wish.run)
    with writing(wish.run), writing(wish.out):
        footprint = _check(wish, run, force=force)
        pipeline = Pipeline(
            run=run,
            model=wish.model,
            questions=wish.questions,
            seed=wish.settings.seed,
            batch_size=wish.settings.batch_size,
            loading=wish.loading,
            anew="changed" if force else "never",
            otherwise="choose another --run, or add --force to start over",
            bars=bars,
        )
        pipeline.calibrate()
        remove_file(run.summary)
        write_text(run.recipe, recipe_text(wish.recipe))
        pipeline.search(_search_settings(wish, run, footprint))
        return _carry_out(wish, pipeline)


def _check(wish: Wish, run: RunDirectory, *, force: bool) -> Footprint:
    """Refuses all that can be refused before a weight is read; the questions of every split are looked through."""
    folder = check_model(wish.model, wish.loading)
    for source in wish.questions:
        parse_source(source)
    if wish.out.exists() and not force and not _cut_off(wish, run):
        raise OutputExistsError(
            f"{wish.out} already exists; choose another --out or add --force to replace it"
        )
    check_output(folder, wish.out, force=True)
    run.check(force=True)
    footprint = measure_footprint(folder, trust_remote_code=wish.loading.trust_remote_code)
    _attainable(wish, footprint)
    start_list(wish.run)
    splits: tuple[Split, ...] = ("calibration", "search", "test")
    if wish.settings.recover:
        splits += ("recovery",)
    for split in splits:
        asked = load_questions(wish.questions, split, cache=run.cache, seed=wish.settings.seed)
        if split == "search":
            _check_asked(wish, asked)
        if split == "recovery":
            refuse_open(asked)
    return footprint


def _cut_off(wish: Wish, run: RunDirectory) -> bool:
    """Whether this very wish was begun and has not ended, so that what lies in OUT is its own."""
    if run.summary.exists() or not run.recipe.is_file():
        return False
    return read_recipe(run.recipe) == parse_recipe(recipe_text(wish.recipe), where="the flags")


def _check_asked(wish: Wish, asked: Sequence[Question]) -> None:
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


def _attainable(wish: Wish, footprint: Footprint) -> None:
    """Refuses a sparsity or a size that no plan has; what a speed takes is measured later.

    Raises:
        BudgetError: saying what is attainable.
    """
    r_max, widths = SearchSettings().r_max, np.array(footprint.neurons)
    if wish.target.sparsity is not None and wish.target.sparsity > r_max:
        raise BudgetError(
            f"a sparsity must lie in [0, {r_max:g}], since no block may lose more of its neurons here, got "
            f"{wish.target.sparsity:g}; ask for less, or search with a larger --r-max"
        )
    if wish.target.fit is not None:
        target = fit_of(footprint, wish.target)
        narrowest = widths - np.floor(r_max * widths + 1e-9).astype(np.int64)
        align = wish.target.align
        check_targets(
            [target], narrowest=-(-narrowest // align) * align, widest=widths // align * align, r_max=r_max
        )


def _search_settings(wish: Wish, run: RunDirectory, footprint: Footprint) -> SearchSettings:
    """What the search is told: the usual, and a range of savings that has room around the target.

    In units of what plans can save at the most, the usual range is 1/8 to 5/8. Where an earlier search of the run had a
    range that holds the target, that is kept, and with it the search.

    Raises:
        BudgetError: if the language model cannot be as fast as was asked for.
    """
    usual = SearchSettings(evaluations=wish.settings.evaluations, seed=wish.settings.seed)
    if wish.target.speed is None:
        most, wanted = usual.r_max, _share(wish, footprint)
    else:
        usual = replace(usual, compression="latency")
        most, wanted = _fastest(wish, run, usual.r_max), 1 - 1 / wish.target.speed
    if run.search.record.exists():
        begun = read_record(run.search.record).config
        if begun.compression == usual.compression and begun.s_min <= wanted <= begun.s_max:
            return replace(usual, s_min=begun.s_min, s_max=begun.s_max)
    return replace(usual, s_min=min(most / 8, wanted / 2), s_max=max(most * 5 / 8, (most + wanted) / 2))


def _share(wish: Wish, footprint: Footprint) -> float:
    """The share of the neurons that has to leave; 3/10 where accuracies alone are asked for."""
    shares = [each.value for each in wish.requirements if each.name in ("sparsity", "mlp")]
    if wish.target.sparsity is not None:
        shares.append(wish.target.sparsity)
    if wish.target.fit is not None:
        target = fit_of(footprint, wish.target)
        too_much = int(target.bytes(np.array(footprint.neurons))) - target.limit
        shares.append(too_much / footprint.removed_with(footprint.neurons))
    return max(shares, default=0.3)


def _fastest(wish: Wish, run: RunDirectory, r_max: float) -> float:
    """The largest fraction of the language model's seconds that plans save, measured once.

    Raises:
        BudgetError: if that is less than was asked for.
    """
    asking = AskSettings()
    asking = replace(asking, batch_size=wish.settings.batch_size or asking.batch_size)
    table = measure_latency(run.root, asking=asking, loading=wish.loading)
    most = float(table.saved(np.full(len(table.units), r_max)))
    assert wish.target.speed is not None
    if 1 - 1 / wish.target.speed > most:
        raise BudgetError(
            f"--speed {wish.target.speed:g} is out of reach: with {r_max:.0%} of every block's neurons gone the "
            f"language model is {1 / (1 - most):.3f} × as fast here; ask for no more than that"
        )
    return most


def _carry_out(wish: Wish, pipeline: Pipeline) -> Outcome:
    """From a searched run to the checkpoint, its scores and the page."""
    run, settings, force = pipeline.run, wish.settings, pipeline.anew != "never"
    plan = query(run.root, wish.preference, wish.target, requirements=wish.requirements, force=force)
    name = plan_name(wish.preference, wish.target, wish.requirements)
    folder = run.root / "checkpoints" / name if settings.recover else wish.out
    pipeline.prune(plan, folder, name=name, compensation=settings.compensation)
    if settings.recover:
        recovery = RecoverySettings(seed=settings.seed, head=wish.target.fit is None)
        pipeline.recover(folder, wish.out, recovery, name=name)
    scorecards = [
        pipeline.evaluate(wish.model, name=DENSE, label=DENSE, limit=settings.limit),
        pipeline.evaluate(str(wish.out), name=name, label=wish.out.name, limit=settings.limit),
    ]
    dense, pruned = pipeline.with_speedups(scorecards, [DENSE, name])
    page = report(run.root, force=force)
    summary = _summary(wish, plan, dense, pruned)
    write_text(run.summary, summary)
    return Outcome(plan=plan, dense=dense, pruned=pruned, report=page, summary=summary)


def _summary(wish: Wish, plan: Plan, dense: Scorecard, pruned: Scorecard) -> str:
    """The table, and what to do with the checkpoint."""
    text = StringIO()
    print_summary([dense, pruned], Console(file=text, width=80))
    if (sentence := plan.asked_and_got) is not None:
        text.write(f"{sentence}; preference {plan.preference}\n")
    out, run = shlex.quote(str(wish.out)), shlex.quote(str(wish.run))
    own_code = "auto_map" in read_config_file(wish.out / "config.json")
    trust, served = (
        (", trust_remote_code=True", " --model-impl transformers --trust-remote-code")
        if own_code
        else ("", "")
    )
    questions = shlex.join(wish.questions)
    rival = shlex.quote(f"{wish.out}-rival")
    text.write(
        f"load:     AutoModelForImageTextToText.from_pretrained({str(wish.out)!r}{trust})\n"
        f"serve:    vllm serve {out}{served}\n"
        f"compare:  hipp-prune baseline --run {run} --method wanda-coupled "
        f"--sparsity {plan.ledger.mlp:.4f} --out {rival}\n"
        f"          hipp-prune evaluate --model {rival} --questions {questions} --seed {wish.settings.seed} "
        f"--run {run}\n"
        f"again:    hipp-prune auto --recipe {shlex.quote(str(wish.run / 'recipe.toml'))} --force\n"
    )
    return text.getvalue()
