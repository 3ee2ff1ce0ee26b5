"""MLPs whose gate and up projections are one matrix (Phi-3, GLM-4V): split where they are read, one where written.

Everything here prunes gate and up projections by themselves. So a block's MLP is exchanged for one with both, whose
weights are the two halves of the fused matrix, in the same memory. Its ``state_dict`` has the stock names again.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

_FUSED, _HALVES = "gate_up_proj", ("gate_proj", "up_proj")


class SplitMlp(nn.Module):
    """down(act(gate(x)) ⊙ up(x)), the first half of a fused projection's rows being the gate's."""

    def __init__(self, stock: Any) -> None:
        """Takes the place of a stock MLP, whose weights it keeps."""
        super().__init__()
        fused: nn.Linear = stock.gate_up_proj
        width = fused.out_features // 2
        self.gate_proj = _rows(fused, slice(0, width))
        self.up_proj = _rows(fused, slice(width, None))
        self.down_proj: nn.Linear = stock.down_proj
        self.act_fn: nn.Module = stock.act_fn if hasattr(stock, "act_fn") else stock.activation_fn
        self._register_state_dict_hook(_fuse)
        self.register_load_state_dict_pre_hook(_split)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """From [..., hidden] to [..., hidden]."""
        gated: Tensor = self.act_fn(self.gate_proj(hidden_states)) * self.up_proj(hidden_states)
        output: Tensor = self.down_proj(gated)
        return output


def split_fused(model: PreTrainedModel) -> None:
    """Splits the fused projections of a model's language blocks in place; other models stay as they are.

    So do quantised ones, whose packed matrices have no halves: they can be asked, and nothing else.
    """
    if getattr(model.config, "quantization_config", None) is not None:
        return
    for layer in getattr(model.get_decoder(), "layers", ()):
        if isinstance(getattr(getattr(layer, "mlp", None), _FUSED, None), nn.Linear):
            layer.mlp = SplitMlp(layer.mlp)


def _rows(fused: nn.Linear, rows: slice) -> nn.Linear:
    """A linear layer of some rows of another, without a copy."""
    weight, bias = fused.weight, fused.bias
    width = weight[rows].shape[0]
    half = nn.Linear(fused.in_features, width, bias=bias is not None, device="meta", dtype=weight.dtype)
    half.weight = nn.Parameter(weight.detach()[rows], requires_grad=weight.requires_grad)
    if bias is not None:
        half.bias = nn.Parameter(bias.detach()[rows], requires_grad=bias.requires_grad)
    return half


def _fuse(_: nn.Module, state: dict[str, Tensor], prefix: str, __: Any) -> None:
    for kind in ("weight", "bias"):
        halves = [state.pop(f"{prefix}{half}.{kind}", None) for half in _HALVES]
        if all(half is not None for half in halves):
            state[f"{prefix}{_FUSED}.{kind}"] = torch.cat([half for half in halves if half is not None])


def _split(_: nn.Module, state: dict[str, Tensor], prefix: str, *__: Any) -> None:
    for kind in ("weight", "bias"):
        fused = state.pop(f"{prefix}{_FUSED}.{kind}", None)
        if fused is not None:
            names = [f"{prefix}{half}.{kind}" for half in _HALVES]
            state.update(zip(names, fused.chunk(2), strict=True))
