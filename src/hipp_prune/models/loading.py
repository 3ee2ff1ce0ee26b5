"""Opens a checkpoint strictly, with one clear sentence for each way it can be wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from math import prod
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, StrictDataclassError
from safetensors import SafetensorError, safe_open
from transformers import (
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    AutoConfig,
    AutoModelForImageTextToText,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.utils import logging

from hipp_prune import distributed
from hipp_prune.errors import CheckpointError, InputError, UnsupportedModelError
from hipp_prune.files.hub import hub_or_its_cache, silence_of_hub
from hipp_prune.files.places import found_instead
from hipp_prune.files.replacing import finish_replacement
from hipp_prune.files.system import cause
from hipp_prune.models import structure
from hipp_prune.models.declared import REMEDY, ModelSettings, check_config, check_from_hub
from hipp_prune.models.fused import split_fused
from hipp_prune.models.other_formats import NO_SAFETENSORS
from hipp_prune.models.refusals import refuse_early, unread
from hipp_prune.models.uneven import PREFIXES, is_elastic_plan, is_stock, uneven, weight_files
from hipp_prune.models.unpacking import stay_in_place

TOYS = ("toy-llava", "toy-qwen2.5-vl")
"""Models that come with the package."""

_LARGER = 4
"""How often a model may hold the parameters of its files: a tied head counts twice before it is tied."""

_PACKED = {"I32": 8, "U8": 2}
"""Weights of 4 bits that one number of a packed type holds."""

_LONGEST = 300
"""Characters quoted of what a library says."""

_SMALL = ("*.json", "*.jinja", "*.model", "*.txt", "*.tiktoken", "*.py")
"""A hub model's configuration, tokenizer, processor and code: all but its weights."""

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def find_source(name: str | Path) -> Path | str:
    """The checkpoint folder ``name`` stands for, or the name itself if it can only be the hub's.

    Raises:
        CheckpointError: if it is a path without a checkpoint, or no plan of the elastic checkpoint above it.
        RunError: if another process is replacing it just now.
    """
    if name in TOYS:
        return _toy_folder(str(name))
    path = Path(name).expanduser()
    for place in (path, path.parent):  # a plan lies in its elastic checkpoint
        if place.name:
            finish_replacement(place)
    if (path / "config.json").is_file():
        return path
    if plans := sorted(each.parent.name for each in path.parent.glob(f"*/{PREFIXES}")):
        raise CheckpointError(
            f"{path.parent} has no plan {path.name}; give one of those it has: {', '.join(plans)}"
        )
    remedy = f"give a checkpoint folder, a hub name (owner/model) or one of {', '.join(TOYS)}"
    text = str(name)
    if path.exists() or isinstance(name, Path) or text.startswith((".", "/", "~")) or text.count("/") != 1:
        found = found_instead(path, remedy, among=TOYS)
        raise CheckpointError(f"expected a checkpoint folder with config.json, but {found}")
    return text


def _toy_folder(name: str) -> Path:
    folder = Path(__file__).parent / "embedded" / name
    if not (folder / "config.json").is_file():
        raise CheckpointError(
            f"{name}: the toy models are not part of this installation; reinstall hipp-prune"
        )
    return folder


def companions(source: Path) -> Path:
    """The folder of a checkpoint's tokenizer and processor: for a plan, its elastic checkpoint's."""
    return source.parent if is_elastic_plan(source) else source


def read_config(source: Path | str, *, trust_remote_code: bool = False) -> PreTrainedConfig:
    """The configuration of a checkpoint.

    Raises:
        CheckpointError: if there is none, it cannot be read, or the hub cannot be reached.
        UnsupportedModelError: if transformers does not know the model type.
    """
    local = isinstance(source, Path)
    if isinstance(source, Path):
        check_config(source)
    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(
            str(source), trust_remote_code=trust_remote_code, local_files_only=local
        )
    except OSError as error:
        if not local:
            raise _not_provided(source, error) from error
        raise CheckpointError(f"{source}: its config.json cannot be read ({_gist(error)})") from error
    except StrictDataclassError as error:
        raise CheckpointError(f"{source}: its config.json is not valid ({_gist(error)})") from error
    except Exception as error:  # whatever transformers comes to over a config that is not its own
        raise unread(source, error, _gist(error)) from error
    if not local:
        check_from_hub(config.to_json_string(use_diff=False), ModelSettings, where=f"{source}, config.json")
    return config


def load_weights(
    source: Path | str,
    config: PreTrainedConfig,
    model_class: Any,
    *,
    device: torch.device | None,
    dtype: str = "auto",
) -> PreTrainedModel:
    """The stock model with the checkpoint's weights, every tensor accounted for.

    Args:
        source: checkpoint folder or hub name.
        config: of the checkpoint.
        model_class: from ``find_class``.
        device: where the model goes; without one it is split over this worker's GPUs.
        dtype: ``auto`` (the checkpoint's own) or a name of torch's.

    Raises:
        CheckpointError: if a tensor is missing, unexpected, of the wrong shape or not finite, or a file is damaged or
            absent.
        UnsupportedModelError: if code from the checkpoint made a model that cannot take encoded images.
        InputError: if the GPUs do not hold the model.
    """
    options: dict[str, Any] = {
        "config": config,
        "dtype": parse_dtype(dtype),
        "local_files_only": isinstance(source, Path),
        "ignore_mismatched_sizes": True,
        "output_loading_info": True,
        "use_safetensors": True,
    }
    if model_class is AutoModelForImageTextToText:
        options["trust_remote_code"] = True
    if device is None:
        options |= {"device_map": "auto", "max_memory": _own_memory()}
    try:
        with quiet():
            model, info = model_class.from_pretrained(str(source), **options)
    except Exception as error:  # whatever transformers comes to over files that do not fit together
        if "use_safetensors" in str(error):
            raise CheckpointError(f"{source}: {NO_SAFETENSORS}") from error
        raise CheckpointError(
            f"{source}: the weights cannot be loaded ({type(error).__name__}: {_gist(error)}); a file is missing "
            f"or damaged, get or write the checkpoint again"
        ) from error
    _check_complete(source, info)
    structure.check_class(type(model))
    if device is None:
        _check_split(source, model)
    loaded: PreTrainedModel = model if device is None else model.to(device)
    stay_in_place(loaded)
    check_finite(source, loaded)
    return loaded


def _own_memory() -> dict[int | str, int]:
    """Bytes free on each of this worker's GPUs, and in the machine's memory."""
    from accelerate.utils import get_max_memory

    own = distributed.gpus(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    return {place: size for place, size in get_max_memory().items() if place in own or place == "cpu"}


def _check_split(source: Path | str, model: PreTrainedModel) -> None:
    """Refuses a model part of which stayed outside the GPUs.

    Args:
        source: its name in the error.
        model: as ``device_map`` left it.
    """
    outside = sum(parameter.is_meta for parameter in model.parameters())
    if outside:
        raise InputError(
            f"{source}: the GPUs of this worker have no room for {outside} of its tensors, and pruning cannot reach "
            "weights that are fetched anew for every pass; use more GPUs a worker (fewer workers), or --dtype bfloat16"
        )


def parse_dtype(dtype: str) -> Any:
    """``auto`` (the checkpoint's own) or a torch dtype.

    Raises:
        InputError: for any other name.
    """
    if dtype != "auto" and dtype not in _DTYPES:
        raise InputError(f"dtype must be auto, {', '.join(_DTYPES)}; got {dtype!r}")
    return _DTYPES.get(dtype, "auto")


def find_class(source: Path | str, config: PreTrainedConfig, *, trust_remote_code: bool) -> Any:
    """The stock class of a checkpoint, found fit for pruning as far as its configuration tells.

    Blocks of uneven width (a pruned checkpoint) get a class of our own, without remote code.

    Raises:
        CheckpointError: if the configuration describes no model, or one far larger than its files.
        UnsupportedModelError: if it is no image-text-to-text model, cannot take encoded images, or lacks something.
    """
    stock: Any = MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING.get(type(config), None)
    if stock is None:
        if trust_remote_code:
            return AutoModelForImageTextToText
        raise UnsupportedModelError(
            f"{source}: expected a vision-language model, found model type {config.model_type!r}, which transformers "
            f"does not list for image-text-to-text; `hipp-prune models` lists what can be pruned"
        )
    structure.check_class(stock)
    try:
        model_class = stock if is_stock(config) and not is_elastic_plan(source) else uneven(stock)
    except ValueError as error:
        raise CheckpointError(f"{source}: {error}") from error
    described = without_weights(source, config, model_class)
    structure.check_structure(described)
    if isinstance(source, Path):
        _check_size(source, described)
    return model_class


def describe_model(
    source: Path | str, config: PreTrainedConfig, *, trust_remote_code: bool = False
) -> PreTrainedModel:
    """The model that a configuration describes, found fit for pruning, taking no memory.

    Raises:
        CheckpointError, UnsupportedModelError: see ``find_class``.
    """
    return without_weights(source, config, find_class(source, config, trust_remote_code=trust_remote_code))


def without_weights(source: Path | str, config: PreTrainedConfig, model_class: Any) -> PreTrainedModel:
    """The model that a configuration describes, taking no memory."""
    try:
        with torch.device("meta"), quiet():
            model: PreTrainedModel = model_class(deepcopy(config))
            split_fused(model)
    except ImportError as error:
        raise UnsupportedModelError(
            f"{source}: {config.model_type} needs a package that is not installed ({_gist(error)}); install it, or "
            f"remove what asks for it from config.json"
        ) from error
    except Exception as error:  # whatever a stock class comes to over settings that contradict each other
        raise CheckpointError(
            f"{source}: its config.json describes no model ({type(error).__name__}: {_gist(error)}); {REMEDY}"
        ) from error
    return model


def _check_size(source: Path, described: PreTrainedModel) -> None:
    """Refuses a configuration that describes a model far larger than its files, before memory is taken."""
    needed = sum(parameter.numel() for parameter in described.parameters())
    stored = _stored_elements(source)
    if 0 < _LARGER * stored < needed:
        raise CheckpointError(
            f"{source}: its config.json describes a model of {needed:,} parameters, but its files hold {stored:,}; "
            f"{REMEDY}"
        )


def _stored_elements(source: Path) -> int:
    """Elements of all tensors in a folder's safetensors files, those counted that are packed into others.

    Of a plan, those in the files of its elastic checkpoint too.
    """
    count = 0
    try:
        for path in (
            path for folder in {source, companions(source)} for path in folder.glob("*.safetensors")
        ):
            with safe_open(path, framework="pt") as file:
                slices = [file.get_slice(name) for name in file.keys()]  # noqa: SIM118
                count += sum(prod(each.get_shape()) * _PACKED.get(each.get_dtype(), 1) for each in slices)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path}: the weights cannot be loaded ({cause(error)}); the file is missing or damaged, {REMEDY}"
        ) from error
    return count


def _check_complete(source: Path | str, info: dict[str, Any]) -> None:
    """Refuses a checkpoint that does not fill the model exactly."""
    found = []
    for kind in ("missing", "unexpected", "mismatched"):
        keys = sorted(str(key[0] if isinstance(key, tuple) else key) for key in info[f"{kind}_keys"])
        if keys:
            found.append(f"{len(keys)} {kind} ({', '.join(keys[:3])}{', …' if len(keys) > 3 else ''})")
    if found:
        raise CheckpointError(
            f"{source}: the weights do not fit the model its config.json describes: {'; '.join(found)}; get or write "
            f"the checkpoint again"
        )


def check_finite(source: Path | str, model: PreTrainedModel) -> None:
    """Refuses weights that are no numbers: one pass in memory, 0.2 s a GB on two CPU cores.

    Raises:
        CheckpointError: naming the first tensor that holds one.
    """
    for name, parameter in model.named_parameters():
        if not parameter.is_floating_point() or not parameter.numel():
            continue
        wide = parameter.detach().float() if parameter.itemsize == 1 else parameter.detach()
        ends = torch.stack(wide.aminmax()).float()
        if not ends.isfinite().all():
            what = "NaN" if ends.isnan().any() else "infinite values"
            raise CheckpointError(
                f"{source}: expected finite weights, found {what} in {name}; the checkpoint was damaged in training or "
                f"conversion, get it again"
            )


@contextmanager
def quiet() -> Iterator[None]:
    """Silences transformers' loading bar and report: what is wrong with a checkpoint is in our error."""
    was_enabled, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if was_enabled:
            logging.enable_progress_bar()


def _gist(error: BaseException) -> str:
    """The beginning of what a library says; the rest is its advice for other situations."""
    text = " ".join(line.strip() for line in str(error).strip().split("\n")[:2])
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def has_weights(folder: Path) -> bool:
    """Whether all files of a checkpoint's weights are there, and not only the small files that the hub has sent."""
    files = weight_files(folder)
    return bool(files) and all(file.is_file() for file in files)


def is_hub_name(name: str | Path) -> bool:
    """Whether a model is none of this machine's folders.

    Raises:
        CheckpointError: if it is a path without a checkpoint.
    """
    return not isinstance(find_source(name), Path)


def local_folder(name: str | Path, *, weights: bool = True) -> Path:
    """The folder a model's files lie in; a hub name is downloaded (once, into the hub's own cache).

    ``weights``: whether these are needed; without them a hub name costs the megabytes of its other files.

    Raises:
        CheckpointError: if there is no such folder, the hub cannot be reached, or what it has cannot be pruned.
    """
    source = find_source(name)
    if isinstance(source, Path):
        return source
    with hub_or_its_cache():
        refuse_early(source, trust_remote_code=True)
        try:
            return Path(snapshot_download(source, allow_patterns=None if weights else list(_SMALL)))
        except (OSError, ValueError, HfHubHTTPError) as error:
            raise _not_provided(source, error) from error


def _not_provided(name: Path | str, error: Exception) -> CheckpointError:
    """A model that is no folder here and did not come from the hub."""
    silence = silence_of_hub()
    why = f"and the hub did not provide it ({_gist(error)})"
    if silence is not None:
        why = f"no copy in the hub's cache, and the hub cannot be reached ({silence})"
    return CheckpointError(
        f"{name}: there is no such folder here, {why}; check the name and the network, or give the path of a "
        "downloaded checkpoint"
    )
