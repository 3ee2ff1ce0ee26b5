"""Multiple-choice questions in ScienceQA's manner: facts asked in words, with a hint, or about a picture."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random

from hipp_prune.questions.toyworld.people import PEOPLE, VALUES
from hipp_prune.questions.toyworld.scenes import Scene, only_of_kind
from hipp_prune.questions.toyworld.things import PLACES, THING_BY_NAME, THINGS, Thing, article

FEWEST_CHOICES, MOST_CHOICES = 2, 5
"""Options of a question, as in ScienceQA."""

SHARES = {"test": 0.16, "search": 0.07, "recovery": 0.07, "validation": 0.05, "calibration": 0.03}
"""Share of the question texts each split owns; the rest trains the embedded models."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """A question with every right and wrong option; :func:`with_choices` picks some of them."""

    question: str
    hint: str
    right: tuple[str, ...]
    wrong: tuple[str, ...]
    subject: str
    """``natural science``, ``social science`` or ``language science``."""
    topic: str
    grade: int


@dataclass(frozen=True, kw_only=True)
class Choices:
    """The options of one asked question, and which of them is right."""

    options: tuple[str, ...]
    answer: int


@dataclass(frozen=True, kw_only=True)
class _Attribute:
    """An attribute of things and the ways to ask for it."""

    name: str
    subject: str
    grade: int
    ask_value: tuple[str, ...]
    """Templates with ``{a}``, a thing with its article (or ``it`` after a hint)."""
    ask_thing: tuple[str, ...]
    """Templates with ``{v}``, a value (``{av}``: with its article)."""


_ATTRIBUTES = (
    _Attribute(
        name="color",
        subject="natural science",
        grade=2,
        ask_value=(
            "What color is {a}?",
            "What is the color of {a}?",
            "Which color does {a} have?",
            "In which color would you paint {a}?",
        ),
        ask_thing=(
            "Which of these is {v}?",
            "Which of these has the color {v}?",
            "Which thing would you paint {v}?",
            "Which thing is usually {v}?",
        ),
    ),
    _Attribute(
        name="kind",
        subject="natural science",
        grade=3,
        ask_value=(
            "What kind of thing is {a}?",
            "Which group does {a} belong to?",
            "How would you classify {a}?",
            "What is {a} an example of?",
        ),
        ask_thing=(
            "Which of these is {av}?",
            "Which thing is an example of {av}?",
            "Which of these would you classify as {av}?",
            "Which thing belongs to the group {v}?",
        ),
    ),
    _Attribute(
        name="material",
        subject="natural science",
        grade=4,
        ask_value=(
            "What is {a} made of?",
            "Which material is in {a}?",
            "What does {a} mostly consist of?",
            "Which material would you need for {a}?",
        ),
        ask_thing=(
            "Which of these is made of {v}?",
            "Which thing mostly consists of {v}?",
            "Which of these would you need {v} for?",
            "In which thing is there {v}?",
        ),
    ),
    _Attribute(
        name="place",
        subject="social science",
        grade=5,
        ask_value=(
            "Where do you usually find {a}?",
            "Where does {a} belong?",
            "In which place would you look for {a}?",
            "Which place needs {a}?",
        ),
        ask_thing=(
            "Which of these belongs in the {v}?",
            "Which thing do you usually find in the {v}?",
            "Which of these would you look for in the {v}?",
            "What does the {v} need?",
        ),
    ),
    _Attribute(
        name="action",
        subject="social science",
        grade=7,
        ask_value=(
            "What do you do with {a}?",
            "What is {a} for?",
            "What would you learn to do with {a}?",
            "Which action goes with {a}?",
        ),
        ask_thing=(
            "Which of these do you {v}?",
            "Which thing would you learn to {v}?",
            "What can people {v}?",
            "Which thing goes with the action {v}?",
        ),
    ),
    _Attribute(
        name="plural",
        subject="language science",
        grade=2,
        ask_value=(
            "What is the word for more than one {n}?",
            "What is the plural of {n}?",
            "Which word is the plural form of {n}?",
            "How do you write two of {n}?",
        ),
        ask_thing=(),
    ),
    _Attribute(
        name="initial",
        subject="language science",
        grade=1,
        ask_value=(
            "Which letter does the word {n} start with?",
            "What is the first letter of {n}?",
            "With which letter do you begin to write {n}?",
            "Under which letter is {n} in the dictionary?",
        ),
        ask_thing=(
            "Which word starts with the letter {v}?",
            "Which word has the first letter {v}?",
            "Which word is under {v} in the dictionary?",
            "Which word do you begin to write with {v}?",
        ),
    ),
    _Attribute(
        name="length",
        subject="language science",
        grade=8,
        ask_value=(
            "How many letters does the word {n} have?",
            "What is the number of letters in {n}?",
            "How long is the word {n}?",
            "How many letters do you need to write {n}?",
        ),
        ask_thing=(
            "Which word has {v} letters?",
            "Which word is {v} letters long?",
            "For which word do you need {v} letters?",
            "In which word is the number of letters {v}?",
        ),
    ),
)

NAMES = ("Anna", "Ben", "Carla", "David", "Emma", "Felix", "Grace", "Hugo")
"""Who the hints are about."""
DEEDS = ("has", "bought", "found", "drew", "lost", "wants")
"""What they did with a thing."""


def value_of(thing: Thing, attribute: str) -> str:
    """The value of a stored or spelled attribute of ``thing``."""
    if attribute == "initial":
        return thing.name[0]
    if attribute == "length":
        return str(len(thing.name))
    return str(getattr(thing, attribute))


@cache
def _values(attribute: str) -> tuple[str, ...]:
    return tuple(sorted({value_of(thing, attribute) for thing in THINGS}))


def _ask_value(attribute: _Attribute, thing: Thing, question: str, hint: str) -> Item:
    right = value_of(thing, attribute.name)
    return Item(
        question=question,
        hint=hint,
        right=(right,),
        wrong=tuple(value for value in _values(attribute.name) if value != right),
        subject=attribute.subject,
        topic=attribute.name,
        grade=attribute.grade,
    )


def _ask_thing(attribute: _Attribute, value: str, question: str) -> Item:
    has = {thing.name: value_of(thing, attribute.name) == value for thing in THINGS}
    return Item(
        question=question,
        hint="",
        right=tuple(name for name in has if has[name]),
        wrong=tuple(name for name in has if not has[name]),
        subject=attribute.subject,
        topic=attribute.name,
        grade=attribute.grade + 1,
    )


def plain_items() -> Iterator[Item]:
    """Every question in words alone: each attribute of each thing, and each thing by its attributes."""
    for attribute in _ATTRIBUTES:
        for template in attribute.ask_value:
            for thing in THINGS:
                question = template.format(a=thing.phrase, n=thing.name)
                yield _ask_value(attribute, thing, question, "")
        for template in attribute.ask_thing:
            for value in _values(attribute.name):
                question = template.format(v=value, av=f"{article(value)} {value}")
                yield _ask_thing(attribute, value, question)


def hinted_items() -> Iterator[Item]:
    """Every question whose hint names the thing that the question calls ``it``."""
    for attribute in _ATTRIBUTES:
        for template in attribute.ask_value:
            question = template.format(a="it", n="it")
            for thing in THINGS:
                for name in NAMES:
                    for deed in DEEDS:
                        yield _ask_value(attribute, thing, question, f"{name} {deed} {thing.phrase}.")


_ABOUT_PEOPLE = {
    "work": (
        "Where does {p} work?",
        "In which place does {p} work?",
        "Which place does {p} work in?",
        "Where would you visit {p} at work?",
    ),
    "pet": (
        "Which animal does {p} have?",
        "What is the pet of {p}?",
        "Which pet belongs to {p}?",
        "What kind of pet does {p} have?",
    ),
    "favorite": (
        "What is the favorite color of {p}?",
        "Which color does {p} like best?",
        "In which color would {p} paint?",
        "Which color would {p} like to have?",
    ),
}


def people_items() -> Iterator[Item]:
    """Every question about a person."""
    for topic, templates in _ABOUT_PEOPLE.items():
        for template in templates:
            for person in PEOPLE:
                right = str(getattr(person, topic))
                yield Item(
                    question=template.format(p=person.name),
                    hint="",
                    right=(right,),
                    wrong=tuple(value for value in VALUES[topic] if value != right),
                    subject="social science",
                    topic=topic,
                    grade=10,
                )


def split_of(item: Item) -> str:
    """The split that owns an item's question and hint text; other splits never ask it."""
    digest = hashlib.sha256(f"{item.question}\n{item.hint}".encode()).digest()
    point = int.from_bytes(digest[:8], "big") / 2**64
    for split, share in SHARES.items():
        if point < share:
            return split
        point -= share
    return "train"


_PRESENT = (
    "Which of these is in the picture?",
    "Which thing does the picture show?",
    "What can you see in the picture?",
    "Which of these do you find in the picture?",
)
_PRESENT_OF_KIND = ("Which {kind} is in the picture?", "Which {kind} does the picture show?")
_PLACE = ("Where is this picture from?", "Which place does the picture show?")
_OF_KIND = {
    "color": "What color is the {kind} in the picture?",
    "material": "What is the {kind} in the picture made of?",
    "action": "What do you do with the {kind} in the picture?",
    "initial": "Which letter does the {kind} in the picture start with?",
}
_BY_NAME = {attribute.name: attribute for attribute in _ATTRIBUTES}


def picture_items(scene: Scene, rng: Random) -> Iterator[Item]:
    """An endless stream of questions about ``scene``, the four sorts in turn where the scene allows them."""
    makers = (_present, _present_of_kind, _place, _of_kind)
    while True:
        for make in rng.sample(makers, len(makers)):
            item = make(scene, rng)
            if item is not None:
                yield item


def _picture_item(question: str, right: Sequence[str], wrong: Sequence[str], topic: str, grade: int) -> Item:
    subject = _BY_NAME[topic].subject if topic in _BY_NAME else "natural science"
    return Item(
        question=question,
        hint="",
        right=tuple(right),
        wrong=tuple(wrong),
        subject=subject,
        topic=topic,
        grade=grade,
    )


def _present(scene: Scene, rng: Random) -> Item:
    absent = [thing.name for thing in THINGS if thing.name not in scene.names]
    return _picture_item(rng.choice(_PRESENT), scene.names, absent, "presence", 1)


def _present_of_kind(scene: Scene, rng: Random) -> Item | None:
    kind = THING_BY_NAME[rng.choice(scene.names)].kind
    peers = [thing.name for thing in THINGS if thing.kind == kind]
    absent = [name for name in peers if name not in scene.names]
    if not absent:
        return None
    present = [name for name in peers if name in scene.names]
    return _picture_item(rng.choice(_PRESENT_OF_KIND).format(kind=kind), present, absent, "presence", 3)


def _place(scene: Scene, rng: Random) -> Item:
    wrong = [place for place in PLACES if place != scene.place]
    return _picture_item(rng.choice(_PLACE), [scene.place], wrong, "place", 6)


def _of_kind(scene: Scene, rng: Random) -> Item | None:
    thing = only_of_kind(scene, THING_BY_NAME[rng.choice(scene.names)].kind)
    if thing is None:
        return None
    topic = rng.choice(list(_OF_KIND))
    right = value_of(thing, topic)
    wrong = [value for value in _values(topic) if value != right]
    return _picture_item(_OF_KIND[topic].format(kind=thing.kind), [right], wrong, topic, 9)


def with_choices(item: Item, rng: Random) -> Choices:
    """One right option among ``FEWEST_CHOICES`` to ``MOST_CHOICES``, in random order."""
    wanted = rng.randint(FEWEST_CHOICES, MOST_CHOICES)
    options = rng.sample(item.wrong, min(wanted - 1, len(item.wrong)))
    answer = rng.randint(0, len(options))
    options.insert(answer, rng.choice(item.right))
    return Choices(options=tuple(options), answer=answer)


def picture_templates() -> tuple[str, ...]:
    """Every wording of a question about a picture, ``{kind}`` unfilled."""
    return (*_PRESENT, *_PRESENT_OF_KIND, *_PLACE, *_OF_KIND.values())
