"""What every benchmark promises: its questions are loaded, asked, scored, stored, searched with and reported."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import pytest

from hipp_prune.calibration.measurement import calibrate
from hipp_prune.evaluation.results import Results, score
from hipp_prune.evaluation.scorecard import Scorecard
from hipp_prune.files.run_directory import SearchFolder
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.questions.benchmark import ROLES, Benchmark, Rule
from hipp_prune.questions.benchmarks import BENCHMARKS, lmms_eval
from hipp_prune.questions.question import Question
from hipp_prune.questions.sources import load_questions
from hipp_prune.report.tables import MISSING, summary_columns, summary_html, summary_rows
from hipp_prune.search.archive import Archive, Evaluation
from hipp_prune.search.query.forecast import Forecast, fit_forecast
from hipp_prune.search.query.planner import Planner
from hipp_prune.search.query.requirements import Requirement, meet_requirements
from hipp_prune.search.settings import SearchSettings
from hipp_prune.stages.evaluate import evaluate, score_answers
from hipp_prune.stages.search import search_model
from hipp_prune.stages.settings import EvaluateSettings
from tests.contract.tiny_benchmarks import WRITERS
from tests.contract.tiny_task import tiny_task
from tests.tiny import tiny_llava

RULES: tuple[Rule, ...] = get_args(Rule)


@pytest.fixture(scope="module", autouse=True)
def _tiny_task() -> Iterator[None]:
    """lmms-eval is no dependency of ours, and would download what it asks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lmms_eval, "open_task", tiny_task)
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llava(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def adapter(model: Path) -> Adapter:
    return load_model(model)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A benchmark, and a tiny folder of its files."""

    benchmark: Benchmark
    source: str
    cache: Path
    questions: list[Question]


def write_case(name: str, folder: Path) -> Case:
    writer = WRITERS.get(name)
    if writer is None:
        pytest.fail(
            f"expected a writer of a tiny {name} folder in tests/contract/tiny_benchmarks.py, found none"
        )
    source, cache = writer(folder), folder / "cache"
    return Case(
        benchmark=BENCHMARKS[name],
        source=source,
        cache=cache,
        questions=load_questions([source], "all", cache=cache),
    )


@pytest.fixture(scope="module", params=list(BENCHMARKS))
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return write_case(str(request.param), tmp_path_factory.mktemp(str(request.param)))


@pytest.fixture(scope="module")
def scorecard(case: Case, model: Path) -> Scorecard:
    return evaluate(str(model), [case.source], EvaluateSettings(split="all", label="dense"))


@dataclass(frozen=True, kw_only=True)
class Searched:
    """A search on one benchmark's questions alone."""

    archive: list[Evaluation]
    planner: Planner
    forecast: Forecast


@pytest.fixture(scope="module")
def searched(case: Case, adapter: Adapter, tmp_path_factory: pytest.TempPathFactory) -> Searched:
    root = tmp_path_factory.mktemp("search")
    folder = SearchFolder(root=root, latency=root / "latency.json")
    settings = SearchSettings(evaluations=40, minibatch=8, probe=None)
    planner = search_model(adapter, calibrate(adapter, case.questions[:8]), case.questions, folder, settings)
    archive = list(Archive(folder.archive))
    return Searched(archive=archive, planner=planner, forecast=fit_forecast(archive, planner.space))


def test_a_question_says_all_that_others_read(case: Case) -> None:
    ids = [question.id for question in case.questions]
    assert len(set(ids)) == len(ids) > 0
    for question in case.questions:
        assert question.benchmark == case.benchmark.name
        assert question.prompt.endswith(case.benchmark.instruction)
        assert question.prompt != case.benchmark.instruction
        assert all(path.is_file() for path in question.images)
        assert question.subset
        assert question.group
        assert hash(case.benchmark.stratum(question)) == hash(case.benchmark.stratum(question))
    named = case.benchmark.aliases(case.questions)
    assert {question.id for question in named.values()} <= set(ids)


def test_questions_are_scored_without_pictures(case: Case) -> None:
    specs = [case.source]
    assert load_questions(specs, "all", cache=case.cache, need_images=False) == case.questions


def test_all_benchmarks_can_be_asked_at_once(tmp_path: Path) -> None:
    for name in BENCHMARKS:
        (tmp_path / name).mkdir()
    cases = [write_case(name, tmp_path / name) for name in BENCHMARKS]
    together = load_questions([case.source for case in cases], "all", cache=tmp_path)
    assert len(together) == sum(len(case.questions) for case in cases)
    results = score(together, {question.id: question.answer for question in together})
    assert list(results.scores) == list(BENCHMARKS)


@pytest.mark.parametrize("rule", RULES)
def test_an_allowed_answer_is_read_as_itself_by_every_rule(case: Case, rule: Rule) -> None:
    for question in case.questions:
        read = [case.benchmark.parse(question, answer, rule) for answer in question.answers]
        assert read == list(range(len(question.answers)))


@pytest.mark.parametrize("rule", RULES)
def test_right_answers_score_one_and_wrong_ones_nothing(case: Case, rule: Rule) -> None:
    def scored(shift: int) -> float:
        given = [(question.gold + shift) % max(2, len(question.answers)) for question in case.questions]
        return case.benchmark.score(case.questions, given, rule).accuracy

    assert scored(0) == 1
    assert scored(1) == 0
    found = case.benchmark.score(case.questions, [None] * len(case.questions), rule)
    assert found.accuracy == 0
    assert 0 <= found.chance < 1
    assert (found.chance == 0) is all(question.is_open for question in case.questions)


def test_a_model_is_scored_officially(case: Case, scorecard: Scorecard) -> None:
    (found,) = scorecard.results.scores.values()
    header, *rows = found.rows()
    assert header[0] == case.benchmark.title
    assert "n" in header
    assert rows
    assert {len(row) for row in rows} == {len(header)}
    assert found.n == len(case.questions)
    low, high = found.interval
    assert 0 <= low <= found.accuracy <= high <= 1


def test_a_limit_asks_so_many_questions(case: Case, model: Path) -> None:
    limited = evaluate(str(model), [case.source], EvaluateSettings(split="all", limit=5))
    (found,) = limited.results.scores.values()
    assert found.n == len(limited.answers) == 5
    assert len(found.rows()) > 1


def test_scores_survive_json(scorecard: Scorecard, tmp_path: Path) -> None:
    assert Results.from_json(scorecard.results.to_json()) == scorecard.results
    scorecard.save(tmp_path / "results.json")
    assert Scorecard.load(tmp_path / "results.json") == scorecard


def test_stored_answers_score_what_they_did(case: Case, scorecard: Scorecard, tmp_path: Path) -> None:
    results, lines = tmp_path / "results.json", tmp_path / "answers.jsonl"
    scorecard.save(results)
    records = [{"question_id": answer.id, "text": answer.given} for answer in scorecard.answers]
    lines.write_text("".join(json.dumps(record) + "\n" for record in records))
    assert score_answers(results, [case.source]) == scorecard.results
    assert score_answers(lines, [case.source]) == scorecard.results


def test_a_search_files_accuracies_and_returns_where_they_belong(case: Case, searched: Searched) -> None:
    assert searched.archive
    assert {tuple(evaluation.accuracies) for evaluation in searched.archive} == {(case.benchmark.name,)}
    for role in ROLES:
        returns = {getattr(evaluation, role) for evaluation in searched.archive}
        assert (len(returns) > 1) is (role == case.benchmark.role)
        assert role == case.benchmark.role or returns == {0.0}


def test_its_accuracy_can_be_forecast_and_required(case: Case, searched: Searched) -> None:
    name = case.benchmark.name
    assert searched.forecast.names == (name,)
    assert Requirement.parse(f"{name}=0.5") == Requirement(name=name, value=0.5)
    required = [Requirement.parse(f"{name}=0")]
    plan = meet_requirements(searched.planner, searched.forecast, searched.archive, required)
    assert set(plan.notes["predicted"]) == {name}
    assert 0 <= plan.notes["predicted"][name]["mean"] <= 1


def test_a_report_has_its_columns(case: Case, scorecard: Scorecard) -> None:
    dense = replace(scorecard, label="dense")
    columns = [column for column in summary_columns([dense]) if column.group == case.benchmark.title]
    assert len(columns) >= 3
    assert all(column.cell(dense) for column in columns)
    header, (row,) = summary_rows([dense])
    cells = dict(zip(header, row, strict=True))
    assert all(cells[column.title] != MISSING for column in columns)
    assert case.benchmark.title in summary_html([dense], Path("run"))
