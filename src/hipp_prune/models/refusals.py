"""What a checkpoint's small files already tell: why it cannot be pruned, before a weight is read.

Each reason is one sentence that says what to do instead. Read are ``config.json``, the names of the files, and the
headers of the safetensors files, which name every tensor and its type.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import transformers
from huggingface_hub import model_info
from huggingface_hub.errors import HfHubHTTPError
from safetensors import SafetensorError, safe_open
from transformers import PreTrainedConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from hipp_prune.errors import CheckpointError, UnsupportedModelError
from hipp_prune.files.packages import require_packages
from hipp_prune.files.reading import read_document
from hipp_prune.models.declared import INDEX, REMEDY, check_index, read_index
from hipp_prune.models.other_formats import refuse_other_formats, refuse_pointers
from hipp_prune.models.uneven import is_elastic_plan

_QUANTISED = ("quantization_config", "compression_config")
"""Settings by which every quantiser marks its checkpoints, at the top or in a part of the model."""
READABLE = {"compressed-tensors": "compressed_tensors", "bitsandbytes": "bitsandbytes"}
"""Quantised checkpoints that can be asked, by their ``quant_method``, and the package that reads each."""
_QUANTISER_FILES = ("hf_quant_config.json", "quantize_config.json", "quant_config.json")
"""What ModelOpt, AutoGPTQ and AutoAWQ leave beside the weights."""
_NARROW_FLOATS = ("F8", "F4", "E8", "F6")
"""How the safetensors format's types of 8 bits and less begin."""
_INTEGERS = ("I8", "U8", "I16", "U16", "I32", "U32")
"""Types that no weight has unless it is packed."""
_FAILURES: tuple[type[Exception], ...] = (OSError, ValueError, *HfHubHTTPError.__bases__)
"""What the hub raises, and what lies below it where there is no network."""
_PATIENCE = 10
"""Seconds that the hub may take to say which files a model has."""
_OWN_CODE = {
    "internvl_chat": "OpenGVLab/InternVL3-1B-hf",
    "multi_modality": "deepseek-community/deepseek-vl-1.3b-chat or deepseek-community/Janus-Pro-1B",
}
"""Families that come with code of their own, and converted checkpoints that transformers reads, by model type."""
_LATER = {"minicpmv": "MiniCPM-V 4.6", "minicpmo": "MiniCPM-V 4.6"}
"""Families of which later models are in transformers, by the model type of the earlier ones."""


def refuse_early(source: Path | str, *, trust_remote_code: bool, quantised: bool = False) -> None:
    """Refuses what cannot be pruned as it is.

    Args:
        source: a checkpoint folder, or a hub name, of which the configuration and the files' names are looked at.
        trust_remote_code: whether the checkpoint may bring code.
        quantised: whether it is only to be asked, so that what ``READABLE`` names will do.

    Raises:
        InputError: if the package is missing that reads a quantised checkpoint.
        CheckpointError: if the checkpoint is quantised, in its authors' own layout, has weights in other formats alone
            (``other_formats``), or if its index is damaged or says something else than its files.
        UnsupportedModelError: if it asks for attention code from the hub, or is known to its own code alone.
    """
    config = _raw_config(source)
    readable = quantised and _is_readable(source, config)
    if not readable:
        _refuse_quantised(source, config)
    if not trust_remote_code:
        _refuse_kernels(source, config)
    if isinstance(source, Path):
        if not is_elastic_plan(source):
            refuse_other_formats(source, [path.name for path in source.iterdir()])
        refuse_pointers(source)
        headers = _headers(source)
        _refuse_other_places(source, headers)
        types = {name: kind for header in headers.values() for name, kind in header.items()}
        if not readable:
            _refuse_packed(source, types)
    else:
        _refuse_listed(source)
        types = {}
    _refuse_authors_layout(source, config, types)
    if not trust_remote_code:
        refuse_own_code(source, config)


def _raw_config(source: Path | str) -> dict[str, Any]:
    """The configuration as it is written; empty where it cannot be read, which whoever loads it will say better."""
    try:
        if isinstance(source, Path):
            path = source / "config.json"
            return read_document(path, dict[str, Any], remedy=REMEDY, error=CheckpointError, foreign=True)
        content, _ = PreTrainedConfig.get_config_dict(source)
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _parts(config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The configuration and those of the model's parts, after where they stand."""
    yield "config.json", config
    for name, part in config.items():
        if name.endswith("config") and isinstance(part, dict):
            yield f"config.json's {name}", part


def _is_readable(source: Path | str, config: Mapping[str, Any]) -> bool:
    """Whether a checkpoint is quantised in a way that can be asked.

    Raises:
        InputError: if it is, but the package is missing.
    """
    settings = config.get("quantization_config")
    method = settings.get("quant_method") if isinstance(settings, dict) else None
    package = READABLE.get(str(method))
    if package is not None:
        require_packages(f"{source}, quantised as {method},", [package], extra="quantize")
    return package is not None


def _refuse_quantised(source: Path | str, config: Mapping[str, Any]) -> None:
    for place, part in _parts(config):
        for key in _QUANTISED:
            if part.get(key):
                settings = part[key]
                method = settings.get("quant_method") if isinstance(settings, dict) else None
                raise _quantised(source, f"{place} has a {key} ({method or 'no quant_method'})")
    if isinstance(source, Path):
        for name in _QUANTISER_FILES:
            if (source / name).is_file():
                raise _quantised(source, f"there is a {name}")


def _quantised(source: Path | str, found: str) -> CheckpointError:
    return CheckpointError(
        f"{source}: expected floating-point weights, found a quantised checkpoint: {found}; prune first, then "
        f"quantise: give the checkpoint that this one was quantised from"
    )


def _refuse_packed(source: Path, types: Mapping[str, str]) -> None:
    for name, kind in types.items():
        packed = kind in _INTEGERS and name.endswith(("weight", "weight_packed"))
        if packed or kind.startswith(_NARROW_FLOATS):
            raise _quantised(source, f"{name} is stored as {kind}")


def _refuse_kernels(source: Path | str, config: Mapping[str, Any]) -> None:
    for place, part in _parts(config):
        for key, value in part.items():
            named = value.values() if isinstance(value, dict) else [value]
            kernels = [name for name in named if isinstance(name, str) and "/" in name]
            if "implementation" in key and kernels:
                raise UnsupportedModelError(
                    f"{source}: {place} asks for the kernel {kernels[0]!r} ({key}), code from the hub that would run "
                    f"here; remove that line (every model runs without it), or trust it with --trust-remote-code"
                )


def _refuse_listed(name: str) -> None:
    """Refuses a model of the hub by the names of its files; where the hub cannot be reached, nobody knows them."""
    try:
        told = model_info(name, timeout=_PATIENCE).siblings
    except _FAILURES:
        return
    files = [file.rfilename for file in told or ()]
    if found := [file for file in _QUANTISER_FILES if file in files]:
        raise _quantised(name, found[0])
    refuse_other_formats(name, files)


def _headers(source: Path) -> dict[str, dict[str, str]]:
    """The type of every tensor as the format spells it, by file; loading complains of damaged files, left out here."""
    headers: dict[str, dict[str, str]] = {}
    for path in sorted(source.glob("*.safetensors")):
        try:
            with safe_open(path, framework="pt") as file:
                names = file.keys()
                headers[path.name] = {name: str(file.get_slice(name).get_dtype()) for name in names}
        except (OSError, SafetensorError):
            continue
    return headers


def _refuse_other_places(source: Path, headers: Mapping[str, Mapping[str, str]]) -> None:
    """Refuses tensors that lie elsewhere than the index says, or twice."""
    if (source / INDEX).is_file():
        index = read_index(source)
        if headers.keys() >= set(index.files):
            check_index(source, index, {file: headers[file] for file in index.files})


def _refuse_authors_layout(source: Path | str, config: Mapping[str, Any], types: Mapping[str, str]) -> None:
    """Refuses models as their authors' own programs store them; others have an ``mm_projector`` of right (Kimi)."""
    _refuse_converted(source, config)
    if not str(config.get("model_type")).startswith("llava"):
        return
    named = [f"the tensor {name}" for name in types if "mm_projector" in name.split(".")]
    told = [f"{key} in config.json" for key in ("mm_projector_type", "mm_vision_tower") if key in config]
    for found in (*named, *told)[:1]:
        raise CheckpointError(
            f"{source}: expected transformers' layout, found that of LLaVA's authors ({found}); use the converted "
            f"checkpoint, {_converted(config)}"
        )


def _refuse_converted(source: Path | str, config: Mapping[str, Any]) -> None:
    kind = str(config.get("model_type"))
    if kind in _OWN_CODE:
        raise CheckpointError(
            f"{source}: expected transformers' layout, found that of its authors' own code ({kind}); use the converted "
            f"checkpoint, e.g. {_OWN_CODE[kind]}"
        )


def refuse_own_code(source: Path | str, config: Mapping[str, Any] | None = None) -> None:
    """Refuses a model that transformers has no class of: nothing could open its blocks in widths of their own.

    Raises:
        CheckpointError: if the authors' checkpoints have been converted, naming one.
        UnsupportedModelError: if not.
    """
    config = _raw_config(source) if config is None else config
    _refuse_converted(source, config)
    kind = str(config.get("model_type"))
    if "auto_map" not in config or kind in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        return
    later = f"; {_LATER[kind]} and later are" if kind in _LATER else ""
    raise UnsupportedModelError(
        f"{source}: expected a model that transformers has an image-text-to-text class of, found {_called(config)!r}, "
        "which comes with code of its own (auto_map in config.json); that code cannot open blocks of uneven width, so "
        f"it is not supported{later}; `hipp-prune models` lists what is"
    )


def unread(source: Path | str, error: Exception, gist: str) -> UnsupportedModelError:
    """Why transformers cannot read a configuration, and what helps.

    Args:
        source: the checkpoint.
        error: what transformers raised.
        gist: of that.
    """
    if kind := re.search("has model type `(.*?)`", str(error)):
        return UnsupportedModelError(
            f"{source}, config.json: expected a model type that transformers {transformers.__version__} knows, found "
            f"`{kind[1]}`; give a checkpoint that was converted to transformers' layout, or install a newer "
            "transformers if the model is newer; `hipp-prune models` lists what can be pruned"
        )
    return UnsupportedModelError(
        f"{source}: transformers cannot read its configuration ({gist}); `hipp-prune models` lists what can be pruned"
    )


def _called(config: Mapping[str, Any]) -> str:
    """The model type, or where there is none (CogVLM2) the class that the authors name."""
    classes = config.get("architectures")
    first = classes[0] if isinstance(classes, list) and classes else "a model without a model_type"
    return str(config.get("model_type") or first)


def _converted(config: Mapping[str, Any]) -> str:
    """The hub's conversion of a checkpoint in the authors' layout."""
    large = config.get("hidden_size") == 5120
    kind = str(config.get("model_type"))
    if "mobileclip" in str(config.get("mm_vision_tower")):
        return "e.g. KamilaMila/FastVLM-7B"
    if "qwen" in kind:
        return "e.g. llava-hf/llava-onevision-qwen2-7b-ov-hf"
    if "mistral" in kind:
        return "e.g. llava-hf/llava-v1.6-mistral-7b-hf"
    size = "13b" if large else "7b"
    if config.get("image_aspect_ratio") == "anyres":
        return f"e.g. llava-hf/llava-v1.6-vicuna-{size}-hf"
    return f"e.g. llava-hf/llava-1.5-{size}-hf"
