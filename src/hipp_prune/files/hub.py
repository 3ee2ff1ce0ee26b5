"""Hugging Face's hub: whether it answers, which is asked once; where it does not, its caches have to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from hipp_prune.files.system import cause

_PATIENCE = 10
"""Seconds that the hub may take to answer anything."""


@cache
def silence_of_hub() -> str | None:
    """Why the hub does not answer here; None where it does."""
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    try:
        get_session().head(constants.ENDPOINT, timeout=_PATIENCE)
    except Exception as error:  # noqa: BLE001 its client's HTTP library has changed, and with it what is raised
        return f"{constants.ENDPOINT}: {cause(error)}"
    return None


@contextmanager
def hub_or_its_cache() -> Iterator[None]:
    """While the block lasts, a hub that does not answer is not asked again and again; what it sent before is there."""
    from huggingface_hub import constants

    offline = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = offline or silence_of_hub() is not None
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = offline
