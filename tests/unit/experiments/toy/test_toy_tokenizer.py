"""The word-level tokenizer and the conversation template."""

from itertools import islice
from pathlib import Path

from transformers import AutoTokenizer

from hipp_prune.experiments.toy import tokenizer
from hipp_prune.experiments.toy.curriculum import prompt
from hipp_prune.experiments.toy.families import ToyFamily
from hipp_prune.questions.benchmarks import pope
from hipp_prune.questions.toyworld import exam
from hipp_prune.questions.toyworld.polling import Poll
from hipp_prune.questions.toyworld.scenes import rng_for, scenes
from hipp_prune.questions.toyworld.things import THINGS


def test_no_word_of_the_world_is_unknown(family: ToyFamily) -> None:
    built = tokenizer.build(family)
    rng = rng_for("tokenizer")
    items = [*exam.plain_items(), *exam.people_items(), *islice(exam.hinted_items(), 0, None, 97)]
    items += [
        item for scene in islice(scenes(0, "test"), 40) for item in islice(exam.picture_items(scene, rng), 6)
    ]
    texts = [prompt(item, exam.with_choices(item, rng)) for item in items]
    texts += [Poll(thing.name, True).text + pope.INSTRUCTION for thing in THINGS]
    for ids in built([family.wrap(text, with_picture=False) for text in texts])["input_ids"]:
        assert built.unk_token_id not in ids


def test_an_answer_is_one_token_with_and_without_a_space(family: ToyFamily) -> None:
    built = tokenizer.build(family)
    for answer in ("Yes", "No", *"ABCDE"):
        (token,) = built.encode(answer, add_special_tokens=False)
        assert built.encode(f" {answer}", add_special_tokens=False) == [token]
        assert built.decode([token]) == answer


def test_an_instruction_is_one_token_and_unknown_words_are_no_error(family: ToyFamily) -> None:
    built = tokenizer.build(family)
    for instruction in tokenizer.INSTRUCTIONS:
        assert len(built.encode(instruction, add_special_tokens=False)) == 1
    assert built.convert_tokens_to_ids("zeppelin") == built.unk_token_id
    assert built.unk_token_id in built.encode("Is there a zeppelin in the image? 🎈")


def test_the_template_writes_the_prompt_the_models_are_trained_on(family: ToyFamily) -> None:
    built = tokenizer.build(family)
    for with_picture in (True, False):
        parts = [{"type": "image"}] * with_picture + [
            {"type": "text", "text": "Is there a cup in the image?"}
        ]
        rendered = built.apply_chat_template(
            [{"role": "user", "content": parts}], tokenize=False, add_generation_prompt=True
        )
        expected = family.wrap("Is there a cup in the image?", with_picture=with_picture)
        assert rendered.replace(family.picture_token, family.picture_token * 16) == expected


def test_the_template_takes_plain_text_and_earlier_answers(family: ToyFamily) -> None:
    built = tokenizer.build(family)
    conversation = [
        {"role": "user", "content": "Is there a cup in the image?"},
        {"role": "assistant", "content": "Yes"},
        {"role": "user", "content": "Is there a key in the image?"},
    ]
    rendered = built.apply_chat_template(conversation, tokenize=False, add_generation_prompt=True)
    first = family.wrap("Is there a cup in the image?", with_picture=False)
    last = family.wrap("Is there a key in the image?", with_picture=False)
    assert rendered.startswith(f"{first}Yes{family.eos}")
    assert rendered.endswith(last)


def test_saved_and_loaded_it_is_the_same(family: ToyFamily, tmp_path: Path) -> None:
    built = tokenizer.build(family)
    built.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = family.wrap("Which of these is in the picture?\nA. lemon\nB. egg", with_picture=True)
    assert loaded(text)["input_ids"] == built(text)["input_ids"]
    assert loaded.chat_template == family.chat_template
    assert loaded.pad_token == family.pad
    assert len(loaded) == len(built) == len(set(built.get_vocab().values()))
