"""Settings of the baselines; imports nothing heavy, since the command line lists them."""

from dataclasses import dataclass

from hipp_prune.choices import Criterion, Element


@dataclass(frozen=True, kw_only=True)
class BaselineConfig:
    """What the methods may be told; each reads what concerns it."""

    seed: int = 0
    """Of methods that draw, and of the calibration sample where there is no run."""
    r_max: float = 0.8
    """Largest fraction a block may lose, in (0, 1), as in search (llm-pruner leaves outer blocks whole instead)."""
    importance: Criterion = "coupled"
    """What ranks neurons for uniform, random, owl and ecoflap, as in search."""
    image_weight: float = 0.5
    """Weight of image tokens in that criterion; methods with one of their own count every token alike."""
    element: Element = "param_first"
    """LLM-Pruner's Taylor term."""
    batch_size: int = 16
    """Questions a forward pass."""
