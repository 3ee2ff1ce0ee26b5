"""Which questions are shown, and how."""

import base64
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hipp_prune.questions.question import Question
from hipp_prune.report.examples import choose_examples, count_changes, example_html, thumbnail
from tests.unit.report.synthetic import make_evaluation

IMAGE_URI = "data:image/"


def decoded(uri: str) -> Image.Image:
    return Image.open(BytesIO(base64.b64decode(uri.partition(",")[2])))


def test_broken_first_then_mended_then_unchanged_for_both_benchmarks(questions: list[Question]) -> None:
    dense = make_evaluation(questions, "dense", errors=[0, 15])
    first = make_evaluation(questions, "first", errors=[1, 2, 16])
    second = make_evaluation(questions, "second", errors=[0, 2])
    examples = choose_examples(dense, [first, second])
    of_pope = [(each.change, each.dense.id) for each in examples if each.benchmark == "pope"]
    assert of_pope[:3] == [("worse", "random/2"), ("worse", "random/1"), ("better", "random/0")]
    assert [change for change, _ in of_pope[3:]] == ["unchanged", "unchanged"]
    of_scienceqa = [each.change for each in examples if each.benchmark == "scienceqa"]
    assert of_scienceqa == ["worse", "better", "unchanged", "unchanged"]


def test_no_more_than_eight_a_benchmark(questions: list[Question]) -> None:
    dense = make_evaluation(questions, "dense", errors=range(6))
    pruned = make_evaluation(questions, "1,0,0", errors=range(3, 20))
    examples = choose_examples(dense, [pruned])
    assert len(examples) <= 16
    assert choose_examples(dense, [pruned]) == examples


def test_only_shared_questions_are_compared(questions: list[Question]) -> None:
    dense = make_evaluation(questions[:4], "dense", errors=[0])
    pruned = make_evaluation(questions[2:], "1,0,0", errors=[0])
    assert {each.dense.id for each in choose_examples(dense, [pruned])} == {"random/2", "random/3"}
    assert count_changes(dense, pruned) == (1, 0, 2)
    assert choose_examples(dense, [make_evaluation(questions[8:], "0,1,0", errors=[])]) == []


def test_equal_labels_are_told_apart(questions: list[Question]) -> None:
    pruned = make_evaluation(questions, "1,0,0", errors=[0])
    example = choose_examples(make_evaluation(questions, "dense", errors=[]), [pruned, pruned])[0]
    assert [label for label, _ in example.pruned] == ["1,0,0", "1,0,0 #2"]


def test_card_shows_question_gold_answers_and_margins(questions: list[Question]) -> None:
    dense = make_evaluation(questions, "dense", errors=[])
    example = choose_examples(dense, [make_evaluation(questions, "1,0,0", errors=[1])])[0]
    html = example_html(example)
    assert "Is there a &lt;b&gt;cup&lt;/b&gt; in image 1?" in html
    assert "Answer the question using" not in html
    assert "Right answer: <b>No</b>" in html
    assert '<td class="right">No ✓</td><td>+2.35</td>' in html
    assert '<td class="wrong">Yes ✗</td><td>−1.50</td>' in html
    assert f'src="{IMAGE_URI}png' in html


def test_a_long_prompt_keeps_its_options(questions: list[Question]) -> None:
    dense = make_evaluation(questions, "dense", errors=[])
    example = choose_examples(dense, [make_evaluation(questions, "1,0,0", errors=[12])])[0]
    long = replace(
        example, dense=replace(example.dense, prompt=f"Context: {'word ' * 500}\nA. first\nB. last option")
    )
    html = example_html(long)
    assert "[…]" in html
    assert "B. last option" in html
    assert len(html) < 2500


@pytest.mark.parametrize("content", [None, b"not a picture"])
def test_a_picture_that_cannot_be_shown_says_so(questions: list[Question], content: bytes | None) -> None:
    (image,) = questions[1].images
    image.unlink()
    if content is not None:
        image.write_bytes(content)
    dense = make_evaluation(questions, "dense", errors=[])
    html = example_html(choose_examples(dense, [make_evaluation(questions, "1,0,0", errors=[1])])[0])
    assert f"{image}: expected" in html
    assert IMAGE_URI not in html


def test_every_picture_of_a_question_is_shown(questions: list[Question]) -> None:
    shown = questions[0].images + questions[1].images
    asked = [replace(questions[0], images=shown), *questions[1:]]
    dense = make_evaluation(asked, "dense", errors=[])
    html = example_html(choose_examples(dense, [make_evaluation(asked, "1,0,0", errors=[0])])[0])
    assert html.count(IMAGE_URI) == 2


def test_tiny_pictures_are_enlarged_pixel_by_pixel(tmp_path: Path) -> None:
    pixels = np.arange(24 * 18 * 3, dtype=np.uint8).reshape(18, 24, 3)
    Image.fromarray(pixels).save(tmp_path / "tiny.png")
    shown = np.asarray(decoded(thumbnail(tmp_path / "tiny.png")))
    assert (shown == pixels.repeat(10, axis=0).repeat(10, axis=1)).all()


def test_photographs_are_reduced(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(256, size=(480, 640, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.png")
    uri = thumbnail(tmp_path / "photo.png")
    assert decoded(uri).size == (256, 192)
    assert len(uri) < 80_000
