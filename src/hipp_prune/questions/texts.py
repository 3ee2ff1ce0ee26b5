"""Plain texts that are no questions: what compensation is to keep beside the task, read, checked and named.

A file is one text, or as ``.jsonl`` a text a line (``{"text": …}``). Calibration reads windows of it, drawn by the
run's seed, evenly over all that the files hold.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hipp_prune.errors import QuestionError
from hipp_prune.files.reading import read_text
from hipp_prune.questions.records import read_records

_WINDOW = 1024
"""Characters of a window: about 256 tokens of English."""
_WORD = 64
"""Characters that may be passed over to begin with a word."""


@dataclass(frozen=True, kw_only=True)
class TextRecord:
    """A line of a ``.jsonl`` file; other keys are passed over."""

    text: str


def read_general_text(files: Sequence[Path]) -> str:
    """All texts of the files, in their order, blank lines between them.

    Raises:
        QuestionError: if a file is missing, no UTF-8 text, holds a NUL byte or no text at all, or a line of a
            ``.jsonl`` file has no ``text``.
    """
    return "\n\n".join(_read(path) for path in files)


def _read(path: Path) -> str:
    remedy = "give --general-text plain text in UTF-8, or .jsonl lines with a `text`"
    if path.suffix == ".jsonl":
        text = "\n\n".join(record.text for _, record in read_records(path, TextRecord, remedy="correct it"))
    else:
        text = read_text(path, remedy=remedy, error=QuestionError)
    if "\0" in text:
        raise QuestionError(f"{path}: expected text, found a NUL byte, as binary files have it; {remedy}")
    if not text.strip():
        raise QuestionError(f"{path}: expected text, found none; {remedy}")
    return text


def fingerprint_text(text: str) -> str:
    """16 hex digits over what ``read_general_text`` returned."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def draw_windows(text: str, count: int, *, seed: int) -> tuple[str, ...]:
    """Windows of a thousand characters, one somewhere in each of ``count`` equal stretches of the text.

    Args:
        text: what to draw from.
        count: windows, ≥ 1; fewer where the text would be read twice.
        seed: of the draw.
    """
    count = max(1, min(count, len(text) // _WINDOW))
    stretch = len(text) / count
    room = max(stretch - _WINDOW, 0.0)
    starts = np.arange(count) * stretch + np.random.default_rng(seed).uniform(0, room, size=count)
    return tuple(_window(text, int(start)) for start in starts)


def _window(text: str, start: int) -> str:
    """The window that begins at a place, or at the next word."""
    window = text[start : start + _WINDOW]
    word = 0 if start == 0 else next((at for at, sign in enumerate(window[:_WORD]) if sign.isspace()), 0)
    return window[word:].strip() or window
