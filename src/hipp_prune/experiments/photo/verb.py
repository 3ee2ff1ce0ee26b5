"""The verb that builds a vision-language model on a real pretrained language model."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from hipp_prune.experiments.photo.settings import PhotoSettings
from hipp_prune.files.strict import check_settings


@dataclass(frozen=True, kw_only=True)
class Photo:
    """Build a vision-language model on SmolLM2-135M, with questions about pictures that it was not taught.

    Examples: hipp-prune photo build --out photo-vlm;
    hipp-prune photo build --rung photographs --photos val2017 --objects instances_val2017.json --out photo-vlm
    """

    action: tyro.conf.Positional[Literal["build"]]
    """Makes what is missing in OUT, and goes on with a training that was cut off."""
    out: Path
    """Folder of the models and their question files."""
    settings: PhotoSettings = PhotoSettings()

    def __post_init__(self) -> None:
        check_settings(self)

    def run(self) -> object:
        """Calls ``photo.build_rung``.

        Raises:
            InputError: if an optional package is not installed.
        """
        from hipp_prune.experiments.photo.build import asked_of, build_rung
        from hipp_prune.report.terminal import next_steps, progress_bar, remark

        with progress_bar("looking") as encoding, progress_bar("learning") as progress:
            model = build_rung(self.out, self.settings, say=remark, encoding=encoding, progress=progress)
        questions = asked_of(self.out, self.settings)
        next_steps(shlex.join(["hipp-prune", "evaluate", "--model", str(model), "--questions", *questions]))
        return {"model": model, "questions": questions}
