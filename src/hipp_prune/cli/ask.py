"""The verb that lets the dense and the pruned model answer side by side."""

import shlex
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated

import tyro

from hipp_prune.files.ranges import Count
from hipp_prune.files.strict import check_settings
from hipp_prune.stages.settings import LoadSettings


@dataclass(frozen=True, kw_only=True)
class Ask:
    """Ask a checkpoint about pictures in your own words, beside the dense model if it is named.

    Objects of COCO's 80 categories that only the pruned model names are marked: ‹dog›.

    Example: hipp-prune ask smaller --dense toy-llava --image photo.jpg "What do you see?"
    """

    checkpoint: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="CKPT")]
    """A checkpoint that prune wrote, or any other model."""
    prompts: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="QUESTION")]
    """What is asked of every picture."""
    image: tyro.conf.UseAppendAction[tuple[Path, ...]]
    """A picture; may be repeated, and each is asked about in turn."""
    together: bool = False
    """Ask about all pictures at once, in their order; not every family can."""
    dense: str | None = None
    """The model that the checkpoint was pruned from."""
    max_tokens: Count = 64
    """Of each answer, at most."""
    loading: LoadSettings = LoadSettings()

    def __post_init__(self) -> None:
        check_settings(self)

    def run(self) -> object:
        """Calls ``stages.ask`` for one model after the other."""
        from hipp_prune.report.side_by_side import print_beside
        from hipp_prune.report.terminal import next_steps, say
        from hipp_prune.stages.ask import ask, pruned_from

        models = [self.checkpoint] if self.dense is None else [self.dense, self.checkpoint]
        said = [
            ask(
                model,
                self.prompts,
                self.image,
                together=self.together,
                max_tokens=self.max_tokens,
                loading=self.loading,
            )
            for model in models
        ]
        shown = [", ".join(map(str, self.image))] if self.together else self.image
        asked = list(zip(product(shown, self.prompts), zip(*said, strict=True), strict=True))
        for (images, prompt), answers in asked:
            say(f"{images}: {prompt}")
            if len(answers) == 1:
                say(answers[0])
            else:
                print_beside(*answers)
        if self.dense is None and (dense := pruned_from(self.checkpoint)) is not None:
            words = ["ask", self.checkpoint, *self.prompts, "--dense", dense]
            words += [word for image in self.image for word in ("--image", str(image))]
            words += ["--together"] * self.together
            next_steps(shlex.join(["hipp-prune", *words]))
        return {
            "answers": [
                {"image": images, "prompt": prompt, "answers": dict(zip(models, answers, strict=True))}
                for (images, prompt), answers in asked
            ]
        }
