"""The end of ``auto``: the command that asks both models about a question's pictures."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from hipp_prune.stages.summary import _ask


@dataclass
class Given:
    """What the summary reads of an answer."""

    images: tuple[str, ...]
    given: str = "No"
    gold: str = "Yes"
    prompt: str = "Alike?\nAnswer."


@pytest.mark.parametrize(
    ("images", "words"),
    [(("a.png",), "--image a.png"), (("a.png", "b c.png"), "--image a.png --image 'b c.png' --together")],
)
def test_every_picture_of_a_question_is_shown(images: tuple[str, ...], words: str, tmp_path: Any) -> None:
    pipeline: Any = SimpleNamespace(model="dense", loading=SimpleNamespace(trust_remote_code=False))
    dense, pruned = (
        SimpleNamespace(answers=[Given(images=()), Given(images=images, given=given)])
        for given in ("Yes", "No")
    )
    (line,) = _ask(pipeline, tmp_path, dense, pruned)  # type: ignore[arg-type]
    assert line == f"hipp-prune ask {tmp_path} 'Alike?' --dense dense {words}"
    textual: Any = SimpleNamespace(answers=[Given(images=())])
    assert _ask(pipeline, tmp_path, textual, textual) == []
