"""Settings of ``photo build``; free of torch, so that the command line can read them."""

from dataclasses import dataclass
from typing import Literal, get_args

from hipp_prune.errors import InputError
from hipp_prune.files.ranges import Count, Mixed, Seed
from hipp_prune.files.strict import check_settings
from hipp_prune.recovery.settings import RecoverySettings

PhotoTask = Literal["presence", "counting", "attributes", "relations", "facts"]
"""See ``tasks``; facts alone has no pictures."""
ANSWERED_YES_NO: tuple[PhotoTask, ...] = ("presence", "relations")
"""Tasks whose answers are Yes and No."""


@dataclass(frozen=True, kw_only=True)
class PhotoSettings:
    """What is built, and how long it learns."""

    rung: Literal["drawn"] = "drawn"
    """What the pictures are: drawn scenes of the embedded world."""
    tasks: tuple[PhotoTask, ...] = get_args(PhotoTask)
    """What is taught and asked: a question file each."""
    scenes: Count = 1200
    """Pictures that are taught, and as many others that are asked about, ≥ 1."""
    steps: Count = 1200
    """Updates of LoRA's factors, ≥ 1."""
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

    def recovery(self, blocks: int) -> RecoverySettings:
        """The recipe as our own fine-tuning takes it: LoRA on all ``blocks``, merged; nothing else is trained.

        Every task has about the same share of a batch: what is answered Yes or No has one, and letters the other.
        """
        yes_no = [task for task in self.tasks if task in ANSWERED_YES_NO]
        return RecoverySettings(
            steps=self.steps,
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
