"""The verb that trains the policy."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import tyro

from hipp_prune.cli.documents import Ended
from hipp_prune.files.watching import Log
from hipp_prune.search.methods import METHODS
from hipp_prune.search.settings import SearchChoices, SearchResearch, SearchSettings
from hipp_prune.stages.settings import AskSettings, CalibrateSettings, LoadSettings

if TYPE_CHECKING:
    from hipp_prune.stages.outlook import Outlook

GroupT = TypeVar("GroupT")


@dataclass(frozen=True, kw_only=True)
class Search:
    """Train the policy: once a model, afterwards every preference is a query of milliseconds.

    Interrupted or killed, it goes on from its last evaluation when started again.

    Example: hipp-prune search run --evaluations 800
    """

    run_directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run directory that calibrate made."""
    force: bool = False
    """Throw away an earlier search with other settings."""
    dry_run: bool = False
    """Say how long this and later stages take here, in how much memory, and what would be refused; do nothing."""
    skip_bad: bool = False
    """Leave out (and count) broken questions and pictures instead of stopping."""
    log: Log = "auto"
    """What can be watched meanwhile, `tensorboard --logdir RUN`; auto: that, where the package is installed."""
    search: SearchChoices = SearchChoices()
    asking: AskSettings = AskSettings()
    loading: LoadSettings = LoadSettings()
    research: SearchResearch = SearchResearch()

    def __post_init__(self) -> None:
        _ = self.settings  # making them checks both groups together

    @classmethod
    def preset(cls, words: Sequence[str]) -> "Search":
        """A method's settings, as the defaults that single flags then override."""
        method = _value_of("--method", words)
        settings = SearchSettings()
        if method in METHODS:
            settings = settings.for_method(method)
        return cls(
            run_directory=tyro.MISSING,
            search=_part(SearchChoices, settings),
            research=_part(SearchResearch, settings),
        )

    @property
    def settings(self) -> SearchSettings:
        """Both groups of flags together."""
        return SearchSettings(**asdict(self.search), **asdict(self.research))

    def run(self) -> object:
        """Calls ``stages.search``."""
        settings = self.settings
        if self.dry_run:
            return self._look_ahead()
        from hipp_prune.files.run_directory import RunDirectory
        from hipp_prune.files.watching import watching
        from hipp_prune.questions.benchmark import ROLES
        from hipp_prune.report.terminal import next_steps, progress_bars, remark, skipping, warn_of
        from hipp_prune.search.archive import Archive
        from hipp_prune.search.query.roles import even_preference, measured_roles
        from hipp_prune.search.record import read_record
        from hipp_prune.stages.search import search

        with (
            skipping(self.skip_bad) as skip_bad,
            watching(RunDirectory(self.run_directory).events / "search", self.log, anew=self.force),
            progress_bars("encoding pictures", "searching") as (encoding, progress),
        ):
            search(
                self.run_directory,
                settings,
                asking=self.asking,
                loading=self.loading,
                force=self.force,
                skip_bad=skip_bad,
                surveyed=warn_of,
                encoding=encoding,
                progress=progress,
            )
        folder = RunDirectory(self.run_directory).search
        record, archive = read_record(folder.record), Archive(folder.archive)
        measured = measured_roles(archive)
        if missing := [role for role in ROLES if role not in measured]:
            remark(
                f"the questions measure only {' and '.join(measured)}; no preference can weigh {' or '.join(missing)}"
            )
        run = shlex.quote(str(self.run_directory))
        next_steps(f"hipp-prune query {run} --preference {even_preference(archive)} --out plan.json")
        return record

    def _look_ahead(self) -> "Outlook":
        """Calls ``stages.outlook``.

        Raises:
            Ended: with status 2 where something would be refused.
        """
        from hipp_prune.files.run_directory import RunDirectory
        from hipp_prune.report.terminal import print_outlook
        from hipp_prune.stages.outlook import outlook
        from hipp_prune.stages.search import evaluations_paid
        from hipp_prune.stages.work import Work

        run = RunDirectory(self.run_directory)
        begun = run.provenance()
        work = Work(
            calibrate=CalibrateSettings(seed=begun.seed),
            search=self.settings,
            asking=self.asking,
            skip_bad=self.skip_bad or begun.skip_bad,
            paid=0.0 if self.force else evaluations_paid(run.search, self.settings),
            done=frozenset({"calibrate"}),
        )
        found = outlook(
            begun.model,
            begun.questions,
            work,
            loading=self.loading,
            out=self.run_directory,
        )
        print_outlook(found.table(), found.heading, found.remarks, found.refused, found.warnings)
        if found.refused:
            raise Ended(found, 2)
        return found


def _part(group: type[GroupT], settings: SearchSettings) -> GroupT:
    """Those of the settings that a group of flags holds."""
    return group(**{field.name: getattr(settings, field.name) for field in fields(group)})  # type: ignore[arg-type]


def _value_of(flag: str, words: Sequence[str]) -> str | None:
    for index, word in enumerate(words):
        if word == flag and index + 1 < len(words):
            return words[index + 1]
        if word.startswith(f"{flag}="):
            return word.removeprefix(f"{flag}=")
    return None
