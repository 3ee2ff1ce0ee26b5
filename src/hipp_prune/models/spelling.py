"""How a model's tokenizer spells an answer behind a prompt: as one token, or as a sequence that ends."""

from collections.abc import Sequence

from hipp_prune.errors import UnsupportedModelError
from hipp_prune.models.processor import Processor

_PROMPT = "Is it so?"
"""Any prompt: what stands before an answer is the template's, not the prompt's."""


class Spelling:
    """Token ids of answers, each found out once.

    Args:
        processor: tokenizer and template.
        ends: the tokens that end an answer, as the checkpoint's generation settings have them; may be none.
    """

    def __init__(self, processor: Processor, ends: Sequence[int]) -> None:
        self.ends = tuple(ends)
        """Any of them ends an answer."""
        self._processor = processor
        self._singles: dict[str, tuple[int, ...]] = {}
        self._sequences: dict[str, tuple[int, ...]] = {}

    def first(self, answer: str) -> tuple[int, ...]:
        """As ``single``, where there has to be one.

        Raises:
            UnsupportedModelError: if no variant is a single token.
        """
        found = self.single(answer)
        if not found:
            raise UnsupportedModelError(
                f"the tokenizer spells the answer {answer!r} with several tokens; margins are read from one position, "
                f"so each allowed answer must be a single token after the prompt"
            )
        return found

    def single(self, answer: str) -> tuple[int, ...]:
        """Token ids that say ``answer`` as the first token after the prompt; none where it takes several tokens.

        Tried are ``Yes``, `` Yes``, ``yes`` and `` yes`` (a single letter keeps its case: "a" is a word), each appended
        to a rendered prompt. A variant counts if it adds exactly one token and that token alone spells the answer;
        so a lone space, an unknown token or a mere beginning never counts, and answers that differ in more than
        case have disjoint tokens.
        """
        if answer not in self._singles:
            cased = [answer] if len(answer) == 1 else [answer, answer.lower()]
            context = self._context.rstrip(" ")
            before = self._processor.token_ids(context)
            found: list[int] = []
            for variant in (space + spelling for spelling in cased for space in ("", " ")):
                ids = self._processor.token_ids(context + variant)
                spelled = str(self._processor.tokenizer.decode(ids[-1:])).strip()
                if ids[:-1] == before and spelled.lower() == answer.lower() and ids[-1] not in found:
                    found.append(ids[-1])
            self._singles[answer] = tuple(found)
        return self._singles[answer]

    def tells_apart(self, answers: Sequence[str]) -> bool:
        """Whether the first token after the prompt tells which of these answers it is."""
        singles = [self.single(answer) for answer in answers]
        return all(singles) and len(set().union(*singles)) == sum(map(len, singles))

    def sequence(self, answer: str) -> tuple[int, ...]:
        """Token ids of ``answer`` as the template would write it behind the prompt, without what ends it.

        Where the tokenizer would join an answer and the prompt before it in one token, the answer is spelled alone.
        """
        if answer not in self._sequences:
            text = self._processor.answer_lead() + answer
            ids = self._alone(text)
            for context in (self._context, self._context.rstrip(" ")):
                before, joined = (self._processor.token_ids(each) for each in (context, context + text))
                if joined[: len(before)] == before:
                    ids = joined[len(before) :]
                    break
            self._sequences[answer] = tuple(ids)
        return self._sequences[answer]

    @property
    def _context(self) -> str:
        return self._processor.render(_PROMPT, images=0)

    def _alone(self, text: str) -> list[int]:
        ids: list[int] = self._processor.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids
