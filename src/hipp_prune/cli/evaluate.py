"""The verb that scores a model, or anyone's answers."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from hipp_prune.cli.sources import Sources
from hipp_prune.errors import InputError
from hipp_prune.stages.settings import EvaluateSettings, LoadSettings

if TYPE_CHECKING:
    from hipp_prune.evaluation.results import Results
    from hipp_prune.evaluation.scorecard import Scorecard


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Score a model or a pruned checkpoint officially, or anyone's answers without a model.

    Examples: hipp-prune evaluate --model smaller --questions toyworld --run run;
    hipp-prune evaluate --answers answers.jsonl --questions pope:DIR
    """

    questions: Sources
    model: str | None = None
    """A model or checkpoint."""
    answers: Path | None = None
    """Instead of a model: a file of its answers, as --out, LLaVA, POPE, AMBER or lmms-eval wrote them.
    docs/benchmarks.md describes these formats."""
    dense: str | None = None
    """The dense model, whose own answers score questions that come without one."""
    recorded: Annotated[Path | None, tyro.conf.arg(name="run", metavar="RUN")] = None
    """With --model: the run directory whose report is to show the results, and whose dense model's answers score
    questions that come without one."""
    out: Path | None = None
    """Where the results are written as JSON; with --run, RUN/results/… by default."""
    force: bool = False
    """Replace a file that is there."""
    card: bool = False
    """Put the scores into the checkpoint's model card."""
    skip_bad: bool = False
    """Leave out (and count) broken questions and pictures instead of stopping."""
    settings: EvaluateSettings = EvaluateSettings()
    loading: LoadSettings = LoadSettings()

    def run(self) -> object:
        """Calls ``stages.evaluate`` or ``stages.evaluate.score_answers``."""
        if (self.model is None) == (self.answers is None):
            raise InputError(
                "evaluate needs either --model MODEL or --answers FILE, not both and not neither"
            )
        if self.recorded is not None and self.answers is not None:
            raise InputError("--run is for what a model answers; with --answers, leave it out")
        out = self._results()
        with self._writing(out):
            if self.model is not None:
                return self._ask(self.model, out)
            assert self.answers is not None, "either a model or answers"
            return self._score(self.answers)

    def _results(self) -> Path | None:
        """The file of the results: in the run, under the model's name, where none is given.

        Raises:
            IncompleteRunError: if ``--run`` is no run directory.
        """
        if self.recorded is None:
            return self.out
        from hipp_prune.files.run_directory import RunDirectory

        run = RunDirectory(self.recorded)
        run.provenance()
        return self.out or run.results / f"{Path(self.model or '').resolve().name}.json"

    @contextmanager
    def _writing(self, out: Path | None) -> Iterator[None]:
        """Makes sure that the results can be written, before anything is asked, and that nobody else does."""
        from hipp_prune.files.locking import sole_writer
        from hipp_prune.files.writing import check_file

        if out is None:
            yield
            return
        self._refuse_inputs(out)
        with sole_writer(out):
            check_file(out, force=self.force)
            yield

    def _refuse_inputs(self, out: Path) -> None:
        """Refuses to write over what is read.

        Raises:
            InputError: if the results were to take its place.
        """
        from hipp_prune.questions.specs import parse_source

        read = [self.answers, *(parse_source(spec).path for spec in self.questions)]
        if out.resolve() in [path.resolve() for path in read if path is not None]:
            raise InputError(f"{out} is what is read, and would be lost; choose another --out")

    def _ask(self, model: str, out: Path | None) -> "Scorecard":
        """Asks a model; answers and scores are written and printed."""
        from hipp_prune.checkpoints.card import check_card
        from hipp_prune.checkpoints.ledger import lost_savings
        from hipp_prune.files.outputs import list_output
        from hipp_prune.files.run_directory import RunDirectory
        from hipp_prune.models.loading import local_folder
        from hipp_prune.report.terminal import (
            console,
            describe_ledger,
            next_steps,
            progress_bar,
            remark,
            say,
            skipping,
            warn_of,
        )
        from hipp_prune.stages.evaluate import evaluate, update_card

        if self.card:
            check_card(local_folder(model))
        if self.recorded is None and (aside := _reaches_no_report(model, out)) is not None:
            remark(aside)
        if (lost := lost_savings(local_folder(model, weights=False))) is not None:
            remark(lost)
        with skipping(self.skip_bad) as skip_bad, progress_bar("evaluating") as progress:
            scorecard = evaluate(
                model,
                self.questions,
                self.settings,
                dense=self.dense,
                run=self.recorded,
                loading=self.loading,
                skip_bad=skip_bad,
                surveyed=warn_of,
                progress=progress,
            )
        _print_results(scorecard.results)
        if scorecard.ledger is not None:
            console.print(describe_ledger(scorecard.ledger), highlight=False)
        if scorecard.compensation != "none":
            console.print(f"compensation: {scorecard.compensation}", highlight=False)
        console.print(f"weights on disk: {scorecard.bytes or 0:,} bytes", highlight=False)
        if out is not None:
            scorecard.save(out)
            say(f"results: {out}")
        if self.recorded is not None and out is not None:
            list_output(RunDirectory(self.recorded), "result", out)
            next_steps(f"hipp-prune report {shlex.quote(str(self.recorded))}")
        if self.card:
            update_card(scorecard)
        return scorecard

    def _score(self, answers: Path) -> "Results":
        """Scores answers that somebody else has."""
        from hipp_prune.files.writing import write_text
        from hipp_prune.report.terminal import say, skipping
        from hipp_prune.stages.evaluate import score_answers

        with skipping(self.skip_bad) as skip_bad:
            results = score_answers(answers, self.questions, rule=self.settings.rule, skip_bad=skip_bad)
        _print_results(results)
        if self.out is not None:
            write_text(self.out, results.to_json())
            say(f"results: {self.out}")
        return results


def _reaches_no_report(model: str, out: Path | None) -> str | None:
    """What is missing for a run's report to show the results; None where one will, or nobody can have meant one to.

    Args:
        model: who is asked.
        out: where its results are written.
    """
    from hipp_prune.checkpoints.ledger import read_savings
    from hipp_prune.files.outputs import run_of, run_of_model
    from hipp_prune.models.loading import local_folder

    if out is not None and run_of("result", out) is not None:
        return None
    folder = local_folder(model, weights=False)
    savings = read_savings(folder)
    origin = model if savings is None else str(savings.notes.get("model"))
    run = run_of_model(origin, out or folder)
    if run is None and savings is None and out is None:
        return None
    name = "RUN" if run is None else shlex.quote(str(run.root))
    where = "the run directory RUN" if run is None else name
    return f"without --run, no run's report shows these results; add --run {name} for the report of {where}"


def _print_results(results: "Results") -> None:
    """Official tables, a benchmark each."""
    from hipp_prune.questions.benchmarks import BENCHMARKS
    from hipp_prune.report.terminal import console, print_table

    for name, score in results.scores.items():
        print_table(BENCHMARKS[name].title, score.rows())
        if score.remark:
            console.print(score.remark, highlight=False)
        if name in results.unasked:
            left_out = f"left out, because they were never asked: {results.unasked[name]} questions"
            console.print(left_out, highlight=False)
