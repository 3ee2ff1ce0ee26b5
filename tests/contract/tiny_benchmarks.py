"""A tiny official folder of every benchmark, written by hand in its format: invented questions, random pictures."""

import json
from collections.abc import Callable
from itertools import product
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


def write_hallusionbench(folder: Path) -> str:
    """Three sets of either category: two questions about an original and an edited picture, or without and with one."""
    pictures = folder / "hallusion_bench"
    records = []
    for category, number, figure, (question, truths) in product(
        ("VD", "VS"), range(3), range(2), enumerate(((1, 0), (0, 1)))
    ):
        name = f"{category}/chart/{number}_{figure}.png"
        visual = figure + 1 if category == "VD" else 2 * figure
        if visual:
            (pictures / name).parent.mkdir(parents=True, exist_ok=True)
            tiny_image(2 * number + figure).save(pictures / name)
        record = {
            "category": category,
            "subcategory": "chart",
            "visual_input": visual,
            "set_id": number,
            "figure_id": figure,
            "question_id": question,
            "gt_answer": truths[figure],
        }
        records.append(
            {
                **{key: str(value) for key, value in record.items()},
                "question": f"Does the chart show more than {question} {THINGS[number]}s?",
                "filename": f"./{name}" if visual else None,
            }
        )
    (folder / "HallusionBench.json").write_text(json.dumps(records))
    return f"hallusionbench:{folder}"


def write_dash_b(folder: Path) -> str:
    """Two objects of one data set and one of another: three pictures without, and three with each."""
    listed = {"coco": THINGS[:2], "objects_365_100": THINGS[2:3]}
    for side, start in (("neg", 0), ("pos", 3)):
        content: dict[str, dict[str, list[str]]] = {}
        for data_set, objects in listed.items():
            for shown in objects:
                place = folder / side / data_set / shown
                place.mkdir(parents=True)
                for number in range(start, start + 3):
                    tiny_image(number).save(place / f"{number}.png")
                content.setdefault(data_set, {})[shown] = [f"{start + each}.png" for each in range(3)]
        (folder / f"dash_benchmark_{side}.json").write_text(json.dumps(content))
    return f"dash_b:{folder}"


def write_mme(folder: Path) -> str:
    """A subtask of either kind whose texts lie beside the pictures, and one that keeps them apart."""
    for task, parts in (
        ("count", ("", "")),
        ("code_reasoning", ("", "")),
        ("scene", ("images", "questions_answers_YN")),
    ):
        pictures, texts = (folder / task / part for part in parts)
        texts.mkdir(parents=True, exist_ok=True)
        pictures.mkdir(parents=True, exist_ok=True)
        for number in range(4):
            tiny_image(number).save(pictures / f"{number}.png")
            lines = [
                f"Is there a {THINGS[(number + shift) % len(THINGS)]} in {task}? Please answer yes or no.\t{answer}\n"
                for shift, answer in enumerate(("Yes", "No"))
            ]
            (texts / f"{number}.txt").write_text("".join(lines))
    return f"mme:{folder}"


def write_lmms_eval(_folder: Path) -> str:
    """Nothing: lmms-eval has its data; ``tiny_task`` stands for it."""
    return "lmms-eval:tiny"


def write_lmms_eval_robustness(_folder: Path) -> str:
    """Nothing, as ``write_lmms_eval``."""
    return "lmms-eval:tiny,role=robustness"


def write_agreement(folder: Path) -> str:
    """The dense model's answers to two prompts about each picture, of one and of several words; one is cut."""
    pictures = write_pictures(folder / "images")
    write_lines(
        folder / "agreement.jsonl",
        [
            {
                "id": f"{picture}-{prompt}",
                "prompt": prompt,
                "answer": ("a red cup", "Yes", "the green square is above")[(number + len(prompt)) % 3],
                "image": str(folder / "images" / picture),
                "cut": number == 1,
            }
            for number, picture in enumerate(pictures)
            for prompt in ("Describe the image in one sentence.", "What is it?")
        ],
    )
    return f"agreement:{folder / 'agreement.jsonl'}"


def write_agreement_objects(folder: Path) -> str:
    """An object asserted and one denied in each picture."""
    pictures = write_pictures(folder / "images")
    records = [
        {
            "id": f"{picture}/{THINGS[(number + part) % len(THINGS)]}",
            "image": str(folder / "images" / picture),
            "object": THINGS[(number + part) % len(THINGS)],
            "answer": ("yes", "no")[part],
        }
        for number, picture in enumerate(pictures)
        for part in range(2)
    ]
    write_lines(folder / "objects.jsonl", records)
    return f"agreement-objects:{folder / 'objects.jsonl'}"


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
    "agreement": write_agreement,
    "agreement-objects": write_agreement_objects,
    "amber": write_amber,
    "dash_b": write_dash_b,
    "hallusionbench": write_hallusionbench,
    "lmms-eval": write_lmms_eval,
    "lmms-eval-robustness": write_lmms_eval_robustness,
    "mme": write_mme,
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
