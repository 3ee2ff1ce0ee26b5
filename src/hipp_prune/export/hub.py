"""A finished checkpoint, with its model card, put on the Hugging Face hub."""

from pathlib import Path

from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError

from hipp_prune.checkpoints.ledger import CARD_FILE
from hipp_prune.errors import CheckpointError, InputError
from hipp_prune.export.exported import check_widths
from hipp_prune.files.manifest import FILE_LIST
from hipp_prune.models import load_model
from hipp_prune.models.uneven import REMOTE_CODE

_STALE = ["*.safetensors", "*.safetensors.index.json", REMOTE_CODE]
"""What an earlier push may have left on the hub that this checkpoint lacks, such as a shard more."""

_FAILURES: tuple[type[Exception], ...] = (OSError, ValueError, *HfHubHTTPError.__bases__)
"""What the hub's client raises, among it the root of its HTTP library's errors, which has changed its name before."""


def push_checkpoint(source: Path, name: str, *, private: bool = False) -> str:
    """Uploads a checkpoint folder in one commit, and makes the repository if need be; returns its address.

    The checkpoint is loaded first, strictly, so that none reaches the hub that is incomplete. The list of our files
    stays here: the hub has checksums of its own, and its pages are edited there.

    Args:
        source: checkpoint folder that we wrote.
        name: OWNER/NAME.
        private: whether a repository that is made now is for its owner alone.

    Raises:
        CheckpointError: if the folder is no complete checkpoint, or has no model card.
        PlanError: if a plan of another model lies in it.
        InputError: if there is no token, or the hub cannot be reached or refuses.
    """
    if name.count("/") != 1:
        raise InputError(f"expected OWNER/NAME to push to, found {name!r}")
    if not (source / CARD_FILE).is_file():
        raise CheckpointError(
            f"{source} has no model card ({CARD_FILE}); expected a checkpoint that prune, baseline, recover or export "
            "--format padded wrote"
        )
    if get_token() is None:
        raise InputError(
            f"pushing to {name} needs a token of the hub; run `hf auth login`, or set HF_TOKEN to one that may write"
        )
    check_widths(source, load_model(source))
    hub = HfApi()
    try:
        address = hub.create_repo(name, private=private, exist_ok=True)
        hub.upload_folder(
            repo_id=name,
            folder_path=source,
            commit_message="Checkpoint written by hipp-prune",
            delete_patterns=_STALE,
            ignore_patterns=[FILE_LIST],
        )
    except _FAILURES as error:
        reason = str(error).strip().partition("\n")[0]
        raise InputError(
            f"{source} was not pushed to {name}: the hub cannot be reached or refused ({reason}); check the network, "
            "the name and what the token may write, and push again"
        ) from error
    return str(address)
