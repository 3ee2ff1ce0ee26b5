"""What lmms-eval would give for a tiny task: its documents, and what it makes of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.tiny import tiny_image

Document = Mapping[str, Any]


@dataclass(frozen=True)
class TinyTask:
    """A task in lmms-eval's own terms."""

    eval_docs: Sequence[Document]

    def doc_to_text(self, document: Document) -> Any:
        return document["text"]

    def doc_to_visual(self, document: Document) -> Any:
        return document["visual"]

    def doc_to_target(self, document: Document) -> Any:
        return document["target"]


def tiny_task(name: str, include: str | None = None) -> TinyTask:
    """Two questions about each of six pictures: one for yes or no, one for a letter."""
    documents: list[Document] = []
    for number in range(6):
        visual = [tiny_image(number)]
        yes_no = {"text": f"Is it {number}?", "target": ("yes", "no")[number % 2], "visual": visual}
        options = "Which is it?\nA. one\nB. two\nC. three\nAnswer with the option's letter."
        documents += [yes_no, {"text": options, "target": "ABC"[number % 3], "visual": visual}]
    return TinyTask(documents)
