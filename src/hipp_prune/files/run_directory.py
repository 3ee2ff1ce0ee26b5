"""A run directory: what was asked, what was computed, and how to go on after an interruption.

::

    RUN/
      files.jsonl               every file that we wrote, with its checksum: nothing else is ever removed
      run.json                  the model, the questions, the seed and the versions (written first)
      footprint.json            the bytes of the dense model, and of a neuron of each of its blocks
      agreement.jsonl           the dense model's answers to questions without one, where there are any
      agreement-objects.jsonl   what it says is in their pictures
      calibration.safetensors   statistics of the dense model
      grams.safetensors         its Gram matrices, where they were asked for
      search/                   configuration, archive of evaluations, policy
      latency.json              seconds by block width, where a search saves seconds
      plans/, results/          what ``query`` and ``evaluate`` left here
      outputs.jsonl             where they left the rest
      report.html
      recipe.toml, summary.txt  of ``auto``: every flag of it, and what it ended with (written last)
"""

import platform
import shlex
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

from annotated_types import Len

from hipp_prune.errors import IncompleteRunError, OutputExistsError
from hipp_prune.files.manifest import FILE_LIST, remove_own, start_list
from hipp_prune.files.places import described, found_instead
from hipp_prune.files.ranges import Mixed, Seed
from hipp_prune.files.reading import read_document
from hipp_prune.files.replacing import CACHE, clean, is_fresh
from hipp_prune.files.writing import write_json

_TRACKED = ("hipp-prune", "torch", "transformers", "safetensors", "numpy", "pillow")


@dataclass(frozen=True, kw_only=True)
class MixedText:
    """General text that a run's Gram matrices hold a share of."""

    files: tuple[str, ...]
    """As ``--general-text`` named them."""
    fingerprint: Annotated[str, Len(16, 16)]
    """``fingerprint_text`` of what they said."""
    share: Mixed
    """Of the Gram matrices."""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Who made a result: enough to make it again."""

    model: str
    """What ``--model`` named."""
    questions: tuple[str, ...]
    """Sources of the questions, as ``--questions`` named them."""
    seed: Seed
    created: str
    """When, in UTC, ISO 8601."""
    versions: dict[str, str]
    """Packages, Python and machine."""
    general_text: MixedText | None = None
    """What the Gram matrices hold beside the questions; none where they hold nothing else."""
    weights: Annotated[str, Len(16, 16)] | None = None
    """``ModelShape.fingerprint`` of a model that was given in memory, whose name need not lead to it."""
    skip_bad: bool = False
    """Whether ``calibrate`` was to leave broken questions and pictures out; later stages of the run do so too."""

    @property
    def words(self) -> tuple[str, ...]:
        """What ``calibrate`` was told, without how many questions and where to."""
        skipping = ("--skip-bad",) if self.skip_bad else ()
        asked = ("--questions", *self.questions, "--seed", str(self.seed))
        return ("calibrate", "--model", self.model, *asked, *skipping)

    @classmethod
    def now(
        cls,
        *,
        model: str,
        questions: tuple[str, ...],
        seed: int,
        general_text: MixedText | None = None,
        weights: str | None = None,
        skip_bad: bool = False,
    ) -> "Provenance":
        """Provenance of a run that starts now, here.

        Args:
            model: what ``--model`` named.
            questions: sources of the questions.
            seed: of the run.
            general_text: what its Gram matrices hold beside the questions.
            weights: fingerprint of a model that was given in memory.
            skip_bad: whether broken questions and pictures are left out.
        """
        return cls(
            model=model,
            questions=questions,
            seed=seed,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            versions=_versions(),
            general_text=general_text,
            weights=weights,
            skip_bad=skip_bad,
        )


@dataclass(frozen=True)
class SearchFolder:
    """Paths of what a search leaves, in a run directory or elsewhere."""

    root: Path
    latency: Path
    """Seconds by block width, measured by the first search that saves seconds."""

    @property
    def record(self) -> Path:
        """The settings, and once it is complete, what it spent."""
        return self.root / "search.json"

    @property
    def archive(self) -> Path:
        """Every evaluation paid for, a line each."""
        return self.root / "archive.jsonl"

    @property
    def curve(self) -> Path:
        """Mean returns against evaluations, an entry a step."""
        return self.root / "curve.json"

    @property
    def forecast(self) -> Path:
        """What predicts accuracies from the archive."""
        return self.root / "forecast.json"

    @property
    def planner(self) -> Path:
        """What answers queries, written last."""
        return self.root / "planner.safetensors"


@dataclass(frozen=True)
class RunDirectory:
    """Paths inside a run directory, and whether its stages are complete."""

    root: Path

    @property
    def manifest(self) -> Path:
        """``run.json``."""
        return self.root / "run.json"

    @property
    def footprint(self) -> Path:
        """What the dense model takes in memory, block by block."""
        return self.root / "footprint.json"

    @property
    def calibration(self) -> Path:
        """Statistics of the dense model, written last by ``calibrate``."""
        return self.root / "calibration.safetensors"

    @property
    def labels(self) -> Path:
        """The dense model's answers to questions without one."""
        return self.root / "agreement.jsonl"

    @property
    def object_labels(self) -> Path:
        """What it says is, and is not, in their pictures."""
        return self.root / "agreement-objects.jsonl"

    @property
    def grams(self) -> Path:
        """Gram matrices of the dense model's neurons, where ``calibrate`` was asked for them."""
        return self.root / "grams.safetensors"

    @property
    def factors(self) -> Path:
        """Folder of what a search makes of them, where memory does not hold it."""
        return self.cache / "factors"

    @property
    def search(self) -> "SearchFolder":
        """What the search leaves; what it measured of the machine lies beside it and outlives it."""
        return SearchFolder(self.root / "search", latency=self.root / "latency.json")

    @property
    def plans(self) -> Path:
        """Folder of queried plans."""
        return self.root / "plans"

    @property
    def results(self) -> Path:
        """Folder of evaluation results."""
        return self.root / "results"

    @property
    def outputs(self) -> Path:
        """Plans and results that lie elsewhere, a line each; see ``files.outputs``."""
        return self.root / "outputs.jsonl"

    @property
    def events(self) -> Path:
        """Folder of what TensorBoard draws, a folder a stage."""
        return self.root / "tensorboard"

    @property
    def report(self) -> Path:
        """The run's page, one HTML file without anything beside it."""
        return self.root / "report.html"

    @property
    def explorer(self) -> Path:
        """The page that a plan is chosen in, one HTML file too."""
        return self.root / "explorer.html"

    @property
    def recipe(self) -> Path:
        """The flags of the ``auto`` that works here, all of them resolved."""
        return self.root / "recipe.toml"

    @property
    def summary(self) -> Path:
        """The table and the lines that ``auto`` ended with; there only once all of it is done."""
        return self.root / "summary.txt"

    @property
    def cache(self) -> Path:
        """Drawn pictures of the embedded world and other things that can be made again."""
        return self.root / CACHE

    def check(self, *, force: bool) -> None:
        """Refuses a place where no run may be started, before anything is computed; nothing is touched.

        A calibration that was cut off is no run yet, and is started over.

        Raises:
            OutputExistsError: if a run is already there and ``force`` is false, or something that is none of our runs.
        """
        if self.root.is_symlink() or (self.root.exists() and not self.root.is_dir()):
            raise OutputExistsError(f"{self.root} is no folder; choose another run directory")
        complete = self.manifest.exists() and self.calibration.exists()
        if not self.root.is_dir() or is_fresh(self.root):
            return
        if not (self.root / FILE_LIST).is_file():
            raise OutputExistsError(
                f"{self.root} has no {FILE_LIST}, the list of the files we wrote, so it is no run directory and is "
                "left alone; choose another"
            )
        if not self.manifest.exists() and (found := described(self.root)) is not None:
            raise OutputExistsError(
                f"expected a new run directory, but {found}; choose another run directory"
            )
        if complete and not force:
            raise OutputExistsError(
                f"{self.root} already holds a run; choose another run directory or add --force to replace it"
            )

    def create(self, provenance: Provenance) -> None:
        """Starts the run: what an earlier one left is removed, as far as we wrote it, and the manifest is written.

        The caller is the sole writer, and has called ``check``.

        Raises:
            RunError: if something cannot be removed or written.
        """
        start_list(self.root)
        clean(self.root)
        remove_own(self.root, keep_list=True)
        write_json(self.manifest, asdict(provenance))

    def provenance(self) -> Provenance:
        """Who made the run, as ``run.json`` says.

        Raises:
            IncompleteRunError: if this is no run directory.
        """
        remedy = f"make a run with `hipp-prune calibrate --model … --questions … --out {shlex.quote(str(self.root))}`"
        if not self.manifest.exists():
            found = found_instead(self.root, remedy)
            raise IncompleteRunError(f"expected a run directory with run.json, but {found}")
        return read_document(self.manifest, Provenance, remedy=remedy, error=IncompleteRunError)

    def calibrate_again(self) -> str:
        """The command that starts this run anew.

        Raises:
            IncompleteRunError: if this is no run directory.
        """
        words = self.provenance().words
        return shlex.join(["hipp-prune", *words, "--out", str(self.root), "--force"])

    def require(self, path: Path, *, made_by: str) -> Path:
        """Returns ``path`` if it exists.

        Raises:
            IncompleteRunError: if not, naming the command that makes it.
        """
        if not path.exists():
            missing = path.relative_to(self.root)
            raise IncompleteRunError(f"run directory {self.root} has no {missing}; run `{made_by}` first")
        return path


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
    for name in _TRACKED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
