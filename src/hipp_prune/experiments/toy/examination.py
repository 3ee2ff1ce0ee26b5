"""How well an embedded model does on questions, asked one by one as anybody would ask the stock model."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from hipp_prune.experiments.toy.families import LLAVA, ToyFamily
from hipp_prune.experiments.toy.pictures import image_processor
from hipp_prune.questions.question import Question

_BATCH = 100


@torch.no_grad()
def answers(model: Any, family: ToyFamily, tokenizer: Any, questions: Sequence[Question]) -> list[int]:
    """Index of the most likely allowed answer of each question, through the stock forward pass.

    Args:
        model: a stock model.
        family: how its prompts are written.
        tokenizer: with the model's vocabulary.
        questions: of any benchmark.
    """
    chosen = [0] * len(questions)
    for indices, ids in _equal_lengths(family, tokenizer, questions):
        some = [questions[index] for index in indices]
        logits = model(**_inputs(family, tokenizer, some, ids)).logits[:, -1]
        for index, question, row in zip(indices, some, logits, strict=True):
            allowed = tokenizer.convert_tokens_to_ids(list(question.answers))
            chosen[index] = int(row[allowed].argmax())
    return chosen


def _equal_lengths(
    family: ToyFamily, tokenizer: Any, questions: Sequence[Question]
) -> Iterator[tuple[list[int], list[list[int]]]]:
    """Batches of question indices and token ids that need no padding."""
    texts = [family.wrap(q.prompt, with_picture=bool(q.images)) for q in questions]
    encoded: list[list[int]] = tokenizer(texts)["input_ids"]
    alike: defaultdict[tuple[bool, int], list[int]] = defaultdict(list)
    for index, (question, ids) in enumerate(zip(questions, encoded, strict=True)):
        alike[bool(question.images), len(ids)].append(index)
    for indices in alike.values():
        for at in range(0, len(indices), _BATCH):
            batch = indices[at : at + _BATCH]
            yield batch, [encoded[index] for index in batch]


def _inputs(
    family: ToyFamily, tokenizer: Any, questions: Sequence[Question], ids: list[list[int]]
) -> dict[str, Tensor]:
    """Arguments of the stock forward pass."""
    inputs = {"input_ids": torch.tensor(ids)}
    paths = [path for question in questions for path in question.images]
    if paths:
        opened = [Image.open(path).convert("RGB") for path in paths]
        processed = image_processor(family)(opened, return_tensors="pt")
        inputs |= {name: torch.as_tensor(value) for name, value in processed.items()}
    if family is not LLAVA:
        patch = tokenizer.convert_tokens_to_ids(family.picture_token)
        inputs["mm_token_type_ids"] = (inputs["input_ids"] == patch).int()
    return inputs


def grades(questions: Sequence[Question], chosen: Sequence[int]) -> dict[str, float]:
    """POPE's balanced accuracy of each subset as ``pope/…``, and the accuracy of the multiple choice.

    Balanced accuracy is the mean of the accuracies on questions whose answer is Yes and is No. The multiple choice
    is given overall and for questions with a picture (IMG), with a hint (TXT) and with neither (NO).
    """
    right = [question.gold == choice for question, choice in zip(questions, chosen, strict=True)]
    groups: defaultdict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for question, good in zip(questions, right, strict=True):
        if question.benchmark == "pope":
            groups[f"pope/{question.subset}"][question.answer].append(good)
            continue
        groups["scienceqa"][""].append(good)
        for tag in question.tags & {"IMG", "TXT", "NO"}:
            groups[f"scienceqa/{tag}"][""].append(good)
    return {name: _mean([_mean(part) for part in parts.values()]) for name, parts in sorted(groups.items())}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
