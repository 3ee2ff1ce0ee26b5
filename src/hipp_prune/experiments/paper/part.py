"""What a table or a figure is here: the cells it needs, and the text that finished cells become."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hipp_prune.experiments.compare.cell_results import CellResult
from hipp_prune.experiments.compare.cells import Cell
from hipp_prune.experiments.compare.settings import CompareSettings
from hipp_prune.experiments.paper.settings import PaperSettings


@dataclass(frozen=True, kw_only=True)
class Section:
    """What a part writes."""

    text: str
    """Markdown below the part's heading."""
    files: Mapping[str, str] = field(default_factory=dict)
    """What lies beside it, by file name."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One of the paper's tables or figures, or one that it lacks."""

    name: str
    """Of its file and of ``--parts``."""
    title: str
    cells: Callable[[PaperSettings], list[Cell]]
    """What has to be run; parts share cells."""
    section: Callable[[PaperSettings, Sequence[CellResult]], Section]
    """What the finished ones of its cells show, be they all or none."""
    only_subset: str | None = None
    """The one POPE split that its checkpoints are recovered on; all where none is named."""

    only_reads: bool = False
    """Whether it judges what other parts have run, and runs nothing itself."""

    def folder(self, out: Path) -> Path:
        """The comparison that holds its cells: cells are shared by parts that recover alike."""
        return out / (f"recovered-on-{self.only_subset}" if self.only_subset else "cells")

    def compare(self, settings: PaperSettings) -> CompareSettings:
        """What its cells share."""
        recovery = replace(settings.compare.recovery, only_subset=self.only_subset)
        return replace(settings.compare, recovery=recovery)

    def finished(self, out: Path, settings: PaperSettings) -> list[CellResult]:
        """Those of its cells that are done, in their order.

        Raises:
            IncompleteRunError: if one's file is damaged.
        """
        root = self.folder(out)
        paths = [cell.path(root) for cell in self.cells(settings)]
        return [CellResult.load(path) for path in paths if path.exists()]
