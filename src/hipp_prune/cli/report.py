"""The verb that writes a run's page."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True, kw_only=True)
class Report:
    """Write RUN/report.html: one page with the table, the curves, the plans, the front and examples.

    Example: hipp-prune report run
    """

    run_directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run directory that calibrate made, searched or not."""
    force: bool = False
    """Replace a page that somebody changed."""

    def run(self) -> object:
        """Calls ``stages.report``."""
        from hipp_prune.report.terminal import say
        from hipp_prune.stages.report import report

        page = report(self.run_directory, force=self.force)
        say(f"report: {page.resolve().as_uri()}")
        return {"report": page}
