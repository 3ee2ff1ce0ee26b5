"""The graphs say what the model says: in torch for every size, and through ONNX Runtime as exported."""

import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from hipp_prune.checkpoints.pruned import prune_checkpoint
from hipp_prune.errors import CheckpointError, InputError, UnsupportedModelError
from hipp_prune.export import onnx
from hipp_prune.export.onnx import write_onnx
from hipp_prune.export.onnx_graphs import AnySizeVision, Decoder, FixedSizeVision
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.questions.question import Question
from tests.tiny import tiny_idefics3, tiny_image, tiny_llava, tiny_qwen2_5_vl, tiny_qwen2_vl
from tests.tolerance import assert_agree, assert_clear
from tests.unit.checkpoints.tiny_plans import fit_somehow, make_plan

needs_runtime = pytest.mark.skipif(
    any(find_spec(name) is None for name in onnx._PACKAGES),
    reason="onnx, onnxscript or onnxruntime is not installed; run `pip install '.[onnx]'`",
)

SIZES = ((56, 56), (112, 56), (56, 112), (84, 84), (60, 100))


@pytest.fixture(scope="module", params=["llava", "qwen2_5_vl"])
def exported(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> tuple[Adapter, Path]:
    """What was exported of a LLaVA-like model of uneven widths, compensated, or of a Qwen2.5-VL-like one of a block."""
    folder = tmp_path_factory.mktemp("onnx")
    dense = tiny_llava(folder) if request.param == "llava" else tiny_qwen2_5_vl(folder, blocks=1)
    plan = make_plan(load_model(dense), "coupled", (40, 17) if request.param == "llava" else (23,))
    fitted = fit_somehow(plan) if request.param == "llava" else None
    prune_checkpoint(dense, plan, folder / "pruned", down_weights=fitted)
    write_onnx(folder / "pruned", folder / "graphs")
    return load_model(folder / "pruned", dtype="float32"), folder / "graphs"


@pytest.mark.parametrize("build", [tiny_qwen2_5_vl, tiny_qwen2_vl])
@torch.no_grad()
def test_windows_by_mask_see_what_windows_by_sorting_see(build, tmp_path: Path) -> None:
    adapter = load_model(build(tmp_path))
    vision = AnySizeVision(adapter.model)
    for size in SIZES:
        pixels = adapter.processor.pixels([tiny_image(size=size)])
        stock = adapter.encode_images([tiny_image(size=size)])[0].tokens
        assert_agree(vision(**pixels), stock)


@torch.no_grad()
def test_a_picture_of_fixed_size_has_the_stock_features(tmp_path: Path) -> None:
    adapter = load_model(tiny_llava(tmp_path))
    pixels = adapter.processor.pixels([tiny_image()])
    assert_agree(FixedSizeVision(adapter.model)(**pixels), adapter.encode_images([tiny_image()])[0].tokens)


@pytest.mark.parametrize("build", [tiny_llava, tiny_qwen2_5_vl])
@torch.no_grad()
def test_the_decoder_goes_on_from_its_cache_and_ignores_padding_on_the_left(build, tmp_path: Path) -> None:
    adapter = load_model(build(tmp_path))
    decoder = Decoder(adapter.model)
    embedded = torch.randn(2, 9, adapter.shape.hidden_size, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(2, 9, dtype=torch.long)
    mask[0, :2] = 0
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    if build is tiny_qwen2_5_vl:
        positions = positions.expand(3, 2, 9)
    at_once = decoder(embedded, mask, positions, nothing(adapter, 2))[0]
    _, *past = decoder(embedded[:, :6], mask[:, :6], positions[..., :6], nothing(adapter, 2))
    in_steps = decoder(embedded[:, 6:], mask, positions[..., 6:], past)[0]
    assert_agree(in_steps, at_once)
    alone = decoder(embedded[:1, 2:], mask[:1, 2:], positions[..., :1, 2:], nothing(adapter, 1))[0]
    assert_agree(at_once[:1], alone)


def nothing(adapter: Adapter, batch: int) -> list[Tensor]:
    """An empty cache."""
    return [
        torch.zeros(batch, block.attention.k_proj.out_features // block.attention.head_dim, 0, block.attention.head_dim)
        for block in adapter.blocks
        for _ in ("key", "value")
    ]  # fmt: skip


@needs_runtime
def test_positions_of_the_example_are_the_stock_models(tmp_path: Path) -> None:
    from hipp_prune.export.onnx_generate import OnnxModel, expand

    adapter = load_model(tiny_qwen2_5_vl(tmp_path))
    example = OnnxModel.__new__(OnnxModel)
    example.axes, example.merge, example.image_token = 3, 2, adapter.model.config.image_token_id
    for size in SIZES:
        picture = Path("picture")
        features = adapter.encode_images([tiny_image(size=size)])[0]
        batch, _ = adapter.encode([question(picture)], {picture: features})
        ids = adapter.processor.token_ids(adapter.processor.render(question(picture).prompt, images=1))
        prompt = expand(ids, example.image_token, len(features.tokens))
        assert prompt.tolist() == batch.input_ids[0].tolist()
        found = example.positions(prompt, features.extras["image_grid_thw"].numpy())
        assert torch.equal(torch.from_numpy(found), adapter._positions(batch))


def question(image: Path | None) -> Question:
    return Question(
        benchmark="pope", id="1", prompt="Is there a red cup in the image?", images=(image,) if image else (),
        answers=("Yes", "No"), gold=0,
        subset="random", group="1",
    )  # fmt: skip


@needs_runtime
@pytest.mark.parametrize("size", [None, (200, 100)])
def test_onnx_runtime_generates_what_torch_generates(
    exported: tuple[Adapter, Path], size: tuple[int, int] | None
) -> None:
    from hipp_prune.export.onnx_generate import OnnxModel

    adapter, folder = exported
    image = None if size is None else Path("picture")
    pictures = [] if size is None else [tiny_image(size=size)]
    features = {Path("picture"): found for found in adapter.encode_images(pictures)}
    batch, images = adapter.encode([question(image)], features)
    ids = adapter.processor.token_ids(
        adapter.processor.render(question(image).prompt, images=int(size is not None))
    )
    pixels = (
        {key: value.numpy() for key, value in adapter.processor.pixels(pictures).items()} if size else None
    )
    answer, scores = OnnxModel(folder).generate(ids, pixels, stop=(), limit=6)
    assert_clear(torch.from_numpy(np.stack(scores)))
    expected = adapter.generate(batch, images, max_new_tokens=6, min_new_tokens=6, do_sample=False)
    assert adapter.processor.tokenizer.decode(answer, skip_special_tokens=True) == expected[0]
    first = adapter.answer_logits(batch, images)[0]
    assert_agree(scores[0], first)


@needs_runtime
def test_the_example_beside_the_graphs_runs(
    exported: tuple[Adapter, Path], tmp_path: Path, monkeypatch, capsys
) -> None:
    _, folder = exported
    Image.new("RGB", (80, 60), "red").save(tmp_path / "picture.png")
    monkeypatch.setattr(
        sys,
        "argv",
        ["generate.py", str(tmp_path / "picture.png"), "Is there a cup?", "--max-new-tokens", "2"],
    )
    runpy.run_path(str(folder / "generate.py"), run_name="__main__")
    assert capsys.readouterr().out.endswith("\n")


@needs_runtime
def test_graphs_that_say_something_else_than_torch_are_refused(
    exported: tuple[Adapter, Path], tmp_path: Path
) -> None:
    adapter, folder = exported
    build = tiny_llava if adapter.model.config.model_type == "llava" else tiny_qwen2_5_vl
    other = load_model(build(tmp_path, seed=1, blocks=len(adapter.blocks)), dtype="float32")
    with pytest.raises(CheckpointError, match="deviate from torch's by"):
        onnx._check(other, folder)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(InputError, match=r"onnxscript.*not installed.*\.\[onnx\]"):
        write_onnx(tiny_llava(tmp_path), tmp_path / "graphs")
    assert not (tmp_path / "graphs").exists()


@needs_runtime
def test_a_family_without_a_vision_graph_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="found idefics3"):
        write_onnx(tiny_idefics3(tmp_path), tmp_path / "graphs")
