"""One dataclass a subcommand: its fields are the flags, its docstring the help, ``run`` calls the API.

Nothing heavy is imported here, so that ``--help`` answers at once; each ``run`` imports what it needs.
"""

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from hipp_prune.search.settings import SearchSettings

if TYPE_CHECKING:
    from hipp_prune.plans.plan import Plan


@dataclass(frozen=True, kw_only=True)
class ModelFlags:
    """How a model is loaded."""

    device: str = "cpu"
    """cpu, cuda, cuda:1 …; auto splits a model that is larger than one GPU."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """auto keeps the checkpoint's."""
    trust_remote_code: bool = False
    """Let code that comes with the checkpoint run. Our own pruned checkpoints never need it here."""


@dataclass(frozen=True, kw_only=True)
class Calibrate:
    """Start a run: measure the dense model (activations, visual sensitivity, gradients).

    Example: hipp-prune calibrate --model toy-llava --questions toyworld --out run
    """

    model: str
    """toy-llava, toy-qwen2.5-vl, a checkpoint folder, or a hub name."""
    questions: tuple[str, ...]
    """Where questions come from: toyworld, pope:DIR[,images=DIR], scienceqa:DIR[,split=train]; several may follow."""
    out: Path
    """Run directory to make."""
    count: int = 128
    """Calibration questions drawn."""
    batch_size: int = 16
    """Questions a forward pass."""
    seed: int = 0
    """Of everything the run does."""
    force: bool = False
    """Replace an existing run."""
    skip_bad: bool = False
    """Leave out (and count) broken questions and pictures instead of stopping."""
    load: tyro.conf.OmitArgPrefixes[ModelFlags] = field(default_factory=ModelFlags)

    def run(self) -> None:
        """Calls ``api.calibrate``."""
        from hipp_prune import api
        from hipp_prune.cli.output import model_options, next_steps, progress_bar, skipping

        with skipping(self.skip_bad) as skip_bad, progress_bar("calibrating") as progress:
            api.calibrate(
                self.model,
                self.questions,
                self.out,
                count=self.count,
                batch_size=self.batch_size,
                seed=self.seed,
                options=model_options(self.load),
                force=self.force,
                skip_bad=skip_bad,
                progress=progress,
            )
        next_steps(f"hipp-prune search {shlex.quote(str(self.out))}")


@dataclass(frozen=True, kw_only=True)
class Search:
    """Train the policy: once a model, afterwards every preference is a query of milliseconds.

    Interrupted or killed, it goes on from its last evaluation when started again.

    Example: hipp-prune search run --evaluations 800
    """

    run_directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """A calibrated run directory."""
    batch_size: int = 64
    """Questions a forward pass."""
    image_memory: float = 1.0
    """GiB of encoded pictures that stay in memory; the rest lie in the run's cache."""
    force: bool = False
    """Throw away an earlier search with other settings."""
    skip_bad: bool = False
    """Leave out (and count) broken questions and pictures instead of stopping."""
    load: tyro.conf.OmitArgPrefixes[ModelFlags] = field(default_factory=ModelFlags)
    config: tyro.conf.OmitArgPrefixes[SearchSettings] = field(default_factory=SearchSettings)

    def run(self) -> None:
        """Calls ``api.search``."""
        from hipp_prune import api
        from hipp_prune.cli.output import model_options, next_steps, progress_bars, skipping

        with (
            skipping(self.skip_bad) as skip_bad,
            progress_bars("encoding pictures", "searching") as (encoding, progress),
        ):
            api.search(
                self.run_directory,
                self.config,
                batch_size=self.batch_size,
                image_memory=int(self.image_memory * 2**30),
                options=model_options(self.load),
                force=self.force,
                skip_bad=skip_bad,
                encoding=encoding,
                progress=progress,
            )
        run = shlex.quote(str(self.run_directory))
        next_steps(f"hipp-prune query {run} --preference 1,1,1 --out plan.json")


@dataclass(frozen=True, kw_only=True)
class Query:
    """Ask a trained run for the plan of a preference, or for the best plan that is predicted to meet requirements.

    Examples: hipp-prune query run --preference 2,1,1 --sparsity 0.3 --align 64 --out plan.json;
    hipp-prune query run --require pope=0.85 --require sparsity=0.3
    """

    run_directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """A searched run directory."""
    preference: str | None = None
    """R,U,C: weights of hallucination robustness, task utility and compression; normalised. With --require it chooses
    among the plans that meet everything; without it, what is not required counts alike."""
    sparsity: float | None = None
    """Fix the fraction saved (of MLP parameters, or what the search's --compression says) instead of leaving it to
    the policy."""
    require: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """NAME=FRACTION, at least: accuracy (pope, scienceqa) or saving (sparsity, mlp, block, language, model, flops,
    latency); may be repeated. An accuracy is met if the lower end of its predicted 90% interval is."""
    uniform: bool = False
    """Leave all blocks equally wide, for runtimes that know one width only: the best single one for the preference."""
    align: int = 1
    """Keep a multiple of this many neurons in every block (8, 64, 128 suit GPUs)."""
    out: Path | None = None
    """Plan file; RUN/plans/… by default."""

    def run(self) -> None:
        """Calls ``api.query``."""
        from hipp_prune import api
        from hipp_prune.cli.output import next_steps, print_plan
        from hipp_prune.plans.preference import Preference
        from hipp_prune.search.query.requirements import Requirement

        preference = None if self.preference is None else Preference.parse(self.preference)
        requirements = [Requirement.parse(text) for text in self.require]
        name = api.plan_name(preference, self.sparsity, self.align, requirements, uniform=self.uniform)
        out = self.out or self.run_directory / "plans" / f"{name}.json"
        plan = api.query(
            self.run_directory,
            preference,
            sparsity=self.sparsity,
            requirements=requirements,
            uniform=self.uniform,
            align=self.align,
            out=out,
        )
        print_plan(plan, out)
        next_steps(f"hipp-prune prune --model MODEL --plan {shlex.quote(str(out))} --out CKPT")


@dataclass(frozen=True, kw_only=True)
class Prune:
    """Write the smaller checkpoint that a plan describes; it loads like any other.

    Examples: hipp-prune prune --model toy-llava --plan plan.json --out smaller;
    hipp-prune prune --run run --preference 1,1,1 --uniform --out even
    """

    out: Path
    """Checkpoint folder to make."""
    model: str | None = None
    """The model the plan was made for."""
    plan: Path | None = None
    """A plan file written by query."""
    searched: Annotated[Path | None, tyro.conf.arg(name="run", metavar="RUN")] = None
    """Instead of a model and a plan: a searched run directory, which is queried first."""
    preference: str | None = None
    """With --run: R,U,C, as for query."""
    sparsity: float | None = None
    """With --run: the fraction saved, as for query."""
    uniform: bool = False
    """With --run: all blocks equally wide, so that the checkpoint is a stock one, as for query."""
    align: int = 1
    """With --run: keep a multiple of this many neurons in every block."""
    force: bool = False
    """Replace an existing folder."""

    def run(self) -> None:
        """Calls ``api.prune``, after ``api.query`` where a run is given."""
        from hipp_prune import api
        from hipp_prune.cli.output import console, next_steps, progress_bar

        model, plan = self._asked()
        with progress_bar("writing") as progress:
            report = api.prune(model, plan, self.out, force=self.force, progress=progress)
        console.print(report.summary, highlight=False)
        next_steps(f"hipp-prune evaluate --model {shlex.quote(str(self.out))} --questions SPEC")

    def _asked(self) -> "tuple[str, Path | Plan]":
        """The model, and its plan."""
        from hipp_prune import api
        from hipp_prune.errors import InputError
        from hipp_prune.files.run_directory import RunDirectory
        from hipp_prune.plans.preference import Preference

        told = (self.preference, self.sparsity, self.uniform, self.align) != (None, None, False, 1)
        if self.searched is None and self.model is not None and self.plan is not None and not told:
            return self.model, self.plan
        if (
            self.searched is None
            or self.model is not None
            or self.plan is not None
            or self.preference is None
        ):
            raise InputError(
                "prune needs either --model MODEL and --plan FILE, or --run RUN and --preference R,U,C (and, with "
                "these, --sparsity, --uniform or --align)"
            )
        plan = api.query(
            self.searched,
            Preference.parse(self.preference),
            sparsity=self.sparsity,
            uniform=self.uniform,
            align=self.align,
        )
        return RunDirectory(self.searched).provenance().model, plan


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Score a model or a pruned checkpoint officially, or anyone's answers without a model.

    Examples: hipp-prune evaluate --model smaller --questions toyworld --out results.json;
    hipp-prune evaluate --answers answers.jsonl --questions pope:DIR
    """

    questions: tuple[str, ...]
    """toyworld, pope:DIR[,images=DIR], scienceqa:DIR[,split=test]; several may follow."""
    model: str | None = None
    """A model or checkpoint."""
    answers: Path | None = None
    """Instead of a model: its answers as JSON lines {question_id, text}."""
    out: Path | None = None
    """Where the results are written as JSON."""
    split: Literal["test", "validation", "search", "recovery", "calibration", "all"] = "test"
    """Our split by image; all takes the whole official file."""
    limit: int | None = None
    """At most this many questions a benchmark, the same for every model."""
    label: str | None = None
    """Name in tables."""
    card: bool = False
    """Put the scores into the checkpoint's model card."""
    rule: Literal["official", "lmms-eval", "vlmevalkit"] = "official"
    """Whose rule parses POPE answers."""
    batch_size: int = 64
    """Questions a forward pass."""
    seed: int = 0
    """Of the splits and of --limit."""
    skip_bad: bool = False
    """Leave out (and count) broken questions and pictures instead of stopping."""
    load: tyro.conf.OmitArgPrefixes[ModelFlags] = field(default_factory=ModelFlags)

    def run(self) -> None:
        """Calls ``api.evaluate`` or ``api.score_answers``."""
        from hipp_prune.cli.output import evaluate_answers, evaluate_model
        from hipp_prune.errors import InputError

        if (self.model is None) == (self.answers is None):
            raise InputError(
                "evaluate needs either --model MODEL or --answers FILE, not both and not neither"
            )
        if self.model is None:
            evaluate_answers(self)
        else:
            evaluate_model(self)


@dataclass(frozen=True, kw_only=True)
class Report:
    """Write RUN/report.html: one page with the table, the curves, the plans, the front and examples.

    Example: hipp-prune report run
    """

    run_directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """A run directory."""

    def run(self) -> None:
        """Calls ``api.report``."""
        from hipp_prune import api
        from hipp_prune.cli.output import console

        path = api.report(self.run_directory)
        console.print(f"report: {path.resolve().as_uri()}", highlight=False, soft_wrap=True)
