"""The embedded models' word-level tokenizer: every word of the embedded world, one token each."""

from functools import cache
from itertools import chain

from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from hipp_prune.experiments.toy.families import CONTEXT, ToyFamily
from hipp_prune.questions.benchmarks import pope, scienceqa
from hipp_prune.questions.multiple_choice import LETTERS
from hipp_prune.questions.toyworld import exam
from hipp_prune.questions.toyworld.things import PLACES, THINGS

INSTRUCTIONS = (pope.INSTRUCTION.strip(), scienceqa.INSTRUCTION.strip())
"""The benchmarks' official instructions; one token each, which halves the length of a prompt."""
_WORD = r"USER:|ASSISTANT:|Context:|[A-E]\.|\w+|[^\w\s]"
_FIXED = (
    *("USER:", "ASSISTANT:", "Context:", "user", "assistant", "system"),
    *("Yes", "No", "yes", "no"),
    *LETTERS,
    *(f"{letter}." for letter in LETTERS),
    *("Is", "there", "a", "an", "in", "the", "image", "?", ".", ",", "!"),
    *(
        "A",
        "The",
        "picture",
        "photo",
        "Describe",
        "Question",
        "Answer",
        "Please",
        "answer",
        "and",
        "or",
        "not",
    ),
)


@cache
def vocabulary() -> tuple[str, ...]:
    """Every ordinary word of the world's questions, sorted."""
    splitter = pre_tokenizers.Split(Regex(_WORD), behavior="removed", invert=True)
    words = set(_FIXED) | set(PLACES)
    for thing in THINGS:
        words |= {
            thing.name,
            thing.plural,
            thing.color,
            thing.kind,
            thing.place,
            thing.material,
            thing.action,
        }
    for item in chain(exam.plain_items(), exam.hinted_items(), exam.people_items()):
        words.update(
            item.question.replace("?", " ?").split(), item.hint.replace(".", " .").split(), item.right
        )
    for template in exam.picture_templates():
        words.update(word for word, _ in splitter.pre_tokenize_str(template))
    return tuple(sorted(words))


def build(family: ToyFamily) -> PreTrainedTokenizerFast:
    """The tokenizer of ``family``; words outside the world become ``<unk>``.

    White space only separates words, so ``Yes`` and `` Yes`` are the same single token.
    """
    ids = {token: index for index, token in enumerate((*family.special_tokens, *vocabulary(), *INSTRUCTIONS))}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_WORD), behavior="removed", invert=True)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in family.special_tokens])
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in INSTRUCTIONS])
    if family.bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{family.bos} $A",
            pair=f"{family.bos} $A $B",
            special_tokens=[(family.bos, ids[family.bos])],
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token=family.bos,
        eos_token=family.eos,
        pad_token=family.pad,
        padding_side="left",
        model_max_length=CONTEXT,
        extra_special_tokens={"image_token": family.picture_token},
        chat_template=family.chat_template,
    )
