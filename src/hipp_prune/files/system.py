"""What the system says when a file cannot be read or written, and what to do about it."""

import errno
from pathlib import Path

_LONGEST = 300
"""Characters quoted of what an exception says."""

_SPACE = "free space and give the same command again"
_PERMISSION = "change its permissions or choose another place"
_REMEDIES = {
    None: "free space or choose another place",  # a library's own words, in which the system's are hidden
    errno.EFBIG: "free space or choose another place",
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
    errno.EROFS: "choose a place that can be written",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOENT: "check the path",
    errno.EEXIST: "choose another place",
    errno.EISDIR: "give a file instead of a folder",
    errno.ENOTDIR: "choose another place",
    errno.ELOOP: "remove the link, or choose another place",
    errno.ENXIO: "give a regular file",
    errno.EMFILE: "allow more open files (`ulimit -n`)",
}


def cause(error: Exception) -> str:
    """What an exception says, in one line."""
    said = getattr(error, "strerror", None) or str(error)
    text = " ".join(str(said).split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def cause_and_remedy(error: Exception, path: Path | None = None) -> str:
    """Why something failed and what to do, as the end of a sentence.

    Args:
        error: what the system raised, or a library that wraps it.
        path: what was read or written; a file among the folders above it is named.
    """
    number = getattr(error, "errno", None)
    if path is not None and number in (errno.ENOTDIR, errno.EEXIST):
        blocking = [above for above in path.absolute().parents if above.exists() and not above.is_dir()]
        if blocking:
            return f"{blocking[-1]} is no folder; choose another place"
    return f"{cause(error)}; {_REMEDIES.get(number, 'choose another place')}"
