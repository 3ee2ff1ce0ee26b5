"""What lies in a folder where safetensors weights were expected: formats of other programs, and what to do then."""

from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from hipp_prune.errors import CheckpointError
from hipp_prune.files.reading import read_document
from hipp_prune.models.declared import INDEX, REMEDY

SINGLE = "model.safetensors"
"""The file of weights where there is one."""
ADAPTER = "adapter_config.json"
"""What PEFT leaves in a folder, which transformers then adds to the weights."""
_POINTER = b"version https://git-lfs"
_FETCHED = ("*.safetensors", "tokenizer.json", "tokenizer.model")
"""Files that a clone without Git LFS has as pointers of three lines."""
_PICKLED = ("*.bin", "*.pth", "*.pt", "*.ckpt")

NO_SAFETENSORS = (
    "expected safetensors weights; a pickle (.bin) can run code when it is opened, so convert a checkpoint you trust: "
    "load it with transformers and call model.save_pretrained(NEW, safe_serialization=True)"
)
"""What to do with a checkpoint of pickled weights."""
_OTHERS = {
    "*.gguf": "a file of llama.cpp ({found}); give the checkpoint that it was converted from",
    "openvino_*.xml": "a model of OpenVINO ({found}); give the checkpoint that it was converted from",
    "*.onnx": "graphs of ONNX ({found}); give the checkpoint that they were exported from",
    "consolidated*.safetensors": (
        "Mistral's own layout ({found}); give the checkpoint in transformers' layout, e.g. "
        "mistral-community/pixtral-12b or mistralai/Mistral-Small-3.1-24B-Instruct-2503"
    ),
    "*.safetensors": "{found} under another name; name it so, or bring the index of its files",
}
"""What may be there instead, and what to do then, the surer sign first."""


def refuse_other_formats(source: Path | str, files: Sequence[str]) -> None:
    """Refuses a checkpoint whose weights are not in safetensors files that transformers opens.

    Args:
        source: a checkpoint folder or a hub name.
        files: the names of its files.

    Raises:
        CheckpointError: saying what is there, and what to do with it.
    """
    if ADAPTER in files:
        base = _base(source) if isinstance(source, Path) else ""
        raise CheckpointError(
            f"{source}: expected a whole model, found an adapter of PEFT{base} ({ADAPTER}); merge it first: load its "
            "base model, PeftModel.from_pretrained(base, ADAPTER).merge_and_unload().save_pretrained(NEW), and copy "
            "the base model's tokenizer and processor there"
        )
    if SINGLE in files or INDEX in files:
        return
    for pattern, what in _OTHERS.items():
        if found := sorted(file for file in files if fnmatch(file, pattern)):
            raise CheckpointError(
                f"{source}: expected {SINGLE} or {INDEX}, found {what.format(found=found[0])}"
            )
    pickled = sorted(file for file in files if any(fnmatch(file, pattern) for pattern in _PICKLED))
    if pickled:
        raise CheckpointError(
            f"{source}: {NO_SAFETENSORS}, and copy the tokenizer's and processor's files there (found {pickled[0]})"
        )


def refuse_pointers(source: Path) -> None:
    """Refuses a folder that was cloned without Git LFS.

    Raises:
        CheckpointError: naming the first file that is a pointer.
    """
    for path in sorted(path for pattern in _FETCHED for path in source.glob(pattern)):
        try:
            with path.open("rb") as file:
                begin = file.read(len(_POINTER))
        except OSError:  # whoever opens it says so
            continue
        if begin == _POINTER:
            raise CheckpointError(
                f"{path} is a pointer of Git LFS, not the file itself; call `git lfs pull` in that folder, or download "
                "the checkpoint with `hf download`"
            )


def _base(folder: Path) -> str:
    """Of which model an adapter is, if it says so."""
    told = read_document(
        folder / ADAPTER, dict[str, object], remedy=REMEDY, error=CheckpointError, foreign=True
    )
    name = told.get("base_model_name_or_path")
    return f" of {name}" if isinstance(name, str) and name else ""
