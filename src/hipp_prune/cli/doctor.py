"""The verb that looks at the installation and the machine."""

import shlex
from dataclasses import dataclass
from typing import Annotated

import tyro

from hipp_prune.cli.documents import Ended
from hipp_prune.stages.settings import LoadSettings


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """Look at the installation, the machine and a model: what is missing, and how long each stage takes here.

    Ends with status 1 where something is missing that would stop the work.

    Examples: hipp-prune doctor; hipp-prune doctor toy-llava
    """

    model: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="MODEL")] = None
    """A checkpoint folder, a hub name or an embedded model; its weights are not opened."""
    loading: LoadSettings = LoadSettings()

    def run(self) -> object:
        """Calls ``stages.doctor``.

        Raises:
            Ended: with status 1 where something is missing.
        """
        from hipp_prune.report.terminal import next_steps, print_facts, print_outlook, say
        from hipp_prune.stages.doctor import doctor

        found = doctor(self.model, self.loading)
        print_facts("found here", [(each.name, each.found) for each in found.findings])
        if found.outlook is not None:
            print_outlook(found.outlook.table(), found.outlook.heading, found.outlook.remarks)
        if not found.healthy:
            for each in found.findings:
                if each.missing:
                    say(f"missing: {each.name}: {each.found}")
            raise Ended(found, 1)
        say("nothing is missing")
        model = "toy-llava" if self.model is None else self.model
        next_steps(f"hipp-prune models --check {shlex.quote(model)}")
        return found
