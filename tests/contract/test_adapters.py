"""What every adapter promises, checked on two-block random models of every family in the table."""

import importlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageTextToText
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES

from hipp_prune.errors import QuestionError, UnsupportedModelError
from hipp_prune.models import SUPPORTED, load_model
from hipp_prune.models.adapter import Adapter, Batch, ImageFeatures, PackedBatch
from hipp_prune.models.families import family_of
from hipp_prune.models.processor import Processor
from hipp_prune.models.stock import own_inputs, stock_processor
from hipp_prune.models.stock import stock_logits as own_logits
from hipp_prune.models.stock_layout import StockLayoutAdapter
from hipp_prune.questions.question import Question
from tests.tiny import FAMILIES, NEED_TIMM, tiny_image
from tests.tolerance import assert_agree, assert_clear

WIDE, TALL = Path("wide.png"), Path("tall.png")
IMAGES = {WIDE: tiny_image(0, (120, 50)), TALL: tiny_image(1, (64, 80))}
PROMPTS = (
    ("Is there an orange bowl left of the blue chair in the picture?", WIDE),
    ("What colour is it?\nA. red\nB. blue", None),
    ("Is there a dog?", TALL),
    ("Is there a red cup in the image?\nAnswer the question using a single word or phrase.", WIDE),
)
IMAGE_OPTIONS: dict[str, dict[str, Any]] = {
    "internvl": {"crop_to_patches": True},
    "mistral3": {"patch_size": {"height": 28, "width": 28}},
}


def question(prompt: str, image: Path | None) -> Question:
    return Question(
        benchmark="pope", id=prompt, prompt=prompt, images=(image,) if image else (), answers=("Yes", "No"), gold=0,
        subset="random",
        group="g",
    )  # fmt: skip


QUESTIONS = [question(prompt, image) for prompt, image in PROMPTS]
SHARING = [
    question(prompt, image)
    for prompt, image in (
        *PROMPTS,
        ("Is there a dog?", WIDE),
        ("Which?\nA. the green square\nB. the yellow circle\nAnswer with the option's letter.", WIDE),
        ("A or B?", None),
        ("Is there a dog?", WIDE),
        ("Which of these things is a person, a dog, a cat, a car, a tree or a table?", TALL),
    )
]
"""Five questions about one image, two about the other, two without: several of a sort, some alike."""


COMPARING = [
    replace(question("Are these two alike?", WIDE), images=images)
    for images in ((WIDE, TALL), (TALL,), (TALL, WIDE), (WIDE, TALL, WIDE))
] + [replace(question("Which one has a dog?", WIDE), images=(WIDE, TALL))]
"""About several pictures in one order or another, two about the same ones."""


def _logits(adapter: Adapter, batch: Batch | PackedBatch, used: list[ImageFeatures]) -> Tensor:
    with torch.no_grad():
        return adapter.answer_logits(batch, used)


WHOLE = (
    "gemma3", "gemma4", "paligemma", "paligemma-gemma2", "llava_onevision", "glm4v", "qwen3_5", "aya_vision",
    "fast_vlm", "minicpmv4_6",
)  # fmt: skip
"""Families whose stock processor is called the plain way; the others' parts are, since they want torchvision."""


def whole_processor(folder: Path) -> Any:
    """transformers' processor of a checkpoint, from its files."""
    config = AutoConfig.from_pretrained(folder)
    row = family_of(config)
    assert row is not None
    return stock_processor(config, Processor.load(folder, config, template=row.chat_template), folder)


def packs(family: str) -> bool:
    return "packing" not in SUPPORTED[family].cannot


def stock_logits(model: Any, folder: Path, family: str, batch: Batch, images: Sequence[Path]) -> Tensor:
    """Logits after the last token of a single question, by the stock model from pixels."""
    pictures = [IMAGES[path] for path in images]
    inputs: dict[str, Any] = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    if family == "gemma3":
        inputs["token_type_ids"] = (batch.input_ids == model.config.image_token_id).int()
    if family.startswith("paligemma"):
        said = batch.forced[0] if batch.forced else 0
        inputs["token_type_ids"] = torch.ones_like(batch.input_ids)
        inputs["token_type_ids"][:, : batch.input_ids.shape[1] - said] = 0
    if pictures and family in WHOLE:
        whole = whole_processor(folder)
        text = whole.apply_chat_template(
            conversation("Is it?", len(pictures)), chat_template=template(folder), tokenize=False
        )
        made = whole(images=[pictures], text=[text], return_tensors="pt")
        own = (
            "pixel_values", "image_grid_thw", "image_sizes", "batch_num_images", "image_position_ids",
            "target_sizes",
        )  # fmt: skip
        inputs |= {key: made[key] for key in own if key in made}
        if "image_grid_thw" in inputs or family == "gemma4":
            inputs["mm_token_type_ids"] = (batch.input_ids == model.config.image_token_id).int()
    elif pictures:
        processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
        pixels = processor(pictures, return_tensors="pt", **IMAGE_OPTIONS.get(family, {}))
        wanted = ("pixel_values", "pixel_attention_mask", "image_grid_thw", "image_sizes")
        inputs |= {key: pixels[key] for key in wanted if key in pixels}
        if "image_grid_thw" in inputs:
            inputs["mm_token_type_ids"] = (batch.input_ids == model.config.image_token_id).int()
    with torch.no_grad():
        logits: Tensor = model(**inputs).logits[:, -1]
    return logits


def conversation(prompt: str, images: int = 1) -> list[Any]:
    content = [{"type": "image"}] * images
    return [{"role": "user", "content": [*content, {"type": "text", "text": prompt}]}]


def template(folder: Path) -> str:
    """The checkpoint's, or where it has none its family's."""
    config = AutoConfig.from_pretrained(folder)
    row = family_of(config)
    assert row is not None
    return Processor.load(folder, config, template=row.chat_template).chat_template


def pixtral_processor() -> Any:
    """The stock class, whose module takes a function from one that needs torchvision; the PIL one is the same."""
    package = "transformers.models.pixtral"
    try:
        return importlib.import_module(f"{package}.processing_pixtral").PixtralProcessor
    except ImportError:
        pil = importlib.import_module(f"{package}.image_processing_pil_pixtral")
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, f"{package}.image_processing_pixtral", pil)
            return importlib.import_module(f"{package}.processing_pixtral").PixtralProcessor


def stock_replacement(folder: Path, family: str, adapter: Adapter) -> Callable[[dict[str, Any], int], str]:
    """The stock processor's own text for one image; its class is not initialised where that needs torchvision."""
    name = (
        "PixtralProcessor" if family == "pixtral" else PROCESSOR_MAPPING_NAMES[SUPPORTED[family].model_type]
    )
    processor_class = pixtral_processor() if name == "PixtralProcessor" else getattr(transformers, name)
    stock = processor_class.__new__(processor_class)
    token = adapter.processor.tokenizer.convert_ids_to_tokens(adapter._image_token)
    settings = {
        "image_token": token, "image_processor": adapter.processor.image_processor, "patch_size": 14,
        "num_additional_image_tokens": 1, "vision_feature_select_strategy": "default", "image_seq_len": 4,
        "image_seq_length": 4, "start_image_token": "<img>", "end_image_token": "</img>",
        "fake_image_token": "<fake_token_around_image>", "global_image_tag": "<global-img>",
        "global_image_token": "<global-img>", "image_break_token": "[IMG_BREAK]", "image_end_token": "[IMG_END]",
        "spatial_merge_size": 2,
    }  # fmt: skip
    own = folder / "processor_config.json"
    settings |= json.loads(own.read_text(encoding="utf-8")) if own.is_file() else {}
    for key, value in settings.items():
        setattr(stock, key, value)
    return lambda image_inputs, index: str(stock.replace_image_token(image_inputs, index))


@pytest.fixture(scope="module", params=list(FAMILIES))
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder(family: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return FAMILIES[family](tmp_path_factory.mktemp(family))


@pytest.fixture(scope="module")
def adapter(folder: Path) -> Adapter:
    return load_model(folder)


@pytest.fixture(scope="module")
def features(adapter: Adapter) -> dict[Path, ImageFeatures]:
    with torch.no_grad():
        return dict(zip(IMAGES, adapter.encode_images(list(IMAGES.values())), strict=True))


def test_every_family_of_the_table_is_under_contract() -> None:
    assert set(SUPPORTED) == {*FAMILIES, *NEED_TIMM}


class TestAdapter:
    def test_logits_equal_the_stock_model_from_pixels(
        self, adapter: Adapter, folder: Path, family: str, features: dict[Path, ImageFeatures]
    ) -> None:
        stock = AutoModelForImageTextToText.from_pretrained(folder)
        for asked in QUESTIONS:
            batch, used = adapter.encode([asked], features)
            with torch.no_grad():
                ours = adapter.answer_logits(batch, used)
            assert_agree(ours, stock_logits(stock, folder, family, batch, asked.images))

    def test_token_ids_equal_the_stock_processors(
        self, adapter: Adapter, folder: Path, family: str, features: dict[Path, ImageFeatures]
    ) -> None:
        several = [] if "several pictures" in SUPPORTED[family].cannot else COMPARING
        shown = [asked for asked in (*QUESTIONS, *several) if asked.images]
        if family in WHOLE or isinstance(adapter, StockLayoutAdapter):
            whole = whole_processor(folder)
            for asked in shown:
                text = whole.apply_chat_template(
                    conversation(asked.prompt, len(asked.images)),
                    chat_template=template(folder),
                    add_generation_prompt=True,
                    tokenize=False,
                )
                made = whole(
                    images=[[IMAGES[path] for path in asked.images]], text=[text], return_tensors="pt"
                )
                ours = adapter.encode([asked], features)[0].input_ids
                assert torch.equal(ours, made["input_ids"])
            return
        replacement = stock_replacement(folder, family, adapter)
        options = IMAGE_OPTIONS.get(family, {})
        if family in ("idefics3", "smolvlm"):
            options = {"return_row_col_info": True}
        token = adapter.processor.tokenizer.convert_ids_to_tokens(adapter._image_token)
        for asked in shown:
            pictures = [IMAGES[path] for path in asked.images]
            pixels = adapter.processor.image_processor(pictures, return_tensors="pt", **options)
            text, *parts = adapter.processor.render(asked.prompt, images=len(pictures)).split(token)
            for index, part in enumerate(parts):
                text += replacement(pixels, index) + part
            expected = adapter.processor.token_ids(text)
            assert adapter.encode([asked], features)[0].input_ids[0].tolist() == expected

    def test_several_pictures_equal_the_stock_model_packed_or_one_a_row(
        self, adapter: Adapter, folder: Path, family: str, features: dict[Path, ImageFeatures]
    ) -> None:
        if "several pictures" in SUPPORTED[family].cannot:
            with pytest.raises(UnsupportedModelError, match=r"question .* expected one picture"):
                adapter.encode(COMPARING, features)
            return
        stock = AutoModelForImageTextToText.from_pretrained(folder)
        wanted = []
        for asked in COMPARING:
            batch, used = adapter.encode([asked], features)
            assert len(batch.images) == len(asked.images)
            wanted.append(stock_logits(stock, folder, family, batch, asked.images))
            assert_agree(_logits(adapter, batch, used), wanted[-1])
            own = own_inputs(adapter, batch, [IMAGES[path] for path in asked.images])
            assert_agree(own_logits(adapter, own)[None], wanted[-1])
        assert_agree(_logits(adapter, *adapter.encode(COMPARING, features)), torch.cat(wanted))
        packed, used = adapter.pack(COMPARING, features)
        assert_agree(_logits(adapter, packed, used), torch.cat(wanted))
        assert (len(packed.input_ids) < len(COMPARING)) == packs(family)
        assert (wanted[0] - wanted[2]).abs().max() > 1e-4, "the order of pictures matters"

    def test_padding_and_neighbours_do_not_change_answers(
        self, adapter: Adapter, features: dict[Path, ImageFeatures]
    ) -> None:
        with torch.no_grad():
            together = adapter.answer_logits(*adapter.encode(QUESTIONS, features))
            alone = torch.cat(
                [adapter.answer_logits(*adapter.encode([asked], features)) for asked in QUESTIONS]
            )
        assert_agree(together, alone)
        assert (together[0] - together[3]).abs().max() > 1e-3

    def test_each_question_sees_its_own_image(
        self, adapter: Adapter, features: dict[Path, ImageFeatures]
    ) -> None:
        asked = [question("Is there a cup?", path) for path in (TALL, TALL, WIDE, TALL)]
        batch, used = adapter.encode(asked, features)
        assert batch.images == (0, 0, 1, 0)
        assert len(used) == 2
        with torch.no_grad():
            together = adapter.answer_logits(batch, used)
            alone = torch.cat([adapter.answer_logits(*adapter.encode([one], features)) for one in asked])
        assert_agree(together, alone)

    def test_a_batch_without_images(self, adapter: Adapter) -> None:
        questions = [question("Is there a cup?", None), question("A or B?", None)]
        batch, used = adapter.encode(questions, {})
        assert used == []
        assert batch.images == ()
        assert not batch.image_mask.any()
        with torch.no_grad():
            assert adapter.answer_logits(batch, used).isfinite().all()

    def test_images_encoded_together_equal_images_encoded_alone(
        self, adapter: Adapter, features: dict[Path, ImageFeatures]
    ) -> None:
        for path, image in IMAGES.items():
            with torch.no_grad():
                (alone,) = adapter.encode_images([image])
            assert_agree(features[path].tokens, alone.tokens)
            assert alone.extras.keys() == features[path].extras.keys()
            for key, tensor in alone.extras.items():
                assert_agree(features[path].extras[key], tensor)

    def test_the_answer_depends_on_the_image(
        self, adapter: Adapter, features: dict[Path, ImageFeatures]
    ) -> None:
        asked = [question("Is there a cup?", path) for path in IMAGES]
        with torch.no_grad():
            logits = adapter.answer_logits(*adapter.encode(asked, features))
        assert (logits[0] - logits[1]).abs().max() > 1e-3

    def test_masks_and_last_positions(self, adapter: Adapter, features: dict[Path, ImageFeatures]) -> None:
        batch, used = adapter.encode(QUESTIONS, features)
        assert batch.images == (0, 1, 0)
        assert [len(used[index].tokens) for index in batch.images] == [
            int(row.sum()) for row, asked in zip(batch.image_mask, QUESTIONS, strict=True) if asked.images
        ]
        assert torch.equal(batch.last, batch.attention_mask.sum(1) - 1)
        ends = batch.input_ids.gather(1, batch.last[:, None])
        assert (ends == ends[0]).all(), "each prompt ends where the assistant's answer begins"
        assert not (batch.marker_mask & batch.image_mask).any()
        assert not ((batch.marker_mask | batch.image_mask) & (batch.attention_mask == 0)).any()

    def test_markers_stand_around_the_image(
        self, adapter: Adapter, family: str, features: dict[Path, ImageFeatures]
    ) -> None:
        batch, _ = adapter.encode([QUESTIONS[2]], features)
        (image,) = torch.nonzero(batch.image_mask[0], as_tuple=True)
        assert bool(len(adapter._marker_ids)) == bool(batch.marker_mask.any())
        if adapter._markers:
            assert batch.marker_mask[0, image[0] - 1] or family in ("mistral3", "pixtral"), (
                "its rows have marks behind them only"
            )
            assert batch.marker_mask[0, image[-1] + 1]

    def test_hidden_states_lead_to_the_answer_logits(
        self, adapter: Adapter, features: dict[Path, ImageFeatures]
    ) -> None:
        batch, used = adapter.encode(QUESTIONS, features)
        with torch.no_grad():
            states = adapter.hidden_states(batch, used)[torch.arange(len(QUESTIONS)), batch.last]
            logits = adapter.model.get_output_embeddings()(states)
            cap = getattr(adapter.model.get_decoder().config, "final_logit_softcapping", None)
            logits = logits if cap is None else cap * (logits / cap).tanh()
            assert_agree(adapter.answer_logits(batch, used), logits)

    def test_generated_text_starts_with_the_most_probable_token_and_no_neighbour_changes_it(
        self, adapter: Adapter, features: dict[Path, ImageFeatures], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        steps: list[Tensor] = []
        generate = adapter.model.generate

        def generate_and_keep_logits(**options: Any) -> Tensor:
            made = generate(**options, return_dict_in_generate=True, output_logits=True)
            steps.extend(made.logits)
            return made.sequences

        monkeypatch.setattr(adapter.model, "generate", generate_and_keep_logits)
        batch, used = adapter.encode(QUESTIONS, features)
        together = adapter.generate(batch, used, max_new_tokens=4, do_sample=False)
        alone = [
            adapter.generate(*adapter.encode([asked], features), max_new_tokens=4, do_sample=False)[0]
            for asked in QUESTIONS
        ]
        assert together == alone
        first = adapter.generate(batch, used, max_new_tokens=1, do_sample=False)
        likeliest = _logits(adapter, batch, used).argmax(-1)[:, None]
        assert first == adapter.processor.tokenizer.batch_decode(likeliest, skip_special_tokens=True)
        assert_clear(torch.cat(steps))

    def test_answer_tokens_are_disjoint_and_follow_the_prompt(self, adapter: Adapter) -> None:
        answers = ("Yes", "No", "A", "B", "C", "D", "E")
        tokens = {answer: adapter.answer_tokens(answer) for answer in answers}
        flat = [token for answer in answers for token in tokens[answer]]
        assert len(flat) == len(set(flat))
        assert len(tokens["Yes"]) == 4
        context = adapter.processor.render("Is it?", images=0)
        for answer in answers:
            for written in (answer, f" {answer}"):
                assert adapter.processor.token_ids(context + written)[-1] in tokens[answer]
            assert {
                adapter.processor.tokenizer.decode([token]).strip().lower() for token in tokens[answer]
            } == {answer.lower()}

    def test_gradients_reach_every_projection(
        self, adapter: Adapter, features: dict[Path, ImageFeatures]
    ) -> None:
        logits = adapter.answer_logits(*adapter.encode(QUESTIONS, features))
        weights = [part.weight for block in adapter.blocks for part in (block.gate, block.up, block.down)]
        gradients = torch.autograd.grad(logits.logsumexp(-1).sum(), weights)
        assert all(gradient.abs().sum() > 0 for gradient in gradients)

    def test_shape_counts_every_parameter_once(self, adapter: Adapter) -> None:
        shape, model = adapter.shape, adapter.model
        assert shape.total_parameters == sum(parameter.numel() for parameter in model.parameters())
        names = [block.name for block in adapter.blocks]
        per_block = [
            sum(p.numel() for n, p in model.named_parameters() if n.startswith(f"{name}.")) for name in names
        ]
        assert shape.block_parameters == sum(per_block)
        outside = sum(
            parameter.numel()
            for name, parameter in model.named_parameters()
            if not any(part in name for part in ("language_model", "text_model", "lm_head"))
        )
        assert shape.language_parameters == shape.total_parameters - outside
        assert shape.neurons == tuple(block.gate.out_features for block in adapter.blocks)
        assert shape.neuron_parameters == 3 * shape.hidden_size
        assert shape.family == model.config.model_type

    def test_blocks_are_live(self, adapter: Adapter, features: dict[Path, ImageFeatures]) -> None:
        batch, used = adapter.encode(QUESTIONS, features)
        with torch.no_grad():
            before = adapter.answer_logits(batch, used)
            for block in adapter.blocks:
                weight = block.down.weight.clone()
                block.down.weight.zero_()
                after = adapter.answer_logits(batch, used)
                block.down.weight.copy_(weight)
                assert (after - before).abs().max() > 1e-4
            assert_agree(adapter.answer_logits(batch, used), before)

    def test_the_fingerprint_is_of_the_weights(self, adapter: Adapter, family: str, tmp_path: Path) -> None:
        same = load_model(FAMILIES[family](tmp_path, name="same"))
        other = load_model(FAMILIES[family](tmp_path, name="other", seed=1))
        assert same.shape == adapter.shape
        assert other.shape.fingerprint != adapter.shape.fingerprint

    def test_packed_answers_equal_unpacked_ones(
        self, adapter: Adapter, family: str, features: dict[Path, ImageFeatures]
    ) -> None:
        alone = torch.cat([_logits(adapter, *adapter.encode([asked], features)) for asked in SHARING])
        packed, used = adapter.pack(SHARING, features)
        assert isinstance(packed, PackedBatch) == packs(family), "a family packs, or declares that it cannot"
        if isinstance(packed, PackedBatch):
            assert len(packed.input_ids) <= 4
            assert packed.images == (0, 1)
        assert_agree(_logits(adapter, packed, used), alone)

    def test_the_order_of_packed_questions_does_not_matter(
        self, adapter: Adapter, features: dict[Path, ImageFeatures]
    ) -> None:
        expected = _logits(adapter, *adapter.pack(SHARING, features))
        order = torch.randperm(len(SHARING), generator=torch.Generator().manual_seed(0))
        logits = _logits(adapter, *adapter.pack([SHARING[index] for index in order], features))
        assert_agree(logits, expected[order])

    @pytest.mark.parametrize("rows", [(0,), (1,), (1, 6), (0, 2), (0, 3)])
    def test_few_questions_packed(
        self, adapter: Adapter, features: dict[Path, ImageFeatures], rows: tuple[int, ...]
    ) -> None:
        asked = [SHARING[row] for row in rows]
        expected = _logits(adapter, *adapter.encode(asked, features))
        assert_agree(_logits(adapter, *adapter.pack(asked, features)), expected)

    def test_packed_answers_under_eager_attention(
        self, adapter: Adapter, family: str, features: dict[Path, ImageFeatures]
    ) -> None:
        expected = _logits(adapter, *adapter.pack(SHARING, features))
        if adapter.model.get_decoder().config._attn_implementation == "eager":
            pytest.skip("its stock attention already, since it caps scores")
        try:
            adapter.model.get_decoder().set_attn_implementation("eager")
            packed, used = adapter.pack(SHARING, features)
            assert isinstance(packed, PackedBatch) == packs(family)
            logits = _logits(adapter, packed, used)
        finally:
            adapter.model.get_decoder().set_attn_implementation("sdpa")
        assert_agree(logits, expected)

    def test_logits_along_a_forced_answer_are_those_of_the_stock_model_word_by_word(
        self, adapter: Adapter, folder: Path, family: str, features: dict[Path, ImageFeatures]
    ) -> None:
        stock = AutoModelForImageTextToText.from_pretrained(folder)
        for asked in QUESTIONS[:2]:
            answer = adapter.spelling.sequence("an orange bowl")
            along = _logits(adapter, *adapter.encode([asked], features, [answer]))
            assert len(along) == len(answer) + 1
            for said in range(len(along)):
                batch, _ = adapter.encode([asked], features, [answer[:said]])
                assert_agree(along[said : said + 1], stock_logits(stock, folder, family, batch, asked.images))

    def test_packed_forced_answers_equal_unpacked_ones(
        self, adapter: Adapter, family: str, features: dict[Path, ImageFeatures]
    ) -> None:
        texts = (
            "a red cup",
            None,
            "Yes",
            "the green square is above it",
            "a red cup and a dog",
            None,
            None,
            "no",
            "A",
        )
        forced = [() if text is None else adapter.spelling.sequence(text) for text in texts]
        alone = torch.cat(
            [
                _logits(adapter, *adapter.encode([asked], features, [answer]))
                for asked, answer in zip(SHARING, forced, strict=True)
            ]
        )
        packed, used = adapter.pack(SHARING, features, forced)
        assert isinstance(packed, PackedBatch) == packs(family)
        assert (len(packed.input_ids) <= 4) == packs(family)
        assert len(alone) == sum(len(answer) + 1 for answer in forced)
        assert_agree(_logits(adapter, packed, used), alone)
        batch, used = adapter.encode(SHARING, features, forced)
        assert_agree(_logits(adapter, batch, used), alone)

    def test_an_answer_is_spelled_as_the_template_writes_it(self, adapter: Adapter) -> None:
        tokenizer, answer = adapter.processor.tokenizer, "The blue chair is left of a dog."
        conversation = [
            {"role": role, "content": [{"type": "text", "text": text}]}
            for role, text in (("user", "What is it?"), ("assistant", answer))
        ]
        written = tokenizer.apply_chat_template(
            conversation, chat_template=adapter.processor.chat_template, tokenize=False
        )
        whole = adapter.processor.token_ids(written)
        prompt = adapter.processor.token_ids(adapter.processor.render("What is it?", images=0))
        spelled = adapter.spelling.sequence(answer)
        assert whole[: len(prompt) + len(spelled)] == [*prompt, *spelled]
        assert tokenizer.decode(spelled).strip() == answer
        assert adapter.spelling.ends == (tokenizer.eos_token_id,)

    def test_an_answer_with_the_image_token_is_refused(self, adapter: Adapter) -> None:
        with pytest.raises(QuestionError, match="the answer contains the model's own image token"):
            adapter.encode([QUESTIONS[1]], {}, [(adapter._image_token,)])

    @pytest.mark.parametrize(
        ("setting", "value"), [("sliding_window", 8), ("_attn_implementation_internal", "flex_attention")]
    )
    def test_where_a_mask_would_not_be_obeyed_questions_stay_unpacked(
        self,
        adapter: Adapter,
        features: dict[Path, ImageFeatures],
        monkeypatch: pytest.MonkeyPatch,
        setting: str,
        value: Any,
    ) -> None:
        monkeypatch.setattr(adapter.model.get_decoder().config, setting, value, raising=False)
        assert isinstance(adapter.pack(SHARING, features)[0], Batch)

    def test_bfloat16_agrees_roughly(
        self, folder: Path, features: dict[Path, ImageFeatures], adapter: Adapter
    ) -> None:
        half = load_model(folder, dtype="bfloat16")
        with torch.no_grad():
            encoded = dict(zip(IMAGES, half.encode_images(list(IMAGES.values())), strict=True))
            logits = half.answer_logits(*half.encode(QUESTIONS, encoded))
            exact = adapter.answer_logits(*adapter.encode(QUESTIONS, features))
            packed = half.answer_logits(*half.pack(QUESTIONS, encoded))
        assert logits.dtype == torch.float32
        assert (logits - exact).abs().mean() < 0.1 * exact.std()
        assert packed.dtype == torch.float32
        assert (packed - exact).abs().mean() < 0.1 * exact.std()


@pytest.mark.parametrize("name", ["qwen2_5_vl", "qwen2_vl"])
def test_rotary_positions_are_those_of_each_question_alone(name: str, tmp_path: Path) -> None:
    adapter = load_model(FAMILIES[name](tmp_path))
    encoded = dict(zip(IMAGES, adapter.encode_images(list(IMAGES.values())), strict=True))
    seen: list[Tensor] = []
    adapter.model.get_decoder().register_forward_pre_hook(
        lambda _, __, inputs: seen.append(inputs["position_ids"]), with_kwargs=True
    )
    batch, used = adapter.encode(QUESTIONS, encoded)
    adapter.hidden_states(batch, used)
    (positions,) = seen
    for row, asked in enumerate(QUESTIONS):
        length = int(batch.last[row]) + 1
        if not asked.images:
            expected = torch.arange(length).expand(3, -1)
        else:
            (image,) = torch.nonzero(batch.image_mask[row], as_tuple=True)
            _, height, width = (
                encoded[asked.images[0]].extras["image_grid_thw"][0] // torch.tensor([1, 2, 2])
            ).tolist()
            start, count = int(image[0]), len(image)
            assert count == height * width
            down, across = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
            inside = start + torch.stack([torch.zeros(count), down.reshape(-1), across.reshape(-1)])
            after = start + max(height, width) + torch.arange(length - start - count)
            before = torch.arange(start)
            expected = torch.cat([before.expand(3, -1), inside, after.expand(3, -1)], dim=1)
        assert torch.equal(positions[-3:, row, :length], expected.long())


def test_an_untested_family_stays_unpacked(tmp_path: Path) -> None:
    loaded = load_model(FAMILIES["llava"](tmp_path))
    untested = Adapter(loaded.model, loaded.processor)
    encoded = dict(zip(IMAGES, untested.encode_images(list(IMAGES.values())), strict=True))
    batch, used = untested.pack(SHARING, encoded)
    assert isinstance(batch, Batch)
    expected = _logits(untested, *untested.encode(SHARING, encoded))
    assert_agree(_logits(untested, batch, used), expected)


@pytest.mark.parametrize("name", ["Llava", "LlavaNext", "Idefics3"])
def test_ids_and_pixels_equal_the_whole_stock_processors(name: str, tmp_path: Path) -> None:
    """The three stock processors that exist without torchvision, called the plain way."""
    folder = FAMILIES[{"Llava": "llava", "LlavaNext": "llava_next", "Idefics3": "idefics3"}[name]](tmp_path)
    adapter = load_model(folder)
    settings = {
        "patch_size": 14,
        "num_additional_image_tokens": 1,
        "vision_feature_select_strategy": "default",
    }
    stock = getattr(transformers, f"{name}Processor")(
        image_processor=AutoImageProcessor.from_pretrained(folder, backend="pil"),
        tokenizer=transformers.AutoTokenizer.from_pretrained(folder),
        chat_template=(folder / "chat_template.jinja").read_text(),
        **({"image_seq_len": 4} if name == "Idefics3" else settings),
    )
    encoded = dict(zip(IMAGES, adapter.encode_images(list(IMAGES.values())), strict=True))
    for asked in QUESTIONS:
        content = [{"type": "image"}] if asked.images else []
        conversation = [{"role": "user", "content": [*content, {"type": "text", "text": asked.prompt}]}]
        text = stock.apply_chat_template(conversation, add_generation_prompt=True)
        images = [IMAGES[asked.images[0]]] if asked.images else None
        expected = stock(images=images, text=[text], return_tensors="pt")
        assert torch.equal(adapter.encode([asked], encoded)[0].input_ids, expected["input_ids"])
        if images:
            pixels = adapter.processor.pixels(images)["pixel_values"]
            assert torch.equal(pixels, expected["pixel_values"])
