"""Who takes part: every method, the paper's own choices, and methods with one setting changed."""

from dataclasses import dataclass, field
from typing import Any

from hipp_prune.experiments.compare.cells import Contender
from hipp_prune.plans.preference import Preference
from hipp_prune.search.methods import Method
from hipp_prune.search.settings import FROM_SCRATCH


def plain(method: str) -> Contender:
    """A method under our defaults."""
    return Contender(method=method)


DENSE_MODEL = plain("dense")
HYBRID = plain("hybrid")

_LITERAL = {"image_weight": None}
LITERAL = Contender(method="grpo-paper", variant="literal", overrides=_LITERAL)
"""The paper's method with the paper's choices throughout: rows, κ = 1, clip, Eq. 10 on all tokens alike, all gates."""

ROWS_RANDOM = Contender(method="random", variant="rows", overrides={"unit": "rows", "image_weight": None})
"""The paper's *Random* under the paper's operator."""

LITERAL_RIVALS = (
    ROWS_RANDOM,
    *map(plain, ("wanda-rows", "llm-pruner", "slicegpt")),
)
"""The paper's baselines; those that it does not run row by row keep their own operator."""

CENTRE = Preference.parse("1,1,1")
"""At a fixed budget: both accuracies alike, which is how contenders are ordered."""


@dataclass(frozen=True, kw_only=True)
class Switch:
    """A search with one of its settings changed."""

    name: str
    """What the change is, in a table's words."""
    method: Method
    """The search that is changed, and compared with."""
    change: dict[str, Any] = field(hash=False)
    """Fields of ``SearchSettings`` with their other values."""

    @property
    def base(self) -> Contender:
        """The search without the change."""
        return plain(self.method)

    @property
    def contender(self) -> Contender:
        """The search with the change, named after it."""
        return Contender(method=self.method, variant=self.name, overrides=self.change)


DECISIONS = (
    Switch(name="rows, not neurons", method="hybrid", change={"unit": "rows"}),
    Switch(name="clip, not waterfill", method="hybrid", change={"allocation": "paper"}),
    Switch(name="importance paper", method="hybrid", change={"importance": "paper"}),
    Switch(name="tokens alike", method="hybrid", change={"image_weight": None}),
    Switch(name="margin returns", method="hybrid", change={"returns": "margin"}),
    Switch(name="whole minibatches", method="hybrid", change={"probe": None}),
    Switch(name="no surrogate", method="hybrid", change=FROM_SCRATCH),
    Switch(name="whole budget range", method="grpo", change={"intervals": False}),
    Switch(name="advantage over std", method="grpo", change={"advantage": "paper"}),
    Switch(name="A log π once, no clip", method="grpo", change={"clip": None, "inner_epochs": 1}),
    Switch(name="no relabelling", method="grpo", change={"relabel": False}),
    Switch(name="gate on all", method="grpo", change={"gate": "all"}),
    Switch(name="unconditional band", method="grpo", change={"band": "paper"}),
    Switch(name="chained flow", method="grpo", change={"flow": "chain"}),
    Switch(name="all plans evaluated", method="grpo", change={"gate_floor": 0.0}),
)
"""Our decisions, each switched back to the paper's; what only a learning policy feels is switched in ``grpo``, since
the hybrid's surrogate would hide it."""

ABLATIONS = (
    Switch(name="visual off", method="grpo", change={"visual": "off"}),
    Switch(name="visual shuffled", method="grpo", change={"visual": "shuffled"}),
    Switch(name="heads max", method="grpo", change={"heads": "max"}),
    Switch(name="gate off", method="grpo", change={"gate": "off", "gate_floor": 0.0}),
    Switch(name="gate on all", method="grpo", change={"gate": "all"}),
    Switch(name="flat", method="grpo", change={"action": "flat"}),
    Switch(name="κ = 0.5", method="grpo", change={"kappa": 0.5}),
    Switch(name="κ = 2", method="grpo", change={"kappa": 2.0}),
    Switch(name="importance paper", method="hybrid", change={"importance": "paper"}),
    Switch(name="importance magnitude", method="hybrid", change={"importance": "magnitude"}),
    Switch(name="importance wanda-sp", method="hybrid", change={"importance": "wanda-sp"}),
    Switch(name="importance flap", method="hybrid", change={"importance": "flap"}),
    Switch(name="importance taylor", method="hybrid", change={"importance": "taylor"}),
    Switch(name="text tokens only", method="hybrid", change={"image_weight": 0.0}),
    Switch(name="image tokens only", method="hybrid", change={"image_weight": 1.0}),
    Switch(name="tokens alike", method="hybrid", change={"image_weight": None}),
)
"""What the paper does not ablate. Heads summed describe units exactly as heads averaged do, so they are left out."""

SAMPLING = (
    LITERAL,
    *(
        Contender(method="grpo-paper", variant=name, overrides={**_LITERAL, "anchor_fraction": share})
        for name, share in (("Dirichlet only", 0.0), ("anchors only", 1.0))
    ),
)
"""Table 4: how training preferences are drawn. With relabelling every plan would teach all of them anyway."""
