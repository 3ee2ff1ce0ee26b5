"""The verb that lists what can be pruned, and tries a model."""

from dataclasses import dataclass

from hipp_prune.stages.settings import LoadSettings


@dataclass(frozen=True, kw_only=True)
class Models:
    """List the embedded models and the families that are supported, or try one model.

    Example: hipp-prune models --check llava-hf/llava-1.5-7b-hf
    """

    check: str | None = None
    """A checkpoint folder or hub name: does once what a run relies on, as calibrate does before it starts."""
    loading: LoadSettings = LoadSettings()

    def run(self) -> None:
        """Calls ``stages.trial``, or prints two tables."""
        if self.check is None:
            _list()
        else:
            _try(self.check, self.loading)


def _list() -> None:
    from hipp_prune.models import SUPPORTED, TOYS
    from hipp_prune.report.terminal import console, print_table

    embedded = [("name", "what")]
    embedded += [(name, "trained by `hipp-prune toy train`, ships with the package") for name in TOYS]
    print_table("embedded", embedded)
    families = [("family", "model_type", "tested")]
    families += [(family.name, family.model_type, family.tested) for family in SUPPORTED.values()]
    print_table("supported, by path or hub name", families)
    console.print(
        "Any other image-text-to-text model of transformers loads if its language blocks have gate/up/down MLPs "
        "and its forward takes encoded images; models --check MODEL says what is missing.",
        highlight=False,
    )


def _try(model: str, loading: LoadSettings) -> None:
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
