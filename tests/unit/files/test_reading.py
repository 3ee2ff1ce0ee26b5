"""Text files: read whole, or refused before anything waits for an end that never comes."""

import os
from pathlib import Path

import pytest

from hipp_prune.errors import InputError
from hipp_prune.files.reading import read_text


def test_a_pipe_and_a_device_are_refused_unread(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    for path in (tmp_path / "pipe", tmp_path / "link"):
        with pytest.raises(InputError, match=f"{path}: expected a file, found a pipe or a device.*; write"):
            read_text(path, remedy="give a file", error=InputError)
