"""The verbs that make the embedded world and the embedded models."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Union

import tyro

from hipp_prune.files.ranges import Seed
from hipp_prune.files.strict import check_settings


@dataclass(frozen=True, kw_only=True)
class ToyMake:
    """Draw the embedded world and write its questions in the benchmarks' official file formats.

    Example: hipp-prune toy make --out toyworld
    """

    out: Path
    """Folder to make; use it as --questions toyworld:FOLDER."""
    seed: Seed = 0
    """Of scenes, pictures and questions, ≥ 0."""

    def __post_init__(self) -> None:
        check_settings(self)

    def run(self) -> object:
        """Calls ``toyworld.write``."""
        from hipp_prune.questions import toyworld
        from hipp_prune.report.terminal import next_steps, say

        root = toyworld.write(self.out, seed=self.seed)
        say(f"written: {root}")
        next_steps(f"hipp-prune evaluate --model toy-llava --questions toyworld:{root}")
        return {"questions": root}


@dataclass(frozen=True, kw_only=True)
class ToyTrain:
    """Train an embedded model from nothing, as the shipped ones were.

    Example: hipp-prune toy train --model toy-llava --out my-toy-llava
    """

    model: Literal["toy-llava", "toy-qwen2.5-vl"]
    """The embedded model to train again."""
    out: Path
    """Checkpoint folder to make."""
    log: Path | None = None
    """Where the training log goes; OUT/train.log by default."""
    seed: Seed = 0
    """Of data and weights."""

    def __post_init__(self) -> None:
        check_settings(self)

    def run(self) -> object:
        """Calls ``toy.train``."""
        from hipp_prune.experiments.toy.train import train
        from hipp_prune.files.replacing import check_folder
        from hipp_prune.files.writing import check_file
        from hipp_prune.report.terminal import next_steps, notes

        check_folder(self.out, force=False)
        if self.log is not None:
            check_file(self.log, force=False)
        train(
            self.model,
            self.out,
            seed=self.seed,
            log=self.log,
            progress=lambda line: notes.print(line, highlight=False),
        )
        next_steps(f"hipp-prune evaluate --model {self.out} --questions toyworld")
        return {"model": self.out}


@dataclass(frozen=True, kw_only=True)
class Toy:
    """Rebuild the embedded data and models from nothing."""

    action: Union[  # noqa: UP007 (tyro reads the annotations at run time)
        Annotated[ToyMake, tyro.conf.subcommand("make", prefix_name=False)],
        Annotated[ToyTrain, tyro.conf.subcommand("train", prefix_name=False)],
    ]
    """The world with its questions, or a model that is trained on it."""

    def run(self) -> object:
        """Runs what was chosen."""
        return self.action.run()
