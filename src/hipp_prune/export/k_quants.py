"""K-quants of a GGUF file, which llama.cpp's own program ``llama-quantize`` makes of one in 16 bits."""

import shutil
import subprocess
from pathlib import Path

from hipp_prune.errors import InputError, RunError

PROGRAM = "llama-quantize"
K_QUANTS = ("q4_k_m", "q5_k_m", "q6_k")
"""Precisions that it makes; ``gguf``'s own writer knows none of them."""


def find_program(precision: str) -> str:
    """The path of llama.cpp's ``llama-quantize``.

    Raises:
        InputError: if it is not on the PATH.
    """
    found = shutil.which(PROGRAM)
    if found is None:
        raise InputError(
            f"--precision {precision} needs {PROGRAM}, a program of llama.cpp, which is not on the PATH; install "
            "llama.cpp, or give --precision q8_0 or q4_0, which need none"
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
