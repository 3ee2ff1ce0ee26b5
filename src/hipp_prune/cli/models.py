"""The verb that lists what can be pruned, and tries a model."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hipp_prune.stages.settings import LoadSettings

if TYPE_CHECKING:
    from hipp_prune.stages.trial import Trial


@dataclass(frozen=True, kw_only=True)
class Models:
    """List the embedded models and the families that are supported, or try one model.

    Example: hipp-prune models --check llava-hf/llava-1.5-7b-hf
    """

    check: str | None = None
    """A checkpoint folder or hub name: does once what a run relies on, as calibrate does before it starts."""
    loading: LoadSettings = LoadSettings()

    def run(self) -> object:
        """Calls ``stages.trial``, or prints two tables."""
        return _list() if self.check is None else _try(self.check, self.loading)


def _list() -> object:
    from hipp_prune.models.loading import TOYS
    from hipp_prune.models.tried import tried_families
    from hipp_prune.report.terminal import console, print_table

    embedded = [("name", "what")]
    embedded += [(name, "trained by `hipp-prune toy train`, ships with the package") for name in TOYS]
    print_table("embedded", embedded)
    found = tried_families()
    for title, standing in (("tested", "tested"), ("work by discovery", "by discovery")):
        rows = [("family", "model_type", "not possible")]
        rows += [
            (each.name, each.model_type, ", ".join(each.cannot) or "-")
            for each in found
            if each.standing == standing
        ]
        print_table(title, rows)
    refused = [("model_type", "why")]
    refused += [(each.model_type, each.reason) for each in found if each.standing == "refused"]
    print_table("refused", refused)
    console.print(
        "Any other image-text-to-text model of transformers is taken by its structure; models --check MODEL tells what "
        "is missing. Of what a family could do (packing, llm-pruner's heads, slicegpt, exports) the tables say what it "
        "cannot; docs/families.md has them side by side.",
        highlight=False,
    )
    return {"embedded": TOYS, "families": found}


def _try(model: str, loading: LoadSettings) -> "Trial":
    from hipp_prune.checkpoints.elastic import plan_folders
    from hipp_prune.models.loading import local_folder
    from hipp_prune.report.terminal import console, print_table
    from hipp_prune.stages.loading import load
    from hipp_prune.stages.trial import try_model

    trial = try_model(load(model, loading), model)
    layout = "as transformers' processor lays it out"
    rows = [
        ("tried", "found"),
        ("model type", trial.family),
        ("a picture of 320 × 240", f"{trial.image_tokens} tokens"),
        ("a prompt's tokens", layout if trial.unchecked is None else f"not compared: {trial.unchecked}"),
        ("answers", "as the stock model gives them"),
        (
            "questions about one picture",
            "share it" if trial.packs else "asked one by one, which takes longer",
        ),
        ("a picture of 448 × 28", "encoded" if trial.flat_pictures else "refused by its tower"),
        ("two blocks pruned and written", "opened by transformers, same answers as masked"),
    ]
    rows += [("plan", str(folder)) for folder in plan_folders(local_folder(model))]
    print_table(model, rows)
    console.print(f"{model} can be pruned", highlight=False)
    return trial
