"""Is everything here that the work needs: packages, devices, memory, disk, and one's own model.

Nothing heavy is imported before it is looked for, so that a broken installation is a finding and no crash.
"""

import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from hipp_prune.errors import HippPruneError
from hipp_prune.files.machine import (
    all_memory,
    cpu_limit,
    free_disk,
    free_memory,
    memory_limit,
    usable_cpus,
)
from hipp_prune.files.sizes import format_bytes
from hipp_prune.files.system import cause
from hipp_prune.stages.settings import LoadSettings

if TYPE_CHECKING:
    from hipp_prune.stages.outlook import Outlook

_SHOWN = ("hipp-prune", "torch", "transformers")
_OPTIONAL = {
    "gguf": ("export --format gguf", "pip install '.[gguf]'"),
    "onnxruntime": ("export --format onnx", "pip install '.[onnx]'"),
    "pymoo": ("compare, bench-search, paper, search --method nsga2", "pip install '.[experiments]'"),
    "pyarrow": ("questions in .parquet tables", "pip install pyarrow"),
    "datasets": ("--questions hf:OWNER/NAME, and folders that it saved", "pip install datasets"),
    "lmms_eval": ("--questions lmms-eval:TASK", "pip install lmms-eval"),
    "tensorboard": ("watching search and recover", "pip install '.[tensorboard]'"),
    "torchvision": ("image processors that exist for it alone", "pip install torchvision"),
}
"""By the name it is imported by: what it enables, and how to get it."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    name: str
    found: str
    missing: bool = False
    """Whether it would stop the work."""


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """All that was looked at."""

    findings: tuple[Finding, ...]
    outlook: "Outlook | None" = None
    """How long each stage takes here, of a model that is named and supported."""

    @property
    def healthy(self) -> bool:
        """Whether nothing is missing that would stop the work."""
        return not any(finding.missing for finding in self.findings)


def doctor(model: str | None = None, loading: LoadSettings = LoadSettings()) -> Diagnosis:
    """Looks at the installation and the machine, and at a model as far as that needs no weights.

    Args:
        model: a checkpoint folder, a hub name or an embedded model; None to leave it out.
        loading: how it would be loaded.
    """
    findings = [*_packages(), *_machine()]
    if not any(finding.missing for finding in findings):
        findings += [] if model is None else _examined("model", lambda: _model(model, loading))
        findings += _examined("device", lambda: _devices(loading))
    if model is None or any(finding.missing for finding in findings):
        return Diagnosis(findings=tuple(findings))
    from hipp_prune.stages.outlook import outlook

    found = outlook(model, loading=loading, measure=False)
    findings += [Finding(name="would be refused", found=why, missing=True) for why in found.refused]
    return Diagnosis(findings=tuple(findings), outlook=found)


def _packages() -> Iterator[Finding]:
    """Python, what we need and whether it is new enough, and what only some commands need."""
    yield Finding(name="python", found=platform.python_version())
    for name in _SHOWN:
        installed = _version(name)
        yield Finding(name=name, found=installed or "not installed", missing=installed is None)
    for needed, installed in _unmet():
        yield Finding(name="package", found=f"{needed} is needed, found {installed or 'none'}", missing=True)
    for name, (enables, command) in _OPTIONAL.items():
        there = find_spec(name) is not None
        yield Finding(
            name=name,
            found=f"{_version(name) or 'there' if there else f'not installed: {command}'} ({enables})",
        )


def _unmet() -> Iterator[tuple[str, str | None]]:
    """Requirements of ours that the installed packages do not meet, and what is installed."""
    from packaging.requirements import Requirement

    try:
        needed = [Requirement(text) for text in requires("hipp-prune") or ()]
    except PackageNotFoundError:
        return
    for each in needed:
        if each.marker is not None and not each.marker.evaluate({"extra": ""}):
            continue
        installed = _version(each.name)
        if installed is None or not each.specifier.contains(installed, prereleases=True):
            yield f"{each.name}{each.specifier}", installed


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _machine() -> Iterator[Finding]:
    """Processors, memory, and disk where things are written and where the hub's models lie."""
    allowed, there = usable_cpus(), os.cpu_count() or 1
    limited = f"; a control group allows {cpu_limit():g}" if cpu_limit() < there else ""
    yield Finding(name="processors", found=f"{allowed} of {there} may be used{limited}")
    limited = ", which a control group allows" if memory_limit() <= all_memory() else ""
    found = f"{format_bytes(free_memory())} free of {format_bytes(all_memory())}{limited}"
    yield Finding(name="memory", found=found)
    cache = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    for name, place in (("disk here", Path()), ("disk of hub models", cache)):
        yield Finding(name=name, found=f"{format_bytes(free_disk(place))} free at {place.absolute()}")


def _devices(loading: LoadSettings) -> Iterator[Finding]:
    """Every GPU there is, and what the work would run on."""
    import torch

    from hipp_prune.models.devices import SPLIT, describe_device, parse_device

    for index in range(torch.cuda.device_count()):
        yield Finding(name="GPU", found=describe_device(torch.device("cuda", index)))
    if loading.device != SPLIT:
        yield Finding(name="device", found=describe_device(parse_device(loading.device)))


def _model(model: str, loading: LoadSettings) -> Iterator[Finding]:
    """Whether a model's family, its processor and its weights are what pruning needs."""
    from hipp_prune.models.described import describe_sizes
    from hipp_prune.models.families import family_of
    from hipp_prune.models.loading import has_weights, is_hub_name, read_config
    from hipp_prune.models.processor import Processor
    from hipp_prune.models.stock import takes_videos
    from hipp_prune.stages.loading import check_model, set_threads

    trust = loading.trust_remote_code
    folder = check_model(model, loading, weights=False)
    sizes = describe_sizes(folder, dtype=loading.dtype, trust_remote_code=trust)
    family = family_of(read_config(folder, trust_remote_code=trust))
    tested = (
        "found by its structure; `hipp-prune models --check` tries it" if family is None else family.tested
    )
    yield Finding(name="family", found=f"{sizes.family}, supported ({tested})")
    set_threads(sizes.language_parameters)
    found = f"{sizes.parameters:,} parameters, {format_bytes(sizes.bytes)} in memory"
    yield Finding(name="size", found=found)

    def processor() -> Iterator[Finding]:
        config = read_config(folder, trust_remote_code=trust)
        Processor.load(folder, config, trust_remote_code=trust)
        found = "loads"
        if takes_videos(config) and find_spec("torchvision") is None:
            found += (
                " without torchvision, which transformers' own AutoProcessor of this family needs for videos"
            )
        yield Finding(name="processor", found=found)

    yield from _examined("processor", processor)
    there, comes = has_weights(folder), is_hub_name(model)
    if there:
        found = "there"
    elif comes:
        found = "not downloaded yet; the first command that needs them does that"
    else:
        found = f"no *.safetensors in {folder}, or not all; download the whole checkpoint"
    yield Finding(name="weights", found=found, missing=not (there or comes))


def _examined(name: str, look: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """What a look finds; why it ended, where it did."""
    found: list[Finding] = []
    try:
        found.extend(look())
    except HippPruneError as error:
        found.append(Finding(name=name, found=str(error), missing=True))
    except Exception as error:  # noqa: BLE001 a broken installation raises anything, and is what we look for
        found.append(Finding(name=name, found=f"{type(error).__name__}: {cause(error)}", missing=True))
    return found
