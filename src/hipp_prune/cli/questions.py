"""The verb that makes questions of annotated pictures."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from hipp_prune.files.ranges import Count, Seed
from hipp_prune.files.strict import check_settings


@dataclass(frozen=True, kw_only=True)
class MakeQuestions:
    """Make question files of annotated pictures: POPE's random, popular and adversarial polls.

    Example: hipp-prune questions pope --annotations instances_val2017.json --images val2017 --out my-pope
    """

    procedure: tyro.conf.Positional[Literal["pope"]]
    """Whose questions: POPE's, whether an object is in the picture."""
    annotations: Path
    """What is in each picture: {image, objects} records as JSON lines or an array, or COCO's instances_*.json."""
    images: Path
    """Folder with the pictures; annotated pictures that are not there are left out."""
    out: Path
    """Folder that receives NAME_pope_random.json, NAME_pope_popular.json and NAME_pope_adversarial.json."""
    name: str = "coco"
    """What the files' names begin with."""
    pictures: Count | None = None
    """Pictures to draw of those with at least three objects; all of them by default (the paper's POPE has 500)."""
    seed: Seed = 0
    """Of the pictures' order and of the random negatives, ≥ 0."""
    force: bool = False
    """Replace files that are there already."""

    def __post_init__(self) -> None:
        check_settings(self)

    def run(self) -> object:
        """Calls ``questions.poll_making``."""
        from hipp_prune.files.locking import sole_writer
        from hipp_prune.files.writing import check_file, write_output
        from hipp_prune.questions.annotations import read_annotations
        from hipp_prune.questions.benchmarks.pope import SUBSETS
        from hipp_prune.questions.poll_making import file_name, file_text, make_polls, with_files
        from hipp_prune.report.terminal import next_steps, remark, say

        places = {subset: self.out / file_name(self.name, subset) for subset in SUBSETS}
        annotated = read_annotations(self.annotations)
        there = with_files(annotated, self.images)
        if len(there) < len(annotated):
            missing = f"{len(annotated) - len(there):,} of {len(annotated):,}"
            remark(f"left out {missing} annotated pictures, which are not in {self.images}")
        polls = make_polls(there, count=self.pictures, seed=self.seed)
        texts = {place: file_text(polls[subset]) for subset, place in places.items()}
        with sole_writer(self.out):
            for place, text in texts.items():
                if not place.is_file() or place.read_bytes() != text.encode():
                    check_file(place, force=self.force)
            for place, text in texts.items():
                write_output(place, text, force=self.force)
        for subset, place in places.items():
            say(f"written: {place} ({len(polls[subset]):,} questions)")
        next_steps(
            f"hipp-prune evaluate --model MODEL --questions pope:{self.out},images={self.images} --split all"
        )
        return {"written": {places[subset]: len(polls[subset]) for subset in places}}
