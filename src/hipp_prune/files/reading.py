"""Files that an earlier stage wrote, read back."""

import json
from pathlib import Path
from typing import Any

from hipp_prune.errors import IncompleteRunError


def read_json(path: Path, *, made_by: str) -> Any:
    """Reads a JSON file that an earlier stage wrote.

    Raises:
        IncompleteRunError: if it is missing or cut off, naming the command that writes it.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise IncompleteRunError(f"{path} does not exist; write it with `{made_by}`") from error
    except ValueError as error:
        raise IncompleteRunError(
            f"{path} is cut off or not JSON ({error}); write it again with `{made_by}`"
        ) from error
