"""How a model calls its blocks: seen in one forward pass, so that a block can be run again by itself."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from hipp_prune.models.adapter import Adapter


@dataclass(frozen=True, kw_only=True)
class BlockCall:
    """One call of a block, without the states that entered it."""

    layer: nn.Module
    places: Sequence[Any]
    """Further arguments, by place."""
    named: dict[str, Any]
    """Those that are given by name, without ``hidden_states``."""

    def run(self, states: Tensor) -> Tensor:
        """The residual stream behind the block, for states that enter it, [B, T, H]."""
        return _stream(self.layer(states, *self.places, **self.named))


@contextmanager
def on_block_calls(
    adapter: Adapter,
    before: Callable[[BlockCall, Tensor], Tensor],
    behind: Callable[[Tensor], Tensor],
) -> Iterator[None]:
    """Told of every call of a block inside the context, first block to last, both functions say how it goes on.

    Args:
        adapter: the model.
        before: told the call and the states that enter; returns what the block gets instead.
        behind: told the stream behind the block; returns what the model gets instead.
    """

    def enter(layer: nn.Module, places: tuple[Any, ...], named: dict[str, Any]) -> Any:
        rest = {name: value for name, value in named.items() if name != "hidden_states"}
        states, *others = places or (named["hidden_states"],)
        return (before(BlockCall(layer=layer, places=others, named=rest), states), *others), rest

    def leave(_: nn.Module, __: tuple[Any, ...], output: Any) -> Any:
        states = behind(_stream(output))
        return (states, *output[1:]) if isinstance(output, tuple) else states

    with ExitStack() as hooks:
        for block in adapter.blocks:
            layer = adapter.model.get_submodule(block.name)
            hooks.callback(layer.register_forward_pre_hook(enter, with_kwargs=True).remove)
            hooks.callback(layer.register_forward_hook(leave).remove)
        yield


def _stream(output: Any) -> Tensor:
    """The residual stream behind a block, which older code of models returns in a tuple."""
    states: Tensor = output[0] if isinstance(output, tuple) else output
    return states
