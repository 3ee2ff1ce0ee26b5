"""The verb that writes a page to choose a plan in."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True, kw_only=True)
class Explore:
    """Write a page in which one drags a preference and sees the plan at once: offline, one file.

    Examples: hipp-prune explore run; hipp-prune explore run --out explorer.html
    """

    run_directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run directory that was searched."""
    out: Path | None = None
    """The page; RUN/explorer.html by default."""
    force: bool = False
    """Replace another page that is there."""

    def run(self) -> object:
        """Calls ``stages.explore``."""
        from hipp_prune.report.terminal import say
        from hipp_prune.stages.explore import explore

        page = explore(self.run_directory, self.out, force=self.force)
        say(f"explorer: {page.resolve().as_uri()}")
        return {"explorer": page}
