"""A tokenizer as a GGUF file tells it: pieces, scores and types (the ``llama`` kind, SentencePiece's BPE).

llama.cpp joins two neighbouring pieces into the one of highest score, again and again. So a metaspace BPE with byte
fallback, which is what SentencePiece's becomes in ``tokenizer.json``, is told exactly by scores that fall with the
rank of the merge. Other kinds of tokenizer it cuts text with rules of its own, which no file can tell; of such a one
only the ids can be used.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from hipp_prune.errors import UnsupportedModelError

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
"""Types of pieces, as the format numbers them."""

_NEVER_MERGED = -1e9


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """V pieces by id."""

    pieces: tuple[str, ...]
    """A space is ``▁``."""
    scores: tuple[float, ...]
    """What is merged first scores highest."""
    types: tuple[int, ...]
    cuts_text: bool
    """Whether llama.cpp cuts text into the same pieces; if not, the ids alone can be used."""
    begins_with_space: bool
    """Whether text gets a space in front."""
    goes_on_with_space: bool
    """Whether it gets one behind a special token too, as llama.cpp then does it."""
    begins_with_bos: bool
    """Whether a prompt gets the token that begins a text."""


def read_vocabulary(tokenizer: PreTrainedTokenizerBase, size: int, *, token_ids: bool) -> Vocabulary:
    """The tokenizer as a GGUF file tells it.

    Args:
        tokenizer: of the checkpoint.
        size: V, rows of the embeddings; ids without a piece become unused ones.
        token_ids: whether pieces are enough, where llama.cpp cannot cut text as the tokenizer does.

    Raises:
        UnsupportedModelError: if it cannot, and ``token_ids`` is false.
    """
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    # What the tokenizers library says of a tokenizer that it has loaded: no file, and too large to check twice.
    content: dict[str, Any] = {} if backend is None else json.loads(backend.to_str())
    cuts_text = is_sentencepiece(content)
    if not cuts_text and not token_ids:
        kind = content.get("model", {}).get("type", "no")
        raise UnsupportedModelError(
            f"llama.cpp cannot cut text as this model's tokenizer does: expected a SentencePiece one (BPE with byte "
            f"fallback, as LLaVA-1.5's), found a {kind} one; --token-ids writes a file that is "
            "to be given token ids"
        )
    pieces = [f"[PAD{index}]" for index in range(size)]
    types = [UNUSED] * size
    for piece, index in tokenizer.get_vocab().items():
        pieces[index], types[index] = piece, BYTE if _is_byte(piece) else NORMAL
    for added in content.get("added_tokens", ()):
        types[added["id"]] = CONTROL if added["special"] else USER_DEFINED
    if tokenizer.unk_token_id is not None:
        types[tokenizer.unk_token_id] = UNKNOWN
    scores = _scores(pieces, content) if cuts_text else [0.0] * size
    return Vocabulary(
        pieces=tuple(pieces),
        scores=tuple(scores),
        types=tuple(types),
        cuts_text=cuts_text,
        begins_with_space=tokenizer.tokenize("a")[:1] != ["a"],
        goes_on_with_space=tokenizer.tokenize(f"{tokenizer.eos_token}a")[1:2] != ["a"],
        begins_with_bos=tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id],
    )


def is_sentencepiece(content: Mapping[str, Any]) -> bool:
    """Whether a ``tokenizer.json`` is that of a BPE with byte fallback, in which a space is ``▁``."""
    model = content.get("model", {})
    return bool(model.get("type") == "BPE" and model.get("byte_fallback") and not model.get("ignore_merges"))


def _scores(pieces: Sequence[str], content: Mapping[str, Any]) -> list[float]:
    """−rank of the first merge that makes a piece; one that none makes is never merged."""
    ranks: dict[str, int] = {}
    for rank, merge in enumerate(content["model"]["merges"]):
        ranks.setdefault("".join(merge if isinstance(merge, list) else merge.split(" ")), rank)
    return [-float(ranks[piece]) if piece in ranks else _NEVER_MERGED for piece in pieces]


def _is_byte(piece: str) -> bool:
    return len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">")
