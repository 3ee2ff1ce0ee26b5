"""The verb that says what something is, and what comes next."""

from dataclasses import dataclass
from typing import Annotated

import tyro


@dataclass(frozen=True, kw_only=True)
class ShowState:
    """Say what a run, a checkpoint, a plan, a recipe or results are, how far it got, and what comes next.

    Examples: hipp-prune show run; hipp-prune show smaller; hipp-prune show plan.json; hipp-prune show run/recipe.toml
    """

    path: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="PATH")]
    """What a command wrote, or a model."""

    def run(self) -> object:
        """Calls ``stages.show``."""
        from hipp_prune.report.terminal import next_steps, print_facts
        from hipp_prune.stages.show import show

        shown = show(self.path)
        print_facts(f"{self.path} is {shown.what}", shown.facts)
        if shown.next:
            next_steps(*shown.next)
        return shown
