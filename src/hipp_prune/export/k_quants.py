"""K-quants of a GGUF file: by llama.cpp's program ``llama-quantize``, or tensor by tensor by the wheel that packs it.

The program reads a file in 16 bits. Where it is missing, the same functions of llama.cpp are called in ``xllamacpp``,
and which tensor becomes which type is told here: as llama.cpp's recipes for a Llama have it (``llama-quant.cpp``).
"""

import ctypes
import re
import shutil
import subprocess
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hipp_prune.errors import InputError, RunError

PROGRAM = "llama-quantize"
WHEEL = "xllamacpp"
K_QUANTS = {"q4_k_m": "Q4_K", "q5_k_m": "Q5_K", "q6_k": "Q6_K"}
"""Precisions that these make, ``gguf``'s own writer knows none of them; and the type of most matrices in each."""
K_BLOCK = 256
"""Numbers of a row that a K-quant packs together."""
_SMALL_BLOCK = 32
_SMALLER = {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
"""What a matrix becomes whose rows are no multiples of 256, but of 32."""

RowQuantiser = Callable[[NDArray[np.float32], Any, int], NDArray[np.uint8]]
"""Packs a matrix, [rows, columns], into a type of ggml, given its size in bytes."""


def find_program(precision: str) -> str | None:
    """The path of llama.cpp's ``llama-quantize``; None where the wheel is to do it.

    Raises:
        InputError: if neither is there.
    """
    found = shutil.which(PROGRAM)
    if found is None and find_spec(WHEEL) is None:
        raise InputError(
            f"--precision {precision} needs {PROGRAM}, a program of llama.cpp, which is not on the PATH, or a wheel "
            f"that has its functions (pip install {WHEEL}); or give --precision q8_0 or q4_0, which need neither"
        )
    return found


def quantise_file(program: str, full: Path, out: Path, precision: str) -> None:
    """Makes a file of fewer bits of one in 16 bits.

    Args:
        program: from ``find_program``.
        full: file to read.
        out: file to write.
        precision: one of ``K_QUANTS``.

    Raises:
        RunError: with what the program said last, if it fails.
    """
    done = subprocess.run(
        [program, str(full), str(out), precision.upper()], capture_output=True, text=True, check=False
    )
    if done.returncode or not out.is_file():
        said = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["it said nothing"]
        raise RunError(
            f"{PROGRAM} failed on {out.name}: {said[0]}; write --precision f16 and quantise that by hand"
        )


def type_of(name: str, precision: str, *, row: int, blocks: int, tied: bool) -> str:
    """The type that a recipe stores a matrix in.

    Args:
        name: of the tensor in the file.
        precision: one of ``K_QUANTS``.
        row: its columns.
        blocks: of the model.
        tied: whether the embeddings are the head too.
    """
    part = re.fullmatch(r"blk\.(\d+)\.(attn_v|ffn_down)\.weight", name)
    finer = name == ("token_embd.weight" if tied else "output.weight")
    finer |= part is not None and _gets_more_bits(int(part[1]), blocks)
    kind = "Q6_K" if finer else K_QUANTS[precision]
    if row % K_BLOCK == 0:
        return kind
    return "F16" if row % _SMALL_BLOCK else _SMALLER[kind]


def _gets_more_bits(block: int, blocks: int) -> bool:
    """Whether a block is among the first or last eighth, or every third in between."""
    return block < blocks // 8 or block >= 7 * blocks // 8 or (block - blocks // 8) % 3 == 2


def wheel_quantiser() -> RowQuantiser:
    """ggml's own function, as the wheel has it."""
    library: Any = ctypes.CDLL(import_module(f"{WHEEL}.{WHEEL}").__file__)
    pack = library.ggml_quantize_chunk
    pack.restype = ctypes.c_size_t
    pack.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 3, ctypes.c_void_p]

    def quantise(matrix: NDArray[np.float32], kind: Any, size: int) -> NDArray[np.uint8]:
        numbers = np.ascontiguousarray(matrix, dtype=np.float32)
        packed = np.empty(size, dtype=np.uint8)
        written = pack(int(kind), numbers.ctypes.data, packed.ctypes.data, 0, *numbers.shape, None)
        assert written == size, f"ggml wrote {written} bytes of {size}"
        return packed

    return quantise
