"""RePOPE: POPE's files under other names, and answers to any edition of POPE rescored without a model."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hipp_prune.cli import main
from hipp_prune.errors import QuestionError
from hipp_prune.evaluation.results import Results
from hipp_prune.evaluation.scorecard import Answer, Scorecard
from hipp_prune.questions.benchmarks import BENCHMARKS, pope
from hipp_prune.questions.benchmarks.repope import REPOPE
from hipp_prune.questions.sources import load_asked, load_questions
from hipp_prune.questions.specs import parse_source
from hipp_prune.questions.yes_no import YesNoCounts, YesNoScore
from hipp_prune.stages.evaluate import score_answers

Asked = tuple[int, str, str, str]
"""question_id, image, thing, label."""

ORIGINAL: dict[str, list[Asked]] = {
    "random": [
        (1, "a.jpg", "cup", "yes"),
        (2, "a.jpg", "dog", "no"),
        (3, "b.jpg", "cup", "yes"),
        (4, "b.jpg", "cat", "no"),
    ],
    "adversarial": [(1, "a.jpg", "cup", "yes"), (2, "a.jpg", "table", "no")],
}
CORRECTED: dict[str, list[Asked]] = {
    "random": [(1, "a.jpg", "cup", "yes"), (2, "a.jpg", "dog", "yes"), (3, "b.jpg", "cup", "no")],
    "adversarial": [(2, "a.jpg", "table", "no")],
}
"""Two labels turned over, two questions left out."""

OLDER: dict[str, list[Asked]] = {
    "random": [(1, "b.jpg", "cup", "yes"), (2, "a.jpg", "cup", "yes"), (3, "c.jpg", "car", "no")],
    "adversarial": [(1, "a.jpg", "table", "no"), (2, "a.jpg", "cup", "yes")],
}
"""Other numbers, one question of the corrected edition missing."""

SAID = {
    ("random", "a.jpg", "cup"): "Yes",
    ("random", "a.jpg", "dog"): "No",
    ("random", "b.jpg", "cup"): "Yes",
    ("random", "b.jpg", "cat"): "No",
    ("random", "c.jpg", "car"): "No",
    ("adversarial", "a.jpg", "cup"): "No",
    ("adversarial", "a.jpg", "table"): "No",
}


def text(thing: str) -> str:
    return f"Is there a {thing} in the image?"


def write_files(folder: Path, subsets: dict[str, list[Asked]], edition: str) -> Path:
    folder.mkdir(exist_ok=True)
    for subset, records in subsets.items():
        lines = [
            {"question_id": number, "image": image, "text": text(thing), "label": label}
            for number, image, thing, label in records
        ]
        path = folder / f"coco_{edition}_{subset}.json"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def write_answers(path: Path, subsets: dict[str, list[Asked]], *, numbering: str = "llava") -> Path:
    """Answers to every question of an edition, in LLaVA's numbering or under our ids."""
    records: list[dict[str, Any]] = []
    for subset, asked in subsets.items():
        for number, image, thing, _ in asked:
            llava = number + pope.LLAVA_OFFSETS[subset]
            records.append(
                {
                    "question_id": llava if numbering == "llava" else f"{subset}/{number}",
                    "prompt": text(thing) + pope.INSTRUCTION,
                    "text": SAID[subset, image, thing],
                }
            )
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.fixture
def corrected(tmp_path: Path) -> Path:
    return write_files(tmp_path / "corrected", CORRECTED, "repope")


def subsets(results: Results) -> dict[str, YesNoCounts]:
    found = results.scores["repope"]
    assert isinstance(found, YesNoScore)
    return found.subsets


BY_HAND = {"random": YesNoCounts(tp=1, fn=1, fp=1, tn=0), "adversarial": YesNoCounts(tp=0, fn=0, fp=0, tn=1)}


def test_both_editions_may_lie_in_one_folder_and_be_asked_at_once(tmp_path: Path) -> None:
    write_files(tmp_path, ORIGINAL, "pope")
    write_files(tmp_path, CORRECTED, "repope")
    specs = [f"pope:{tmp_path}", f"repope:{tmp_path}"]
    questions = load_questions(specs, "all", cache=tmp_path, need_images=False)
    assert [question.id for question in questions] == [
        "random/1", "random/2", "random/3", "random/4", "adversarial/1", "adversarial/2",
        "repope/random/1", "repope/random/2", "repope/random/3", "repope/adversarial/2",
    ]  # fmt: skip
    answers = write_answers(tmp_path / "answers.jsonl", ORIGINAL)
    results = score_answers(answers, specs)
    assert subsets(results) == BY_HAND
    assert results.scores["pope"].n == 6


def test_a_question_is_popes_but_for_its_name_and_label(corrected: Path) -> None:
    question = pope.load(corrected, edition=REPOPE, need_images=False)[1]
    assert question.benchmark == "repope"
    assert question.prompt == text("dog") + "\nAnswer the question using a single word or phrase."
    assert (question.answer, question.subset) == ("Yes", "random")


def test_files_of_pope_are_none_of_repope(tmp_path: Path) -> None:
    write_files(tmp_path, ORIGINAL, "pope")
    with pytest.raises(QuestionError, match=r"expected files called \*_repope_\*.*found coco_pope_adv"):
        pope.load(tmp_path, edition=REPOPE, need_images=False)


@pytest.mark.parametrize("numbering", ["llava", "ours"])
def test_answers_to_pope_are_rescored_by_id(corrected: Path, tmp_path: Path, numbering: str) -> None:
    answers = write_answers(tmp_path / "answers.jsonl", ORIGINAL, numbering=numbering)
    results = score_answers(answers, [f"repope:{corrected}"])
    assert subsets(results) == BY_HAND
    assert results.unasked == {}


def test_the_score_by_hand(corrected: Path, tmp_path: Path) -> None:
    answers = write_answers(tmp_path / "answers.jsonl", ORIGINAL)
    found = score_answers(answers, [f"repope:{corrected}"]).scores["repope"]
    header, *rows = found.rows()
    assert header[0] == "RePOPE"
    # random: yes labels 2 (one said), no label 1 (said yes): accuracy 1/3, precision = recall = F1 = 1/2, yes 2/3.
    assert rows[0][:8] == ("random", "3", "33.3", "50.0", "50.0", "50.0", "66.7", "25.0")
    # pooled: one of two yes, one of two no.
    assert found.accuracy == 0.5
    assert found.chance == 0.5


def test_older_answers_are_paired_through_the_edition_that_was_asked(corrected: Path, tmp_path: Path) -> None:
    older = write_files(tmp_path / "older", OLDER, "pope")
    answers = write_answers(tmp_path / "answers.jsonl", OLDER)
    results = score_answers(answers, [f"repope:{corrected},asked={older}"])
    assert subsets(results) == {
        "random": YesNoCounts(tp=1, fn=0, fp=1, tn=0),
        "adversarial": YesNoCounts(tp=0, fn=0, fp=0, tn=1),
    }
    assert results.unasked == {"repope": 1}
    assert Results.from_json(results.to_json()) == results


def test_older_answers_are_refused_without_their_edition(corrected: Path, tmp_path: Path) -> None:
    answers = write_answers(tmp_path / "answers.jsonl", OLDER)
    with pytest.raises(QuestionError) as refused:
        score_answers(answers, [f"repope:{corrected}"])
    assert str(refused.value).endswith(
        "expected one answer to each of the 4 questions, found answers to a differently worded prompt: 3 "
        "(10000002, 10000003, 2); give the edition of POPE that was asked, as in repope:PATH,asked=PATH"
    )


@pytest.mark.parametrize("edition", ["", ",asked={}"])
def test_a_question_that_was_asked_must_be_answered(corrected: Path, tmp_path: Path, edition: str) -> None:
    original = write_files(tmp_path / "original", ORIGINAL, "pope")
    fewer = {**ORIGINAL, "random": ORIGINAL["random"][:1]}
    answers = write_answers(tmp_path / "answers.jsonl", fewer)
    complaint = r"questions without an answer: 2 \(repope/random/2, repope/random/3\)"
    with pytest.raises(QuestionError, match=complaint):
        score_answers(answers, [f"repope:{corrected}{edition.format(original)}"])


def test_an_edition_with_no_question_in_common_is_refused(corrected: Path, tmp_path: Path) -> None:
    strange = {"random": [(1, "z.jpg", "cup", "yes")]}
    other = write_files(tmp_path / "other", strange, "pope")
    answers = write_answers(tmp_path / "answers.jsonl", ORIGINAL)
    with pytest.raises(QuestionError, match="expected asked= to hold some of its 4 questions, found none"):
        score_answers(answers, [f"repope:{corrected},asked={other}"])


def saved(path: Path, answers: Sequence[Answer]) -> Path:
    """What ``evaluate --out`` writes."""
    Scorecard(
        label="dense", model="m", questions=("pope:P",), split="all", results=Results(scores={}),
        answers=tuple(answers), seconds=1.0,
    ).save(path)  # fmt: skip
    return path


def stored(identifier: str, image: str, thing: str, given: str) -> Answer:
    return Answer(
        benchmark="pope", id=identifier, prompt=text(thing) + pope.INSTRUCTION, images=(f"elsewhere/{image}",),
        gold="Yes", given=given, margin=0.0,
    )  # fmt: skip


def test_our_own_results_are_paired_by_picture_and_text(corrected: Path, tmp_path: Path) -> None:
    """Numbers differ from the corrected edition's; the same question of another subset is another question."""
    answers = [
        stored("random/70", "a.jpg", "cup", "Yes"),
        stored("adversarial/70", "a.jpg", "cup", "No"),
        stored("random/71", "a.jpg", "dog", "No"),
        stored("random/72", "b.jpg", "cup", "Yes"),
        stored("adversarial/1", "a.jpg", "table", "No"),
    ]
    path = saved(tmp_path / "results.json", answers)
    assert subsets(score_answers(path, [f"repope:{corrected}"])) == BY_HAND
    saved(path, answers[:3])
    with pytest.raises(QuestionError, match="questions without an answer: 2"):
        score_answers(path, [f"repope:{corrected}"])


def test_an_answer_twice_is_refused(corrected: Path, tmp_path: Path) -> None:
    answers = [stored("random/1", "a.jpg", "cup", "Yes")] * 2
    with pytest.raises(QuestionError, match="repeated answers: 1"):
        score_answers(saved(tmp_path / "results.json", answers), [f"repope:{corrected}"])


def test_the_command_prints_the_count_of_what_was_never_asked(
    corrected: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    older = write_files(tmp_path / "older", OLDER, "pope")
    answers = write_answers(tmp_path / "answers.jsonl", OLDER)
    specs = f"repope:{corrected},asked={older}"
    assert main(["evaluate", "--answers", str(answers), "--questions", specs]) == 0
    printed = capsys.readouterr().out
    assert "RePOPE" in printed
    assert "left out, because they were never asked: 1 questions" in printed


def test_only_a_corrected_edition_takes_asked() -> None:
    assert parse_source("repope:A,asked=B").options == {"asked": "B"}
    assert load_asked(["pope:A", "repope:B"]) == {}
    with pytest.raises(QuestionError, match="found 'asked=B'"):
        parse_source("pope:A,asked=B")
    assert {name for name, each in BENCHMARKS.items() if each.corrects} == {"repope"}


GOLDEN = Path(__file__).parents[4] / "shared" / "data" / "golden" / "pope"


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="LLaVA's stored POPE answers are not here")
def test_without_a_change_the_golden_answers_score_what_pope_says(tmp_path: Path) -> None:
    """POPE's own labels under RePOPE's name give POPE's score, paired through the older edition."""
    for subset in pope.SUBSETS:
        file = GOLDEN / f"coco_pope_{subset}.json"
        (tmp_path / f"coco_repope_{subset}.json").write_bytes(file.read_bytes())
    answers = GOLDEN / "answers_llava-1.5-13b.jsonl"
    results = score_answers(answers, [f"pope:{GOLDEN}", f"repope:{tmp_path},asked={GOLDEN}"])
    original, again = results.scores["pope"], results.scores["repope"]
    assert isinstance(original, YesNoScore)
    assert isinstance(again, YesNoScore)
    assert again.subsets == original.subsets
    assert round(again.mean("f1"), 4) == 0.8595
