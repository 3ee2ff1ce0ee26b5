"""The name of a temporary file whose process is gone."""

import os
import re
import subprocess
import sys
from pathlib import Path

from hipp_prune.files.replacing import temporary_name


def left_over(path: Path) -> Path:
    """What a process that was killed would have left of ``path``."""
    ended = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    ours = temporary_name(path)
    return ours.with_name(
        re.sub(rf"\.{os.getpid():06x}(?=[0-9a-f]{{6}}\.tmp)", f".{int(ended.stdout):06x}", ours.name)
    )
