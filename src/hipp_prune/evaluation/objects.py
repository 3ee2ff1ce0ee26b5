"""Objects that a text names: COCO's 80 categories, in singular and plural, with the everyday words for them."""

import re

from hipp_prune.questions.coco import OBJECTS

_OTHER_WORDS = {
    "person": ("people", "man", "men", "woman", "women", "boy", "girl", "child", "children"),
    "bicycle": ("bike",), "motorcycle": ("motorbike",), "airplane": ("plane", "aeroplane"), "cow": ("cattle",),
    "couch": ("sofa",), "tv": ("television",), "knife": ("knives",),
    "cell phone": ("phone", "mobile phone", "smartphone"),
    "refrigerator": ("fridge",), "dining table": ("table",), "donut": ("doughnut",), "potted plant": ("plant",),
    "hair drier": ("hair dryer",), "skis": ("ski",), "mouse": ("mice",), "handbag": ("purse",),
    "traffic light": ("stoplight",), "sports ball": ("ball",), "remote": ("remote control",),
}  # fmt: skip
assert set(_OTHER_WORDS) <= set(OBJECTS), "other words stand for categories"


def _plural(word: str) -> str:
    return word + ("es" if word.endswith(("s", "sh", "ch", "x")) else "s")


def _forms(name: str) -> list[str]:
    """Every word for a category, in singular and plural."""
    words = (name, *_OTHER_WORDS.get(name, ()))
    return [form for word in words for form in (word, _plural(word))]


_CATEGORIES = {form: name for name in OBJECTS for form in _forms(name)}
"""By every form of every word; the plural of a plural does no harm."""
_WORDS = re.compile(
    rf"\b({'|'.join(sorted(map(re.escape, _CATEGORIES), key=len, reverse=True))})\b", re.IGNORECASE
)


def find_objects(text: str) -> list[tuple[str, int, int]]:
    """The objects that a text names, in reading order: category, first character, and the one after the last.

    The longest name counts: a hot dog is no dog.
    """
    return [(_CATEGORIES[match[0].lower()], *match.span()) for match in _WORDS.finditer(text)]


def only_named(text: str, other: str) -> list[tuple[str, int, int]]:
    """The objects of ``find_objects(text)`` whose category the other text does not name."""
    known = {name for name, _, _ in find_objects(other)}
    return [found for found in find_objects(text) if found[0] not in known]
