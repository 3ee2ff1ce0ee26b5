"""The model card of a checkpoint: what was pruned, for which preference, what that saves, and how to load it.

A card is made from what lies in the folder. Scores are put between two marks, so that they can be renewed later
without touching what somebody has written around them.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from hipp_prune.checkpoints.configs import read_config_file
from hipp_prune.checkpoints.ledger import CARD_FILE, PLAN_FILE, PRUNED_SECTION, read_savings
from hipp_prune.errors import CheckpointError
from hipp_prune.files.markdown import markdown_code, markdown_list, markdown_text
from hipp_prune.files.replacing import clean
from hipp_prune.files.writing import write_text
from hipp_prune.models.uneven import DOWN_BIAS, KEY_VALUE_HEADS, RESIDUAL_WIDTH
from hipp_prune.plans.plan import Plan
from hipp_prune.plans.preference import Preference
from hipp_prune.plans.space import Ledger

_BEGIN, _END = "<!-- hipp-prune: scores -->", "<!-- hipp-prune: end of scores -->"
_DENOMINATORS = {
    "mlp": "prunable MLP parameters",
    "block": "parameters of the language blocks",
    "language": "parameters of the language model",
    "model": "parameters of the whole model",
    "flops": "FLOPs of the language model's forward pass",
    "latency": "its seconds",
}
_HEAD = """\
---
library_name: transformers
pipeline_tag: image-text-to-text
tags: [hipp-prune, pruning, structured-pruning]
---
"""

_VIDEO_FAMILIES: Collection[str] = import_module(
    "transformers.models.auto.video_processing_auto"
).VIDEO_PROCESSOR_MAPPING_NAMES
"""Model types whose stock processor takes videos. Its module is named by path: without torchvision, transformers puts a
placeholder in its place until something has imported it."""
_TORCHVISION = (
    "This family's `AutoProcessor` takes videos too, and asks for torchvision: install the one that belongs to your "
    "torch (`pip install torchvision`; without a GPU both with `--index-url https://download.pytorch.org/whl/cpu`). "
    "hipp-prune itself does without."
)


def write_card(folder: Path, name: str, remarks: Sequence[str] = ()) -> None:
    """Writes the card of a checkpoint that is otherwise complete.

    Args:
        folder: where it lies.
        name: its title.
        remarks: what was done to it after pruning, a paragraph each.

    Raises:
        CheckpointError: if a file of the checkpoint is damaged.
    """
    config = read_config_file(folder / "config.json")
    plan = Plan.load(folder / PLAN_FILE) if (folder / PLAN_FILE).is_file() else None
    savings, quantised = read_savings(folder), config.get("quantization_config")
    sections = [
        f"# {markdown_text(name)}",
        _what(config),
        *([] if savings is None else [PRUNED_SECTION, _how(plan, savings.notes), _ledger(savings.ledger)]),
        *([] if plan is None else [_blocks(plan)]),
        *([] if quantised is None else [_quantised(quantised)]),
        *remarks,
        "## Scores",
        f"{_BEGIN}\nNot measured yet.\n{_END}",
        "## How to load it",
        _loading(remote_code="auto_map" in config),
        *([_TORCHVISION] if config["model_type"] in _VIDEO_FAMILIES else []),
    ]
    (folder / CARD_FILE).write_text(_HEAD + "\n" + "\n\n".join(sections) + "\n", encoding="utf-8")


def write_scores(folder: Path, scores: str) -> None:
    """Puts scores into a checkpoint's card, in place of those that are there.

    Raises:
        CheckpointError: if there is no card with a place for them.
        RunError: if it cannot be written.
    """
    before, after = _around_scores(folder)
    clean(folder, CARD_FILE)
    write_text(folder / CARD_FILE, f"{before}{_BEGIN}\n{scores.strip()}\n{_END}{after}")


def check_card(folder: Path) -> None:
    """Makes sure that a checkpoint's card has a place for scores, before they are measured.

    Raises:
        CheckpointError: see ``write_scores``.
    """
    _around_scores(folder)


def _around_scores(folder: Path) -> tuple[str, str]:
    """What a card says before and after its scores."""
    path = folder / CARD_FILE
    text = path.read_bytes().decode(errors="replace") if path.is_file() else ""
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end and "\ufffd" not in text):
        raise CheckpointError(
            f"{path} has no place for scores ({_BEGIN} … {_END}); expected the card of a checkpoint that hipp-prune "
            "wrote, in UTF-8, so add these two lines or leave out --card"
        )
    return before, after


def _what(config: Mapping[str, Any]) -> str:
    """What kind of model it is, and in what it differs from a stock one."""
    text = config.get("text_config", config)
    differences = {
        "per_layer_config": "each with MLP neurons of its own number",
        KEY_VALUE_HEADS: "each with attention heads of its own number",
        DOWN_BIAS: "with biases of the down projections, which make up for what left",
        RESIDUAL_WIDTH: "with a sliced residual stream",
    }
    found = [what for setting, what in differences.items() if text.get(setting)]
    blocks = f"{text['num_hidden_layers']} language blocks" + (", " + ", ".join(found) if found else "")
    return (
        f"A {markdown_code(config['model_type'])} vision-language model of {blocks}, written by hipp-prune."
    )


def _how(plan: Plan | None, notes: Mapping[str, Any]) -> str:
    """The preference and where the plan comes from."""
    facts: dict[str, str | int | float] = (
        {} if plan is None else {"unit": plan.unit, "importance": plan.importance}
    )
    facts |= {key: value for key, value in notes.items() if isinstance(value, str | int | float)}
    lines = [] if plan is None or plan.preference is None else [_preference(plan.preference)]
    if plan is not None and (sentence := plan.asked_and_got) is not None:
        lines.append(sentence)
    return markdown_list([*lines, *(f"{key.replace('_', ' ')}: {value}" for key, value in facts.items())])


def _preference(preference: Preference) -> str:
    weights = asdict(preference)
    return "preference: " + ", ".join(f"{weight:.3g} {name}" for name, weight in weights.items())


def _ledger(ledger: Ledger) -> str:
    """What is saved on every denominator that is known, as a table."""
    rows = [
        f"| {_DENOMINATORS[name]} | {saved:.2%} |"
        for name, saved in asdict(ledger).items()
        if saved is not None
    ]
    return "\n".join(["| of | saved |", "|---|---:|", *rows])


def _blocks(plan: Plan) -> str:
    """The kept counts; the whole plan with its masks lies beside the card."""
    kept = " ".join(map(str, plan.kept))
    what = "neurons" if plan.unit == "coupled" else "rows (gate and up, down)"
    return f"Kept {what} of each block: {kept}. The plan with all its masks is `{PLAN_FILE}`."


def _quantised(settings: Mapping[str, Any]) -> str:
    """In which format the weights are, and which package reads it."""
    method = settings["quant_method"]
    return (
        "## Quantised\n\nThe matrices of the language blocks are stored in fewer bits, in the format of "
        f"{markdown_text(method)}; {markdown_code(f'pip install {method}')} to load it. Embeddings, head, projector "
        "and vision tower are as they were."
    )


def _loading(*, remote_code: bool) -> str:
    argument = ", trust_remote_code=True" if remote_code else ""
    why = (
        "The code beside the weights gives blocks their own widths (tested with transformers 4.57 and 5.23); "
        "`hipp-prune evaluate --model FOLDER` loads it without running that."
        if remote_code
        else "It is a stock model and needs no code of its own."
    )
    return (
        "```python\nfrom transformers import AutoModelForImageTextToText, AutoProcessor\n\n"
        f'model = AutoModelForImageTextToText.from_pretrained("FOLDER"{argument})\n'
        f'processor = AutoProcessor.from_pretrained("FOLDER")\n```\n\n{why}'
    )
