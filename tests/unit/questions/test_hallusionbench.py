"""HallusionBench: its file, its reading of answers, and its official numbers by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from hipp_prune.errors import ImageError, InputError, QuestionError
from hipp_prune.questions.benchmark import Rule
from hipp_prune.questions.benchmarks import hallusionbench
from hipp_prune.questions.records import SkipBad


def record(category: str, visual: int, figure: int, question: int, truth: int) -> dict[str, Any]:
    return {
        "category": category,
        "subcategory": "chart",
        "visual_input": str(visual),
        "set_id": "7",
        "figure_id": str(figure),
        "sample_note": "cups",
        "question_id": str(question),
        "question": f"Is number {question} the largest?",
        "gt_answer_details": "It is.",
        "gt_answer": str(truth),
        "filename": f"./{category}/chart/7_{figure}.png" if visual else None,
    }


RECORDS = [
    record("VS", 0, 0, 0, 1),
    record("VS", 0, 0, 1, 0),
    record("VS", 2, 1, 0, 0),
    record("VS", 2, 1, 1, 1),
    record("VD", 1, 0, 0, 1),
    record("VD", 2, 1, 0, 0),
]
"""A set of either category: without and with a picture, and as it was and edited."""


def write(folder: Path, records: list[dict[str, Any]]) -> Path:
    (folder / "hallusion_bench").mkdir(exist_ok=True)
    (folder / "HallusionBench.json").write_text(json.dumps(records))
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write(tmp_path, RECORDS)


def test_a_record_becomes_a_question(data: Path) -> None:
    questions = hallusionbench.load(data)
    assert [question.answer for question in questions] == ["Yes", "No", "No", "Yes", "Yes", "No"]
    assert not questions[0].images
    assert questions[2].images == (data / "hallusion_bench" / "VS" / "chart" / "7_1.png",)
    assert questions[2].id == "hallusionbench/VS/chart/7/1/0"
    assert questions[2].prompt == (
        "Is number 0 the largest?\nAnswer the question using a single word or phrase."
    )
    assert {question.group for question in questions[:4]} == {"hallusionbench/VS/chart/7"}
    assert list(hallusionbench.aliases(questions))[2] == "VS_chart_7_1_0"


def test_the_archives_name_may_stand_before_a_picture(tmp_path: Path) -> None:
    named = RECORDS[4] | {"filename": "./hallusion_bench/VD/chart/7_0.png"}
    (question,) = hallusionbench.load(write(tmp_path, [named]))
    assert question.images == (tmp_path / "hallusion_bench" / "VD" / "chart" / "7_0.png",)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"category": "VX"}, "'category'"),
        ({"visual_input": "3"}, "'visual_input'"),
        ({"gt_answer": "yes"}, "'gt_answer'"),
        ({"gt_answer": 1}, "'gt_answer'"),
        ({"figure_id": "x"}, "'figure_id'"),
        ({"filename": None}, "null where it is 0, found visual_input 2"),
        ({"figure_id": "0", "visual_input": "1"}, "expected every question once, found hallusionbench/VD"),
    ],
)
def test_a_bad_record_is_named_or_left_out(tmp_path: Path, change: dict[str, Any], complaint: str) -> None:
    data = write(tmp_path, [*RECORDS[:-1], RECORDS[-1] | change])
    with pytest.raises(QuestionError, match=complaint):
        hallusionbench.load(data)
    skip_bad = SkipBad()
    assert len(hallusionbench.load(data, skip_bad=skip_bad)) == len(RECORDS) - 1
    assert skip_bad.count == 1


def test_missing_files_and_pictures_are_named(data: Path) -> None:
    (data / "hallusion_bench").rmdir()
    with pytest.raises(ImageError, match="as in hallusionbench:PATH,images=DIR"):
        hallusionbench.load(data)
    assert len(hallusionbench.load(data, need_images=False)) == len(RECORDS)
    (data / "HallusionBench.json").write_text("[]")
    with pytest.raises(QuestionError, match=r"found none; give the folder with HallusionBench\.json"):
        hallusionbench.load(data, need_images=False)


@pytest.mark.parametrize(
    ("text", "official", "lmms_eval"),
    [
        ("Yes", 0, 0),
        ("no, it is not", 1, 1),
        ("I cannot tell", None, 1),
        ("Yes and no", None, 0),
        ("Yesterday", None, 0),
    ],
)
def test_texts_are_read_as_without_a_judge(
    data: Path, text: str, official: int | None, lmms_eval: int | None
) -> None:
    question = hallusionbench.load(data)[0]
    assert hallusionbench.parse(question, text) == official
    assert hallusionbench.parse(question, text, "vlmevalkit") == official
    assert hallusionbench.parse(question, text, "lmms-eval") == lmms_eval


@pytest.mark.parametrize(("rule", "right"), [("official", 4), ("vlmevalkit", 3)])
def test_figures_and_pairs_need_all_their_questions(data: Path, rule: Rule, right: int) -> None:
    questions = hallusionbench.load(data)
    predictions = [0, None, 1, 1, 0, 1]  # the second is unread without a picture, the fourth wrong
    score = hallusionbench.score(questions, predictions, rule)
    unread = rule == "official"
    assert score.official["VS"] == hallusionbench.Leaderboard(
        aAcc=(2 + unread, 4), fAcc=(0, 1), qAcc=(1, 2), easy=(1 + unread, 2), hard=(1, 2)
    )
    assert score.official["all"].aAcc == (right + 1, 6)
    assert score.official["all"].fAcc == (2, 3)
    assert score.official["VD"].qAcc == (1, 1)
    assert score.accuracy == pytest.approx((2 / 3 + 2 / 3) / 2), "unread is wrong, whatever is official"
    assert ("officially right" in score.remark) is unread


def test_scores_of_other_parts_are_no_scores(data: Path) -> None:
    questions = hallusionbench.load(data)
    content = json.loads(json.dumps(hallusionbench.score(questions, [0] * 6).to_json()))
    for change in ({"official": {}}, {"intervals": {}}, {"parts": {"VD": content["parts"]["VD"]}}):
        with pytest.raises(InputError, match=r"^x: expected .*; score again with"):
            hallusionbench.restore(content | change, "x")
