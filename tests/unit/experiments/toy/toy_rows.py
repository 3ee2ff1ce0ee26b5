"""Packed rows of every task, for tests."""

from itertools import cycle, islice

from hipp_prune.experiments.toy import tokenizer
from hipp_prune.experiments.toy.curriculum import TASKS, Gallery, Teacher, gallery
from hipp_prune.experiments.toy.families import ToyFamily
from hipp_prune.experiments.toy.packing import PackedRow, Packer
from hipp_prune.questions.toyworld.scenes import Scene, scenes


def some_scenes(count: int = 12) -> list[Scene]:
    return list(islice(scenes(5, "train"), count))


def some_gallery(*, rendered: bool = False) -> Gallery:
    return gallery(some_scenes(), rendered=rendered)


def make_packer(family: ToyFamily) -> Packer:
    return Packer(family, tokenizer.build(family))


def some_rows(packer: Packer, count: int = 6, *, rendered: bool = False) -> list[PackedRow]:
    """Rows of every task in turn."""
    teacher, taught = Teacher(packer, "train", 0), some_gallery(rendered=rendered)
    return [teacher.row(task, taught) for task in islice(cycle(TASKS), count)]
