"""A row of the table of supported models; see ``families``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from hipp_prune.models.adapter import Adapter

Capability = Literal[
    "packing", "llm-pruner", "slicegpt", "padded", "gguf", "onnx", "quantising", "several pictures"
]
"""What a family may lack: questions about one picture in one sequence; heads or residual coordinates that leave; what
a checkpoint is exported to (``quantising`` is for gptq, awq, fp8 and bnb4); and questions about several pictures."""
CAPABILITIES: tuple[Capability, ...] = get_args(Capability)

NO_VISION_GRAPH = "its vision tower has no ONNX graph here; serve it with transformers or vLLM"
NO_UNEVEN_GRAPH = (
    "llama.cpp has no graph of its backbone with blocks of their own width; write it with --format padded and convert "
    "that with llama.cpp's own convert_hf_to_gguf.py"
)
ONE_PICTURE = (
    "transformers' own processor lays out its prompt here, with one picture at a time; leave out questions about "
    "several"
)
NO_SLICING = "its blocks are more than two norms, attention and MLP, and slicing has no shortcut for the rest"


@dataclass(frozen=True, kw_only=True)
class Family:
    """Models that share a prompt format and a way to take images."""

    name: str
    """As its authors write it."""
    model_type: str
    """transformers' ``model_type``."""
    adapter: type[Adapter]
    """How it is reached."""
    tower: str | None = None
    """The ``model_type`` of its vision tower, where that tells it from another family of its ``model_type``."""
    backbone: str | None = None
    """The ``model_type`` of its language model, where that does."""
    tested: str
    """What has actually been run."""
    cannot: Mapping[Capability, str] = field(default_factory=dict)
    """Why something is not possible, as the end of a sentence; what is not named is, as the contract tests show."""
    chat_template: str | None = None
    """The authors' own way to write a prompt, where their checkpoints come without a template."""

    @property
    def key(self) -> str:
        """What tells it from all others."""
        return self.tower or key_of(self.model_type, self.backbone)


def key_of(model_type: str, backbone: str | None) -> str:
    """The key of a family that its language model tells from another, if one is given."""
    return model_type if backbone is None else f"{model_type}-{backbone}"
