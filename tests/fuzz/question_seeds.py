"""Valid files of questions, of answers to them, and of what the answers scored."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import pyarrow
from pyarrow import parquet

from hipp_prune.errors import HippPruneError, InputError, QuestionError
from hipp_prune.evaluation import answer_files, scorecard
from hipp_prune.evaluation.answer_files import StoredAnswer, read_stored
from hipp_prune.evaluation.answers import read_answers
from hipp_prune.evaluation.results import Results, score
from hipp_prune.evaluation.scorecard import Answer, Scorecard
from hipp_prune.files.reading import read_text
from hipp_prune.files.writing import write_text
from hipp_prune.plans.space import Ledger
from hipp_prune.questions.benchmark import Score
from hipp_prune.questions.benchmarks import (
    agreement,
    agreement_objects,
    amber,
    dash_b,
    hallusionbench,
    lmms_eval,
    pope,
    scienceqa,
)
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import SkipBad
from hipp_prune.questions.sources import load_questions
from tests.contract.tiny_benchmarks import WRITERS, write_lines, write_pictures
from tests.contract.tiny_task import tiny_task
from tests.fuzz.conformity import misfit
from tests.fuzz.seed import Seed

_POPE = {f"{edition}/coco_{edition}_random.json": pope._Record for edition in ("pope", "repope")}
_PROBLEMS = "scienceqa/problems.json"
_FLATTENED = "flattened/test.jsonl"
_OWN = {f"{name}/{name}.jsonl": None for name in ("yes-no", "choices", "short-answers")}


_LABELS = {
    "agreement/agreement.jsonl": agreement._Record,
    "agreement-objects/objects.jsonl": agreement_objects._Record,
}
_TABLES = {
    name: None for name in ("tables/comma.csv", "tables/semicolon.csv", "tables/tab.tsv", "tables/list.json")
}
_PROMPTS = "tables/prompts.jsonl"
_PARQUET = "tables/rows.parquet"
_MME = ("mme/count/0.txt", "mme/scene/questions_answers_YN/1.txt")


def _write_tables(folder: Path) -> None:
    """Every form of a table: of each kind of question, and of prompts that nobody has answered."""
    tables = folder / "tables"
    first, second, *_ = write_pictures(tables)
    rows = [
        ("image", "Question", "answer", "choices", "id", "group", "role"),
        ("", "Is there a cup?", "yes", "", "1", "a", ""),
        ("", "Which?", "B", "cup|dog", "2", "b", "robustness"),
        ("", "What is it?", "a dog", "", "3", "", "utility"),
        (f"{first}|{second}", "Are they alike?", "no", "", "4", "", ""),
    ]
    for name, separator in (("comma.csv", ","), ("semicolon.csv", ";"), ("tab.tsv", "\t")):
        (tables / name).write_text("".join(separator.join(row) + "\n" for row in rows))
    parquet.write_table(
        pyarrow.table({name: column for name, *column in zip(*rows, strict=True)}), folder / _PARQUET
    )
    asked = [{"question": "Is it?", "answer": "no", "group": 1}, {"question": "Why?", "answer": 3, "id": 4}]
    asked += [{"question": "Alike?", "answer": "no", "image": [second, first]}]
    (tables / "list.json").write_text(json.dumps(asked))
    write_lines(
        folder / _PROMPTS, [{"question": "What is it?", "id": "a"}, {"question": "Why?", "answer": ""}]
    )


def _write_questions(folder: Path) -> None:
    for name, write in WRITERS.items():
        write(folder / name)
    _write_tables(folder)
    (folder / "flattened").mkdir()
    lines = [
        {
            "pid": str(pid),
            "prompt": f"Context: Number {pid}.\nWhich?\nA. one\nB. two" + scienceqa.INSTRUCTION,
            "choices": ["one", "two"],
            "answer": pid % 2,
            "image": None,
        }
        for pid in range(6)
    ]
    write_lines(folder / _FLATTENED, lines)


def _read_questions(folder: Path, name: str) -> list[Question]:
    if name == _FLATTENED:
        spec = f"scienceqa:{folder / name}"
    else:
        benchmark = name.partition("/")[0]
        alone = name in {*_POPE, *_OWN, *_LABELS}
        spec = f"{benchmark}:{folder / name if alone else folder / benchmark}"
    if name in {*_TABLES, _PROMPTS, _PARQUET}:
        spec = str(folder / name)
    with suppress(HippPruneError):
        load_questions([spec], "all", cache=folder, skip_bad=SkipBad())
    questions = load_questions([spec], "all", cache=folder)
    if name == _PROBLEMS:  # those that no split lists are nobody's business
        problems = json.loads((folder / name).read_bytes())
        for question in questions:
            assert misfit(problems[question.id], scienceqa._Problem, foreign=True) is None
    return questions


_KINDS = {
    **_POPE,
    "amber/annotations.json": list[amber._Annotation],
    "amber/query/query_discriminative.json": list[amber._Query],
    "dash_b/dash_benchmark_neg.json": dash_b._List,
    "hallusionbench/HallusionBench.json": list[hallusionbench._Record],
    _PROBLEMS: dict[str, Any],
    "scienceqa/pid_splits.json": dict[str, list[str]],
    _FLATTENED: scienceqa._Flattened,
    **_OWN,
    **_LABELS,
    **_TABLES,
    _PROMPTS: None,
    _PARQUET: None,
    **dict.fromkeys(_MME),
}

QUESTIONS = Seed(
    name="questions",
    write=_write_questions,
    kinds=_KINDS,
    read=_read_questions,
    result=list[Question],
    foreign=_KINDS.keys(),
    lines={name: True for name in (*_POPE, *_OWN, *_LABELS, _FLATTENED, _PROMPTS)},
)


def _questions() -> list[Question]:
    return [
        Question(
            benchmark="pope",
            id=f"random/{number}",
            prompt=f"Is there a cup {number}?{pope.INSTRUCTION}",
            images=(),
            answers=("Yes", "No"),
            gold=number % 2,
            subset="random",
            group=str(number),
        )
        for number in range(6)
    ]


def _answers() -> tuple[Answer, ...]:
    return tuple(
        Answer(
            benchmark=question.benchmark,
            id=question.id,
            prompt=question.prompt,
            images=(),
            gold=question.answer,
            given="Yes",
            margin=0.5,
        )
        for question in _questions()
    )


def _scorecard(results: Results) -> Scorecard:
    return Scorecard(
        label="1,0,0",
        model="toy-llava",
        questions=("toyworld",),
        split="test",
        results=results,
        answers=_answers(),
        seconds=1.5,
        bytes=1000,
        ledger=Ledger(mlp=0.5, block=0.4, language=0.3, model=0.2),
        preference=(1.0, 0.0, 0.0),
        speedup=1.2,
    )


def _write_answers(folder: Path) -> None:
    questions = _questions()
    long = [{"question_id": each.id, "text": "Yes", "prompt": each.prompt} for each in questions]
    write_lines(folder / "long.jsonl", long)
    brief = [{"id": int(each.id.partition("/")[2]), "response": "No"} for each in questions]
    (folder / "brief.json").write_text(json.dumps(brief))
    pope = [{"question": each.prompt.partition("\n")[0], "answer": "yes"} for each in questions]
    write_lines(folder / "pope.jsonl", pope)
    samples = [
        {
            "doc_id": number,
            "filtered_resps": ["Yes"],
            "input": each.prompt,
            "pope_accuracy": {"question_id": "1", "category": "random"},
        }
        for number, each in enumerate(questions)
    ]
    write_lines(folder / "samples.jsonl", samples)
    (folder / "results.json").write_text(json.dumps({"acc": 1.0, "results": {"7": 0, "8": "B", "9": -1}}))
    (folder / "outputs.json").write_text(json.dumps({"results": {"7": 0}, "outputs": {"7": "A", "8": "B."}}))
    judged = {"question_id": "7", "pred": "A", "parsed_ans": "A"}
    (folder / "judged.json").write_text(
        json.dumps({"correct": [judged], "incorrect": [{**judged, "question_id": 8}]})
    )
    results = score(questions, {each.id: "Yes" for each in questions})
    _scorecard(results).save(folder / "saved.json")


def _read_answers(folder: Path, name: str) -> list[StoredAnswer]:
    stored = read_stored(folder / name)
    with suppress(QuestionError):
        texts = read_answers(folder / name, _questions())
        assert list(texts) or not stored
    return stored


_RECORD = (
    answer_files._Judged
    | answer_files._Prediction
    | answer_files._Sample
    | answer_files._Pope
    | answer_files._Amber
    | answer_files._Llava
)

ANSWERS = Seed(
    name="answers",
    weight=2.0,
    write=_write_answers,
    kinds={
        "long.jsonl": _RECORD,
        "pope.jsonl": _RECORD,
        "samples.jsonl": _RECORD,
        "brief.json": list[_RECORD],  # type: ignore[valid-type]
        "results.json": None,
        "outputs.json": None,
        "judged.json": None,
        "saved.json": None,
    },
    read=_read_answers,
    result=list[StoredAnswer],
    foreign=(
        "long.jsonl",
        "pope.jsonl",
        "samples.jsonl",
        "brief.json",
        "results.json",
        "outputs.json",
        "judged.json",
        "saved.json",
    ),
    lines={"long.jsonl": True, "pope.jsonl": True, "samples.jsonl": True},
)


def _every_score() -> Results:
    """Scores of every benchmark, of which those with several parts have them all."""
    with TemporaryDirectory() as folder:
        sources = [write(Path(folder) / name) for name, write in WRITERS.items()]
        with patch.object(lmms_eval, "open_task", tiny_task):
            questions = load_questions(sources, "all", cache=Path(folder))
    return score(questions, {question.id: question.answers[0] for question in questions})


def _write_results(folder: Path) -> None:
    results = _every_score()
    write_text(folder / "results.json", results.to_json())
    _scorecard(results).save(folder / "scorecard.json")


def _read_results(folder: Path, name: str) -> Mapping[str, Score]:
    if name == "results.json":
        text = read_text(folder / name, remedy="evaluate again", error=InputError)
        found = Results.from_json(text, where=name)
    else:
        card = Scorecard.load(folder / name)
        found = card.results
        assert asdict(card)
    for each in found.scores.values():
        assert each.rows()
        assert each.columns()
        assert each.n >= 0
        assert each.interval[0] <= each.interval[1]
        assert isinstance(each.remark, str)
    assert Results.from_json(found.to_json()) == found
    return found.scores


RESULTS = Seed(
    name="results",
    write=_write_results,
    kinds={"results.json": None, "scorecard.json": scorecard._ScorecardFile},
    read=_read_results,
    result=Mapping[str, Score],
)
