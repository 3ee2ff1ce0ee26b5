"""Settings of ``photo build``; free of torch, so that the command line can read them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from hipp_prune.errors import InputError
from hipp_prune.files.ranges import Count, Mixed, Seed
from hipp_prune.files.strict import check_settings
from hipp_prune.recovery.settings import RecoverySettings

PhotoTask = Literal["presence", "counting", "attributes", "relations", "facts"]
"""See ``tasks``; facts alone has no pictures."""
ANSWERED_YES_NO: tuple[PhotoTask, ...] = ("presence", "relations")
"""Tasks whose answers are Yes and No."""

RungName = Literal["drawn", "photographs"]
"""What the pictures are: drawn scenes of the embedded world, or photographs with annotations."""

_STEPS: Mapping[RungName, int] = {"drawn": 1200, "photographs": 480}
"""Updates by default."""


@dataclass(frozen=True, kw_only=True)
class PhotoSettings:
    """What is built, and how long it learns."""

    rung: RungName = "drawn"
    """What the pictures are: drawn scenes of the embedded world, or photographs."""
    tasks: tuple[PhotoTask, ...] = get_args(PhotoTask)
    """What is taught and asked of drawn scenes: a question file each. Of photographs it is POPE's questions."""
    scenes: Count = 1200
    """Drawn pictures that are taught, and as many others that are asked about, ≥ 1."""
    photos: Path | None = None
    """With --rung photographs: the folder with the pictures."""
    objects: Path | None = None
    """With --rung photographs: what is in each; {image, objects} records as JSON lines or an array, or COCO's
    instances_*.json."""
    asked: Count = 64
    """Photographs that are asked about, of those with at least three objects, ≥ 1."""
    taught: Count = 2000
    """Other photographs that are taught, ≥ 1; fewer where there are no more."""
    steps: Count | None = None
    """Updates of LoRA's factors, ≥ 1; 1,200 for drawn scenes and 240 for photographs by default."""
    batch_size: Count = 16
    """Questions an update, ≥ 1."""
    lora_rank: Count = 16
    """Rank of LoRA's factors, on every projection of every block, ≥ 1."""
    rate: Mixed = 1e-3
    """Peak learning rate, in (0, 1)."""
    products: Literal["float32", "bfloat16"] = "bfloat16"
    """How precise the factors of matrix products are while it learns; weights and sums are of float32 either way.
    bfloat16 is faster where the processor has it."""
    seed: Seed = 0
    """Of scenes, questions, projector and LoRA, ≥ 0."""

    def __post_init__(self) -> None:
        check_settings(self)
        if not self.tasks:
            raise InputError(f"--tasks names nothing to learn; give some of {', '.join(get_args(PhotoTask))}")
        given = self.photos is not None, self.objects is not None
        if self.rung == "photographs" and not all(given):
            raise InputError(
                "--rung photographs needs --photos, a folder, and --objects, what is in each of them"
            )
        if self.rung == "drawn" and any(given):
            raise InputError("--photos and --objects are for --rung photographs; leave them out, or add that")

    @property
    def settled(self) -> "PhotoSettings":
        """The same, with what the rung stands for put in where nothing was asked for."""
        return replace(self, steps=self.steps or _STEPS[self.rung])

    @property
    def document(self) -> dict[str, Any]:
        """The same for a file of JSON."""
        return {name: str(each) if isinstance(each, Path) else each for name, each in asdict(self).items()}

    def recovery(self, blocks: int) -> RecoverySettings:
        """The recipe as our own fine-tuning takes it: LoRA on all ``blocks``, merged; nothing else is trained.

        What is answered Yes or No has its share of a batch by the number of tasks; the tasks that letters answer share
        the rest by how many letters each has. (POPE's questions are alone.)
        """
        yes_no = [task for task in self.tasks if task in ANSWERED_YES_NO]
        return RecoverySettings(
            steps=self.steps or _STEPS[self.rung],
            batch_size=self.batch_size,
            pass_size=self.batch_size,
            per_image=self.batch_size // 4 or 1,
            mixture=str(len(yes_no) / len(self.tasks)),
            head=False,
            norm=False,
            projector=False,
            lora_blocks=blocks,
            lora_rank=self.lora_rank,
            lora_alpha=2 * self.lora_rank,
            lora_rate=self.rate,
            hinge=0.0,
            yes_rate=0.0,
            yes_no=0.0,
            seed=self.seed,
            save_every=20,
        )
