"""The verb that looks for damage."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True, kw_only=True)
class Check:
    """Compare every file of a run, a comparison or a checkpoint with what was written: sizes and checksums.

    Examples: hipp-prune check run; hipp-prune check smaller --accept
    """

    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FOLDER")]
    """A folder that hipp-prune wrote."""
    accept: bool = False
    """Take the files as they are now for what was written, after you have changed one on purpose."""

    def run(self) -> object:
        """Calls ``stages.check``.

        Raises:
            RunError: if a file is missing or has changed.
        """
        from hipp_prune.errors import RunError
        from hipp_prune.report.terminal import say
        from hipp_prune.stages.check import accept, check

        accepted = accept(self.folder) if self.accept else []
        for path in accepted:
            say(f"taken as it is now: {path}")
        number, found = check(self.folder)
        if found:
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            raise RunError(f"{found[0]}{more}; bring it back from a copy, or make it again")
        say(f"{self.folder}: {number} files, all as they were written")
        return {"files": number, "accepted": accepted}
