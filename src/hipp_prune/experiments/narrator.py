"""Lines with the time since the beginning, for a log and for whoever watches."""

import time
from pathlib import Path

from hipp_prune.files.progress import Say


class Narrator:
    """Adds timed lines to a file, and tells them a callback.

    Args:
        log: the file; its folder is made.
        say: told every line.
    """

    def __init__(self, log: Path, say: Say | None) -> None:
        self._log, self._say, self._begin = log, say, time.perf_counter()
        log.parent.mkdir(parents=True, exist_ok=True)

    def __call__(self, text: str) -> None:
        """Says a line, the minutes since the beginning before it."""
        line = f"{(time.perf_counter() - self._begin) / 60:6.2f} min  {text}"
        with self._log.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        if self._say is not None:
            self._say(line)
