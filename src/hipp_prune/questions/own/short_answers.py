"""Short answers in the model's own words: the same as the wanted one, after VQA's normalisation, or wrong."""

from hipp_prune.questions.benchmark import Rule
from hipp_prune.questions.question import Question
from hipp_prune.questions.yes_no import vqa_words

_ARTICLES = {"a", "an", "the"}
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_DIGITS = {"none": "0", **{word: str(number) for number, word in enumerate(_NUMBERS)}}


def normalised(text: str) -> str:
    """An answer in small letters without punctuation and articles, numbers to ten as digits; itself if nothing stays.

    As VQA's official evaluation does it (github.com/GT-Vision-Lab/VQA, ``vqaEval.py``), but for its list of apostrophes
    that people forget.
    """
    words = [_DIGITS.get(word, word) for word in vqa_words(text.strip().lower()) if word not in _ARTICLES]
    return " ".join(words) or text.strip().lower()


def parse_short(question: Question, text: str, rule: Rule = "official") -> int:  # noqa: ARG001
    """0 where a text is the wanted answer, 1 where it is another; every rule reads alike."""
    return int(normalised(text) != normalised(question.answer))
