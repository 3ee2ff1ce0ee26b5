"""The page: whole, self-contained, and honest about what is not there."""

import json
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from hipp_prune.errors import IncompleteRunError, RunError
from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.files.writing import write_json, write_text
from hipp_prune.plans.plan import Plan
from hipp_prune.questions.question import Question
from hipp_prune.report import page as pages
from hipp_prune.report.page import write_report
from tests.unit.report.synthetic import (
    BLOCKS,
    make_archive,
    make_calibration,
    make_evaluation,
    make_own_questions,
    make_plan,
    write_search,
)

VOID = {"meta", "img", "br", "wbr", "link", "input", "hr"}


class Page(HTMLParser):
    """Checks nesting, and keeps text, scripts and every attribute."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text = ""
        self.charts: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]
        if dict(attrs).get("class") == "chart":
            self.charts.append(dict(attrs)["id"] or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.text += data


def written(run: RunDirectory) -> Page:
    path = write_report(run)
    assert path == run.report
    return Page(path.read_text(encoding="utf-8"))


def test_a_finished_run_has_every_part(finished: RunDirectory) -> None:
    page = written(finished)
    assert page.charts == ["blocks", "curve", "cloud"]
    for said in (
        "some-vlm",
        "seed",
        "hipp-prune calibrate",
        "hipp-prune search",
        "hipp-prune query",
        "Yes-rate",
    ):
        assert said in page.text
    assert page.text.count("pruning broke it") >= 2
    assert "Run hipp-prune" not in page.text
    assert "the difficulty of each set" in page.text
    assert "broke 2 and mended 1 of 20" in page.text


def test_results_come_before_versions_and_changed_answers_first(finished: RunDirectory) -> None:
    text = written(finished).text
    said = ["smaller, 1.23× faster, POPE", "balanced accuracy", "pruning broke it", "pruning mended it"]
    said += ["unchanged", "How the search went", "versions", "hipp-prune calibrate"]
    places = [text.index(each) for each in said]
    assert places == sorted(places)
    assert text.rindex("pruning broke it") < text.index("pruning mended it")


def test_a_picture_is_whole_and_a_question_without_one_has_no_box(finished: RunDirectory) -> None:
    page = written(finished)
    html = finished.report.read_text(encoding="utf-8")
    pictures = [value for tag, name, value in page.attributes if (tag, name) == ("img", "class")]
    assert 0 < len(pictures) == html.count("<article") - html.count(" · no picture</span>")
    style = html.partition("<style>")[2].partition("</style>")[0]
    assert not any(way in style for way in ("object-fit", "aspect-ratio"))


def test_it_needs_no_network_and_is_small(finished: RunDirectory) -> None:
    page = written(finished)
    assert finished.report.stat().st_size < 1_500_000
    loaded = [value for _, name, value in page.attributes if name in ("src", "href", "action", "srcset")]
    assert loaded
    assert all(value is not None and value.startswith("data:") for value in loaded)
    policies = [value for tag, name, value in page.attributes if (tag, name) == ("meta", "content")]
    assert any("default-src 'none'" in (policy or "") for policy in policies)


def test_a_started_run_says_what_to_run(started: RunDirectory) -> None:
    page = written(started)
    assert page.charts == []
    for command in (
        f"hipp-prune calibrate --model models/some-vlm --questions toyworld --seed 7 --out {started.root}",
        f"hipp-prune search {started.root}",
        f"hipp-prune query {started.root} --preference R,U,C",
        "hipp-prune evaluate --model models/some-vlm --questions toyworld --split test --seed 7 --out",
    ):
        assert f"Run {command}" in page.text


def test_a_calibrated_run_shows_the_bars(started: RunDirectory) -> None:
    make_calibration().save(started.calibration)
    page = written(started)
    assert "block 6: last token" in page.text
    assert "removed, " not in page.text
    assert "No plan has been asked for" in page.text


def test_a_searched_run_shows_curve_and_cloud(started: RunDirectory) -> None:
    write_search(started)
    page = written(started)
    assert page.charts == ["curve", "cloud"]
    assert "--s-max 0.6 --no-relabel --clip None" in page.text
    assert "There is no finished search" not in page.text


def test_a_search_that_is_still_running_shows_its_plans(started: RunDirectory) -> None:
    write_search(started)
    (started.search.curve).unlink()
    settings = json.loads((started.search.record).read_text(encoding="utf-8"))["settings"]
    write_json(started.search.record, {"settings": settings, "complete": False})
    page = written(started)
    assert "--s-max 0.6" in page.text
    assert page.charts == ["cloud"]
    assert "There is no finished search" in page.text
    assert "compare them with care" in page.text


def test_plans_without_calibration_or_evaluation(started: RunDirectory) -> None:
    write_text(started.plans / "mine.json", make_plan((0.0, 1.0, 0.0), 0.4).to_json())
    page = written(started)
    assert "0,1,0 · 40%, block 6: " in page.text
    assert "of 40 neurons" in page.text
    assert "last token" not in page.text
    assert "The plan mine has not been evaluated. Run hipp-prune prune" in page.text
    assert "The model has not been calibrated" in page.text


def test_a_plan_is_to_be_evaluated_as_the_dense_model_was(
    started: RunDirectory, questions: list[Question]
) -> None:
    write_text(started.plans / "mine.json", make_plan((0.0, 1.0, 0.0), 0.4).to_json())
    dense = replace(make_evaluation(questions, "dense", errors=[]), split="validation")
    dense.save(started.results / "dense.json")
    assert "--split validation --label 0,1,0 --limit 12" in written(started).text


def test_plans_out_of_view_are_counted(started: RunDirectory) -> None:
    write_search(started)
    bad = replace(make_archive()[0], kept=(1,) * BLOCKS, robustness=-900.0, utility=-900.0, sparsity=0.1)
    with (started.search.archive).open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(bad)) + "\n")
    assert "1 too bad to be in view" in written(started).text


def test_rows_plans_have_a_row_for_gate_and_up_and_one_for_down(started: RunDirectory) -> None:
    write_text(started.plans / "mine.json", make_plan((0.0, 1.0, 0.0), 0.4, unit="rows").to_json())
    write_text(started.plans / "other.json", make_plan((0.0, 0.0, 1.0), 0.4).to_json())
    make_calibration().save(started.calibration)
    page = written(started)
    for part in ("gate/up", "down"):
        assert f"0,1,0 · 40%, {part}, block 1: " in page.text
    assert "of 40 rows" in page.text
    assert "made for another model or unit: other" in page.text


def test_rows_are_split_into_gate_up_and_down() -> None:
    plan = make_plan((1.0, 0.0, 0.0), 0.3, unit="rows")
    rows = pages._plan_rows({"a": plan})
    assert rows.kept.tolist() == [list(plan.kept[0::2]), list(plan.kept[1::2])]
    assert (rows.ratios == 1 - rows.kept / rows.widths).all()
    assert rows.widths[:, 0].tolist() == [40, 16]


def test_only_the_dense_model(started: RunDirectory, questions: list[Question]) -> None:
    make_evaluation(questions, "dense", errors=[0]).save(started.results / "dense.json")
    page = written(started)
    assert "Answers before and after pruning are needed" in page.text
    assert "91.7" in page.text
    assert page.charts == []


@pytest.mark.parametrize(
    ("benchmark", "said", "unsaid"),
    [
        (
            "yes-no",
            [
                "robustness (not seeing things that are not there; here by Yes/no questions)",
                "utility (which no question of this run measures, so it weighs nothing)",
                "1,0,0 is robustness alone",
                "Yes/no questions are your own",
                "Yes-rate is how often",
                "1,0,0: as large, Yes/no questions −25.0 points",
                "broke 1 and mended 0 of 4 answers",
                "prefers the right answer",
                "Right answer: ",
            ],
            ["ScienceQA", "exam", "POPE", "without labels", "agreement"],
        ),
        (
            "agreement",
            [
                "utility (answering well; here by agreement with the dense model)",
                "robustness (which no question of this run measures",
                "0,1,0 is utility alone",
                "Agreement with the dense model has no labels",
                "1,0,0: as large, agreement with the dense model 75.0%",
                "changed 1 of 4 answers",
                "prefers the dense model’s own answer",
                "The dense model’s answer: A dog on a lawn.",
                "pruning changed it",
            ],
            ["ScienceQA", "exam", "POPE", "Yes-rate", "balanced accuracy", "Right answer", "mended"],
        ),
    ],
)
def test_words_follow_what_was_asked(
    started: RunDirectory, tmp_path: Path, benchmark: str, said: list[str], unsaid: list[str]
) -> None:
    write_search(started)
    archive = [replace(each, accuracies={benchmark: 0.9}) for each in make_archive(noise=0.02)]
    write_text(started.search.archive, "".join(json.dumps(asdict(each)) + "\n" for each in archive))
    questions = make_own_questions(tmp_path / "own", benchmark)
    for label, errors in (("dense", []), ("1,0,0", [1])):
        make_evaluation(questions, label, errors).save(started.results / f"{label}.json")
    text = " ".join(written(started).text.split())
    assert [each for each in said if each not in text] == []
    assert [each for each in unsaid if each in text] == []


def test_without_the_dense_model_the_headline_tells_the_scores_alone(
    started: RunDirectory, questions: list[Question]
) -> None:
    make_evaluation(questions, "1,0,0", errors=[0]).save(started.results / "a.json")
    text = written(started).text
    assert "1,0,0: POPE 91.7%, ScienceQA 100.0%" in text
    assert "The dense model has not been evaluated" in text


def test_different_questions_before_and_after(started: RunDirectory, questions: list[Question]) -> None:
    make_evaluation(questions[:5], "dense", errors=[0]).save(started.results / "dense.json")
    make_evaluation(questions[5:], "1,0,0", errors=[0]).save(started.results / "a.json")
    assert "were asked different questions" in written(started).text


def test_what_files_say_cannot_become_markup(finished: RunDirectory, questions: list[Question]) -> None:
    manifest = json.loads(finished.manifest.read_text(encoding="utf-8"))
    hostile = "</script><img src=x onerror=alert(1)>"
    write_json(finished.manifest, {**manifest, "model": hostile, "versions": {"torch": hostile}})
    plan = replace(make_plan((1.0, 0.0, 0.0), 0.3), preference=None)
    write_text(finished.plans / "a<b>.json", Plan.to_json(plan))
    curve = [{**step, "phase": hostile} for step in json.loads((finished.search.curve).read_text())]
    write_json(finished.search.curve, curve)
    evaluation = make_evaluation(questions, hostile, errors=[3])
    answers = [
        {**asdict(answer), "prompt": hostile, "gold": "Yes", "given": hostile}
        for answer in evaluation.answers
    ]
    evaluation.save(finished.results / "hostile.json")
    content = json.loads((finished.results / "hostile.json").read_text(encoding="utf-8"))
    write_json(finished.results / "hostile.json", {**content, "answers": answers})
    page = written(finished)
    assert not [name for tag, name, _ in page.attributes if name.startswith("on")]
    assert all(value and value.startswith("data:") for _, name, value in page.attributes if name == "src")
    assert page.charts == ["blocks", "curve", "cloud"]
    assert hostile in page.text


def test_damage_is_named_and_the_rest_is_shown(finished: RunDirectory) -> None:
    write_text(finished.search.curve, '[{"phase": "pol')
    page = written(finished)
    assert page.charts == ["blocks", "cloud"]
    assert "search/curve.json: " in page.text


def test_no_run_is_an_error_and_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(IncompleteRunError):
        write_report(RunDirectory(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_old_page(started: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    write_report(started)
    before = started.report.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hipp_prune.files.writing.os.fsync", full)
    with pytest.raises(RunError, match="No space left"):
        write_report(started)
    assert started.report.read_bytes() == before
    assert [path.name for path in started.root.iterdir() if path.suffix == ".tmp"] == []


def test_writing_again_gives_the_same_page(finished: RunDirectory) -> None:
    first = write_report(finished).read_bytes()
    assert write_report(finished).read_bytes() == first
