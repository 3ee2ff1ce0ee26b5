"""Settings of a recovery; free of torch, so that the command line can read them."""

from dataclasses import dataclass

from hipp_prune.errors import InputError
from hipp_prune.files.ranges import Count, Natural, NotNegative, Seed, Share
from hipp_prune.files.strict import check_settings
from hipp_prune.plans.preference import Preference

BIASED = 2 / 3
"""Share of robustness questions at the paper's 2 : 1."""


@dataclass(frozen=True, kw_only=True)
class RecoverySettings:
    """What is trained, on what, how long, and for which loss."""

    steps: Count = 800
    """Updates of the trained weights, ≥ 1."""
    batch_size: Count = 32
    """Questions an update, ≥ 1."""
    pass_size: Count = 32
    """Questions a forward pass, ≥ 1; where a batch has more, each is asked twice: the same gradient in less memory."""
    per_image: Count = 4
    """Questions of a batch about one picture, ≥ 1; they share a sequence, so they cost little more than one."""
    mixture: str = "biased"
    """Questions that serve robustness against those that serve utility.
    biased: 2:1; plan: as λ_rob : λ_util of the checkpoint's plan, 1:1 where both are 0;
    or the share of robustness questions as a number in [0, 1]."""
    only_subset: str | None = None
    """The one subset of the robustness questions it learns from, e.g. POPE's random; all by default.
    The others then show hallucination beyond what was taught."""
    head: bool = True
    """False leaves the LM head as it is; by default it is trained, and untied from the embeddings where it is tied."""
    norm: bool = True
    """False leaves the final norm as it is; by default it is trained."""
    projector: bool = True
    """False leaves the multimodal projector as it is; by default it is trained."""
    lora_blocks: Natural = 4
    """How many of the last language blocks are trained through LoRA; 0 for none."""
    lora_rank: Count = 16
    """Rank of LoRA's two factors, ≥ 1."""
    lora_alpha: Count = 32
    """LoRA's scale times its rank, ≥ 1."""
    rate: NotNegative = 1e-4
    """Peak learning rate of head, norm and projector, ≥ 0."""
    lora_rate: NotNegative = 1e-3
    """Peak learning rate of LoRA's factors, ≥ 0."""
    warm_up: Share = 0.05
    """Share of the steps, in [0, 1], in which the learning rate rises; afterwards it falls linearly to 0."""
    next_token: NotNegative = 1.0
    """Weight of the next-token loss on the answer, ≥ 0 as those below."""
    yes_no: NotNegative = 1.0
    """Weight of the class-balanced Yes/No loss."""
    hinge: NotNegative = 0.5
    """Weight of max(0, δ − m(x)), m the log-margin of Eq. 11."""
    margin: NotNegative = 1.0
    """δ of the hinge, in nats, ≥ 0."""
    yes_rate: NotNegative = 1.0
    """Weight of (Yes-rate − ½)²."""
    distill: NotNegative = 1.0
    """Weight of KL(teacher ∥ model) at the answer; without a teacher there is none."""
    seed: Seed = 0
    """Of the splits, the batches and LoRA's first weights, ≥ 0."""
    save_every: Count = 50
    """Steps, ≥ 1, after which the state is written; a recovery that was killed goes on from there."""

    def __post_init__(self) -> None:
        check_settings(self)
        if not (self.head or self.norm or self.projector or self.lora_blocks):
            raise InputError(
                "nothing is left to train: keep one of head, norm and projector, or give --lora-blocks at least 1"
            )
        if self.mixture not in ("biased", "plan"):
            _parse_share(self.mixture)

    def robust_share(self, preference: Preference | None) -> float:
        """Share of robustness questions in a batch, in [0, 1].

        Args:
            preference: λ of the checkpoint's plan, if it has one.

        Raises:
            InputError: if the mixture is to follow a plan without a preference.
        """
        if self.mixture == "biased":
            return BIASED
        if self.mixture != "plan":
            return _parse_share(self.mixture)
        if preference is None:
            raise InputError(
                "--mixture plan follows the preference of the checkpoint's plan.json, which has none; use biased, or "
                "the share of robustness questions as a number"
            )
        both = preference.robustness + preference.utility
        return preference.robustness / both if both else 0.5


def _parse_share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise InputError(
            f"--mixture must be biased, plan or a share of robustness questions in [0, 1], got {text!r}"
        )
    return share
