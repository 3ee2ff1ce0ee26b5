"""Two GPUs in name only: their tensors compute on the CPU, but refuse to meet across devices as CUDA's do.

So where a model that is split over devices would fail is found on a machine without any. Only for a process of its own:
PyTorch's place for a foreign backend can be taken once.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

_aten: Any = torch.ops.aten
_MOVES = (_aten._to_copy, _aten.copy_)
_INDEXING = (_aten.index, _aten.index_put, _aten.index_put_, _aten._index_put_impl_)


class Placed(Tensor):
    """A CPU tensor that says it is elsewhere."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor, device: torch.device) -> "Placed":
        placed = Tensor._make_wrapper_subclass(
            cls, inner.shape, strides=inner.stride(), dtype=inner.dtype, device=device
        )
        placed.inner = inner
        return placed

    def __repr__(self, **_: Any) -> str:
        return f"Placed({self.inner!r}, {self.device})"

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with torch._C.DisableTorchFunctionSubclass():
            if func == Tensor.tolist:
                return args[0].inner.tolist()
            if func == Tensor.__getitem__ and isinstance(args[1], list):
                return args[0][torch.tensor(args[1])]
            if func == Tensor.data.__set__:
                args[0].inner = args[1].inner
            return func(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(func, args, kwargs or {})


class _Operations(TorchDispatchMode):
    """Every operation inside is checked, those that make tensors included."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with self:
            result = func.decompose(*args, **(kwargs or {}))
        return _compute(func, args, kwargs or {}) if result is NotImplemented else result


class _Constants(TorchFunctionMode):
    """``torch.tensor`` copies to its device by a way of its own."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func not in (torch.tensor, torch.as_tensor) or kwargs.get("device") is None:
            return func(*args, **kwargs)
        device = kwargs.pop("device")
        args = tree_map(lambda value: value.inner.item() if isinstance(value, Placed) else value, args)
        return func(*args, **kwargs).to(device)


def _compute(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    moves, indexes = func.overloadpacket in _MOVES, func.overloadpacket in _INDEXING
    met = {tensor.device for tensor in tensors if tensor.dim() or tensor.device.type != "cpu"}
    if indexes:  # by positions on the CPU, too
        met = {tensor.device for tensor in tensors if tensor.device.type != "cpu"} or met
    if len(met) > 1 and not moves:
        raise RuntimeError(f"{func}: expected all tensors on one device, found {sorted(map(str, met))}")
    device = torch.device(kwargs["device"]) if kwargs.get("device") is not None else None
    if device is None:
        device = args[0].device if moves else next(iter(met), torch.device("cpu"))
    plain = tree_map(lambda leaf: leaf.inner if isinstance(leaf, Placed) else leaf, (args, kwargs))
    if "device" in kwargs:
        plain[1]["device"] = torch.device("cpu")
    was = {
        id(inner): outer for outer, inner in zip(tree_leaves((args, kwargs)), tree_leaves(plain), strict=True)
    }

    def wrap(result: Any) -> Any:
        if not isinstance(result, Tensor) or id(result) in was:
            return was.get(id(result), result)
        return result if device.type == "cpu" else Placed(result, device)

    return tree_map(wrap, func(*plain[0], **plain[1]))


@contextmanager
def pretend_gpus() -> Iterator[None]:
    """Devices ``pretend:0`` and ``pretend:1`` exist inside."""
    _setup_privateuseone_for_python_backend("pretend")
    with mock.patch.object(torch, "inference_mode", torch.no_grad), _Constants(), _Operations():
        yield


def place(model: nn.Module, device_of: Callable[[str], str]) -> None:
    """Moves every parameter and buffer to the device its name is given."""
    for path, module in model.named_modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                moved = parameter.data.to(device_of(f"{path}.{name}"))
                module._parameters[name] = nn.Parameter(moved, requires_grad=False)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = buffer.to(device_of(f"{path}.{name}"))
