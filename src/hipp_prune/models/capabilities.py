"""What a family cannot do, said before work begins: commands ask here, once they know the checkpoint's name."""

from pathlib import Path

from hipp_prune.errors import UnsupportedModelError
from hipp_prune.models.families import family_of
from hipp_prune.models.family import Capability
from hipp_prune.models.loading import find_source, read_config
from hipp_prune.models.refusals import refuse_own_code


def refuse_incapable(model: str | Path, capability: Capability, *, trust_remote_code: bool = False) -> None:
    """Refuses what the family of a checkpoint declares that it cannot do; only ``config.json`` is read.

    A family outside the table declares nothing: what it lacks shows as it is tried.

    Raises:
        UnsupportedModelError: with the family's reason, or if the model is known to its own code alone.
        CheckpointError: if the configuration cannot be read.
    """
    source = find_source(model)
    if not trust_remote_code:
        refuse_own_code(source)
    config = read_config(source, trust_remote_code=trust_remote_code)
    family = family_of(config)
    reason = None if family is None else family.cannot.get(capability)
    if family is not None and reason is not None:
        raise UnsupportedModelError(f"{model}: {family.name} cannot do {capability}: {reason}")
