"""Commands that the command line takes, and that mean what the run did."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hipp_prune.cli.calibrate import Calibrate
from hipp_prune.cli.entry import parse
from hipp_prune.cli.evaluate import Evaluate
from hipp_prune.cli.prune import Prune
from hipp_prune.cli.query import Query
from hipp_prune.evaluation.results import score
from hipp_prune.files.run_directory import MixedText, Provenance, RunDirectory
from hipp_prune.questions.question import Question
from hipp_prune.report import commands
from hipp_prune.search.methods import Method
from hipp_prune.search.settings import SearchSettings
from hipp_prune.stages.settings import CalibrateSettings, EvaluateSettings, QuerySettings
from tests.unit.report.synthetic import make_evaluation, make_plan

RUN = RunDirectory(Path("my runs/a b"))
PROVENANCE = Provenance(
    model="models/it's here",
    questions=("pope:a b", "scienceqa:c,split=test"),
    seed=3,
    created="",
    versions={},
)


def parsed(line: str) -> Any:
    program, *words = shlex.split(line)
    assert program == "hipp-prune"
    return parse(words)


def test_calibrate() -> None:
    command = parsed(commands.calibrate_command(RUN, PROVENANCE, 99))
    expected = Calibrate(
        model=PROVENANCE.model,
        questions=PROVENANCE.questions,
        out=RUN.root,
        settings=CalibrateSettings(seed=3, count=99),
    )
    assert command == expected
    usual = replace(expected, settings=CalibrateSettings(seed=3, count=128))
    assert parsed(commands.calibrate_command(RUN, PROVENANCE)) == usual


@pytest.mark.parametrize("method", ["hybrid", "grpo", "grpo-paper"])
def test_search_repeats_every_setting(method: Method) -> None:
    usual = SearchSettings().for_method(method)
    for changed in (
        {},
        {"seed": 5, "evaluations": 96, "s_max": 0.4},
        {"relabel": not usual.relabel, "clip": None if usual.clip else 0.1},
    ):
        config = replace(usual, **changed)
        command = parsed(commands.search_command(RUN, config))
        assert (command.run_directory, command.settings) == (RUN.root, config)


def test_search_names_only_what_differs() -> None:
    line = commands.search_command(RUN, SearchSettings(s_max=0.4))
    assert shlex.split(line)[3:] == ["--method", "hybrid", "--seed", "0", "--s-max", "0.4"]
    assert parsed(commands.search_command(RUN, None)).run_directory == RUN.root


def test_query() -> None:
    plan = make_plan((2.0, 1.0, 1.0), 0.3)
    out = RUN.plans / "mine.json"
    expected = Query(run_directory=RUN.root, preference="0.5,0.25,0.25", out=out)
    assert parsed(commands.query_command(RUN, "mine", replace(plan, notes={}))) == expected
    free = replace(plan, notes={"sparsity": None, "align": 1, "seed": 3})
    assert parsed(commands.query_command(RUN, "mine", free)) == expected
    fixed = replace(plan, notes={"sparsity": 0.3, "align": 8})
    assert parsed(commands.query_command(RUN, "mine", fixed)) == replace(
        expected, settings=QuerySettings(sparsity=0.3, align=8)
    )
    even = replace(plan, notes={"sparsity": None, "align": 1, "uniform": True})
    assert parsed(commands.query_command(RUN, "mine", even)) == replace(
        expected, settings=QuerySettings(uniform=True)
    )
    assert parsed(commands.query_command(RUN, "NAME", None)).preference == "R,U,C"


def test_prune() -> None:
    command = parsed(commands.prune_command(RUN, "mine", "out"))
    assert command == Prune(searched=RUN.root, plan=(RUN.plans / "mine.json",), out=Path("out"))


def test_calibrate_gathers_gram_matrices_where_the_run_has_them(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    assert "--compensation" not in commands.calibrate_command(run, PROVENANCE)
    run.grams.write_bytes(b"")
    command = parsed(commands.calibrate_command(run, PROVENANCE))
    assert command.settings.compensation == "ridge"


def test_calibrate_reads_the_general_text_again(tmp_path: Path) -> None:
    run, mixed = (
        RunDirectory(tmp_path),
        MixedText(files=("a.txt", "b.jsonl"), fingerprint="0" * 16, share=0.4),
    )
    run.grams.write_bytes(b"")
    command = parsed(commands.calibrate_command(run, replace(PROVENANCE, general_text=mixed)))
    assert command.settings.general_text == (Path("a.txt"), Path("b.jsonl"))
    assert command.settings.general_share == 0.4


def test_evaluate_asks_the_same_questions_again(questions: list[Question]) -> None:
    evaluation = replace(make_evaluation(questions, "1,0,0", errors=[]), split="validation")
    command = parsed(commands.evaluate_command(RUN, PROVENANCE, "mine", "out", evaluation))
    assert command == Evaluate(
        model="out",
        questions=("toyworld",),
        settings=EvaluateSettings(split="validation", label="1,0,0", limit=12, seed=3),
        out=RUN.results / "mine.json",
    )
    texts = {question.id: "yes" for question in questions}
    other = replace(evaluation, results=score(questions, texts, rule="lmms-eval"))
    assert (
        parsed(commands.evaluate_command(RUN, PROVENANCE, "mine", "out", other)).settings.rule == "lmms-eval"
    )
    nothing = replace(evaluation, results=score([], {}))
    assert parsed(commands.evaluate_command(RUN, PROVENANCE, "mine", "out", nothing)).settings.limit is None


def test_evaluate_what_has_not_been_evaluated() -> None:
    command = parsed(commands.evaluate_command(RUN, PROVENANCE, "dense", PROVENANCE.model))
    assert (command.questions, command.settings) == (
        PROVENANCE.questions,
        EvaluateSettings(seed=3),
    )
