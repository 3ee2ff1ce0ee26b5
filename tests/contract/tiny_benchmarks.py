"""A tiny official folder of every benchmark, written by hand in its format: invented questions, random pictures."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.tiny import tiny_image

SUBSETS = ("random", "popular", "adversarial")
THINGS = ("cup", "chair", "dog", "cat", "car", "tree")
PICTURES = 6


def write_pictures(folder: Path) -> list[str]:
    """Six pictures; their file names."""
    folder.mkdir(parents=True)
    names = [f"{number}.png" for number in range(PICTURES)]
    for number, name in enumerate(names):
        tiny_image(number).save(folder / name)
    return names


def write_lines(path: Path, records: list[dict[str, Any]]) -> None:
    """A record a line."""
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def write_pope(folder: Path, edition: str = "pope") -> str:
    """Three subsets of twelve questions, half of them yes."""
    pictures = write_pictures(folder / "images")
    for subset in SUBSETS:
        records = [
            {
                "question_id": 2 * number + part + 1,
                "image": picture,
                "text": f"Is there a {THINGS[(number + part) % len(THINGS)]} in the image?",
                "label": ("yes", "no")[part],
            }
            for number, picture in enumerate(pictures)
            for part in range(2)
        ]
        write_lines(folder / f"coco_{edition}_{subset}.json", records)
    return f"{edition}:{folder}"


def write_repope(folder: Path) -> str:
    """POPE's questions under RePOPE's file names."""
    return write_pope(folder, "repope")


def write_scienceqa(folder: Path) -> str:
    """Eighteen problems of two or three choices, every third with a picture."""
    problems = {}
    for pid in range(1, 19):
        image = "image.png" if pid % 3 == 0 else None
        if image:
            (folder / "images" / "test" / str(pid)).mkdir(parents=True)
            tiny_image(pid).save(folder / "images" / "test" / str(pid) / image)
        problems[str(pid)] = {
            "question": f"Which of these is number {pid}?",
            "choices": ["one", "two", "three"][: 2 + pid % 2],
            "answer": pid % 2,
            "hint": f"The hint has number {pid}." if pid % 3 == 1 else "",
            "image": image,
            "grade": f"grade{1 + pid % 12}",
            "subject": ("natural science", "social science", "language science")[pid % 3],
            "split": "test",
        }
    (folder / "problems.json").write_text(json.dumps(problems))
    (folder / "pid_splits.json").write_text(json.dumps({"test": list(problems)}))
    return f"scienceqa:{folder}"


def write_amber(folder: Path) -> str:
    """A question of every type and truth about each picture; the descriptions come first, as in the official files."""
    pictures = write_pictures(folder / "image")
    kinds = [
        ("discriminative-attribute-state", "yes", "Is the {} red in this image?"),
        ("discriminative-attribute-state", "no", "Is the {} blue in this image?"),
        ("discriminative-attribute-number", "yes", "Is there one {} in this image?"),
        ("discriminative-attribute-number", "no", "Are there two {}s in this image?"),
        ("discriminative-attribute-action", "yes", "Does the {} stand in this image?"),
        ("discriminative-attribute-action", "no", "Does the {} run in this image?"),
        ("discriminative-hallucination", "no", "Is there a {} in this image?"),
        ("discriminative-relation", "yes", "Is there direct contact between the {} and table?"),
        ("relation", "no", "Is there direct contact between the {} and person?"),
    ]
    annotations: list[dict[str, Any]] = [
        {"id": number + 1, "type": "generative", "truth": ["tree"], "hallu": ["dog"]}
        for number in range(PICTURES)
    ]
    queries = []
    for kind, truth, query in kinds:
        for number, picture in enumerate(pictures):
            identifier = len(annotations) + 1
            queries.append({"id": identifier, "image": picture, "query": query.format(THINGS[number])})
            annotations.append({"id": identifier, "type": kind, "truth": truth})
    (folder / "query").mkdir()
    (folder / "query" / "query_discriminative.json").write_text(json.dumps(queries, indent=4))
    (folder / "annotations.json").write_text(json.dumps(annotations, indent=4))
    return f"amber:{folder}"


def write_yes_no(folder: Path, name: str = "yes-no") -> str:
    """Two questions about each picture, one of them yes."""
    records = [
        {
            "image": f"images/{picture}",
            "question": f"Is there a {THINGS[number]}, {answer}?",
            "answer": answer,
        }
        for number, picture in enumerate(write_pictures(folder / "images"))
        for answer in ("yes", "no")
    ]
    write_lines(folder / f"{name}.jsonl", records)
    return f"{name}:{folder / name}.jsonl"


def write_choices(folder: Path, name: str = "choices") -> str:
    """Two questions about each picture, of two and of three choices."""
    records = [
        {
            "image": f"images/{picture}",
            "question": f"What is number {number}?",
            "choices": list(THINGS[: 2 + part]),
            "answer": THINGS[part],
        }
        for number, picture in enumerate(write_pictures(folder / "images"))
        for part in range(2)
    ]
    write_lines(folder / f"{name}.jsonl", records)
    return f"{name}:{folder / name}.jsonl"


def write_short_answers(folder: Path, name: str = "short-answers") -> str:
    """Two questions about each picture, answered in one word and in two."""
    records = [
        {
            "image": f"images/{picture}",
            "question": f"What is number {number}, {part}?",
            "answer": ("a " * part) + THINGS[number],
        }
        for number, picture in enumerate(write_pictures(folder / "images"))
        for part in range(2)
    ]
    write_lines(folder / f"{name}.jsonl", records)
    return f"{name}:{folder / name}.jsonl"


def write_short_answers_robustness(folder: Path) -> str:
    """Short answers that count for robustness."""
    return write_short_answers(folder, "short-answers-robustness")


def write_yes_no_utility(folder: Path) -> str:
    """Yes/no questions that count for utility."""
    return write_yes_no(folder, "yes-no-utility")


def write_choices_robustness(folder: Path) -> str:
    """Multiple choice that counts for robustness."""
    return write_choices(folder, "choices-robustness")


WRITERS: dict[str, Callable[[Path], str]] = {
    "amber": write_amber,
    "choices": write_choices,
    "choices-robustness": write_choices_robustness,
    "pope": write_pope,
    "repope": write_repope,
    "scienceqa": write_scienceqa,
    "short-answers": write_short_answers,
    "short-answers-robustness": write_short_answers_robustness,
    "yes-no": write_yes_no,
    "yes-no-utility": write_yes_no_utility,
}
"""By ``Benchmark.name``: writes the tiny folder into an empty one and returns the source that names it."""
