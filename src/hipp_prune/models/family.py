"""A row of the table of supported models; see ``families``."""

from dataclasses import dataclass

from hipp_prune.models.adapter import Adapter


@dataclass(frozen=True, kw_only=True)
class Family:
    """Models that share a prompt format and a way to take images."""

    name: str
    """As its authors write it."""
    model_type: str
    """transformers' ``model_type``."""
    adapter: type[Adapter]
    """How it is reached."""
    tested: str
    """What has actually been run."""
    chat_template: str | None = None
    """The authors' own way to write a prompt, where their checkpoints come without a template."""
