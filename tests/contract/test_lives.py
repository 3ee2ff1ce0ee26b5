"""What every family goes through: pruned, reloaded by plain transformers elsewhere, recovered, filled up, refused.

The process that reloads knows nothing of this package: it gets folders and the stock model's own inputs.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from hipp_prune.baselines.methods import load_baseline
from hipp_prune.baselines.settings import BaselineSettings
from hipp_prune.checkpoints.configs import read_config_file
from hipp_prune.checkpoints.pruned import prune_checkpoint
from hipp_prune.errors import UnsupportedModelError
from hipp_prune.export.gguf import check_graph
from hipp_prune.export.onnx import check_vision
from hipp_prune.export.pad import write_padded
from hipp_prune.export.quantised import check_matrices
from hipp_prune.models import SUPPORTED, load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.models.capabilities import refuse_incapable
from hipp_prune.models.stock import own_inputs, processed_inputs
from hipp_prune.pruning.masking import apply_masks
from hipp_prune.questions.question import Question
from hipp_prune.recovery.recover import recover_checkpoint
from hipp_prune.recovery.settings import RecoverySettings
from hipp_prune.stages.baseline import baseline
from hipp_prune.stages.calibrate import calibrate
from hipp_prune.stages.evaluate import evaluate
from hipp_prune.stages.export import export
from hipp_prune.stages.recover import recover
from hipp_prune.stages.settings import ExportSettings
from tests.strangers import tiny_stranger
from tests.tiny import FAMILIES, tiny_image, tiny_llava
from tests.tolerance import assert_agree
from tests.unit.checkpoints.tiny_plans import make_plan
from tests.unit.questions.made import pope

pytestmark = pytest.mark.filterwarnings("ignore:.*is not among the tested families")
KEPT = (30, 21)
BY_DISCOVERY = ("llava_next_video", "janus")
"""Families outside the table."""
RECOVERY = RecoverySettings(
    steps=2, batch_size=2, per_image=2, lora_blocks=1, lora_rank=2, rate=1e-3, lora_rate=1e-2, projector=False
)

RELOAD = """
import sys, torch
from transformers import AutoModelForImageTextToText
for line in sys.stdin:
    folder, inputs, out, trusted = line.rstrip("\\n").split("\\t")
    try:
        model, info = AutoModelForImageTextToText.from_pretrained(
            folder, trust_remote_code=trusted == "1", output_loading_info=True)
        assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
        with torch.no_grad():
            torch.save(model.eval()(**torch.load(inputs)).logits, out)
        print("done", flush=True)
    except Exception as error:
        print(f"{type(error).__name__}: {error}".replace("\\n", " "), flush=True)
"""


def build(family: str, tmp: Path) -> Path:
    return FAMILIES[family](tmp) if family in FAMILIES else tiny_stranger(tmp, family)


@pytest.fixture(scope="module")
def reload(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Tensor]]:
    """Logits of a checkpoint from another process, which imports transformers alone."""
    tmp = tmp_path_factory.mktemp("reloaded")
    process = subprocess.Popen(
        [sys.executable, "-c", RELOAD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def logits(folder: Path, inputs: dict[str, Any], *, trusted: bool = True) -> Tensor:
        assert process.stdin is not None
        assert process.stdout is not None
        torch.save(inputs, tmp / "inputs.pt")
        print(
            folder,
            tmp / "inputs.pt",
            tmp / "logits.pt",
            int(trusted),
            sep="\t",
            file=process.stdin,
            flush=True,
        )
        said = process.stdout.readline().strip()
        assert said == "done", said
        result: Tensor = torch.load(tmp / "logits.pt")
        return result[0, -1]

    yield logits
    process.stdin.close()
    process.stdout.close()
    process.wait(timeout=60)


@pytest.fixture(scope="module", params=[*FAMILIES, *BY_DISCOVERY])
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def dense(family: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(family, tmp_path_factory.mktemp(family))


@pytest.fixture(scope="module")
def adapter(dense: Path) -> Adapter:
    return load_model(dense)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Question:
    path = tmp_path_factory.mktemp("pictures") / "picture.png"
    tiny_image().save(path)
    return pope(0, 0, image=path, prompt="Is there a red cup in the image?")


def stock_inputs(adapter: Adapter, asked: Question) -> dict[str, Any]:
    """What the stock forward takes: pixels and the prompt's tokens."""
    if adapter.processor.stock is not None:
        text = adapter.processor.render(asked.prompt, images=1)
        special = not adapter.processor.begins_with_bos(text)
        made = processed_inputs(adapter.processor.stock, text, tiny_image(), special_tokens=special)
        made.pop("labels", None)
        return made
    batch, _ = encoded(adapter, asked)
    return own_inputs(adapter, batch, [tiny_image()])


def encoded(adapter: Adapter, asked: Question) -> Any:
    assert asked.images
    return adapter.encode([asked], {asked.images[0]: adapter.encode_images([tiny_image()])[0]})


def ours(adapter: Adapter, asked: Question) -> Tensor:
    with torch.no_grad():
        return adapter.answer_logits(*encoded(adapter, asked))[0]


@pytest.fixture(scope="module")
def pruned(dense: Path, adapter: Adapter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pruned") / "out"
    prune_checkpoint(dense, make_plan(adapter, "coupled", KEPT), out)
    return out


class TestLife:
    def test_pruned_and_reloaded_elsewhere_it_answers_as_the_masked_model(
        self, adapter: Adapter, pruned: Path, asked: Question, reload: Callable[..., Tensor]
    ) -> None:
        dense, inputs = ours(adapter, asked), stock_inputs(adapter, asked)
        with apply_masks(adapter, make_plan(adapter, "coupled", KEPT).keep_masks()):
            expected = ours(adapter, asked)
        assert (dense - expected).abs().max() > 1e-3
        assert_agree(reload(pruned, inputs), expected)
        assert load_model(pruned).shape.neurons == KEPT
        assert_agree(ours(load_model(pruned), asked), expected)

    def test_recovered_it_keeps_its_widths_and_reloads(
        self, adapter: Adapter, pruned: Path, asked: Question, tmp_path: Path, reload: Callable[..., Tensor]
    ) -> None:
        out = tmp_path / "recovered"
        recover_checkpoint(pruned, load_model(pruned), [asked], out, RECOVERY)
        again = load_model(out)
        assert again.shape.neurons == KEPT
        expected = ours(again, asked)
        assert (ours(load_model(pruned), asked) - expected).abs().max() > 1e-5
        assert_agree(reload(out, stock_inputs(adapter, asked)), expected)

    def test_filled_up_it_is_a_stock_model_or_its_row_says_why_not(
        self,
        family: str,
        adapter: Adapter,
        pruned: Path,
        asked: Question,
        tmp_path: Path,
        reload: Callable[..., Tensor],
    ) -> None:
        out = tmp_path / "padded"
        if family in SUPPORTED and "padded" in SUPPORTED[family].cannot:
            with pytest.raises(UnsupportedModelError, match="cannot be filled up"):
                write_padded(pruned, out)
            assert not out.exists()
            return
        write_padded(pruned, out)
        assert "auto_map" not in read_config_file(out / "config.json")
        found = reload(out, stock_inputs(adapter, asked), trusted=False)
        assert_agree(found, ours(load_model(pruned), asked))


class TestCapabilities:
    """What a row says a family cannot do is what the code that would do it refuses, and nothing else."""

    @pytest.fixture(autouse=True)
    def listed(self, family: str) -> None:
        if family not in SUPPORTED:
            pytest.skip("a family outside the table declares nothing")

    def test_gguf(self, family: str, adapter: Adapter) -> None:
        refused = raises(lambda: check_graph(adapter))
        assert refused == ("gguf" in SUPPORTED[family].cannot)

    def test_onnx(self, family: str, adapter: Adapter, dense: Path) -> None:
        refused = raises(lambda: check_vision(dense, adapter))
        assert refused == ("onnx" in SUPPORTED[family].cannot)

    def test_slicegpt(self, family: str, adapter: Adapter) -> None:
        refused = raises(lambda: load_baseline("slicegpt").refuse_model(adapter))
        assert refused == ("slicegpt" in SUPPORTED[family].cannot)

    def test_llm_pruner(self, family: str, adapter: Adapter) -> None:
        refused = raises(lambda: load_baseline("llm-pruner").refuse_model(adapter))
        assert refused == ("llm-pruner" in SUPPORTED[family].cannot)

    def test_quantised(self, family: str, adapter: Adapter) -> None:
        refused = raises(lambda: check_matrices(adapter, "fp8", 1))
        assert refused == ("quantising" in SUPPORTED[family].cannot)

    def test_commands_refuse_before_a_weight_is_read(self, family: str, dense: Path, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_bytes((dense / "config.json").read_bytes())
        for capability, reason in SUPPORTED[family].cannot.items():
            with pytest.raises(UnsupportedModelError) as refused:
                refuse_incapable(tmp_path, capability)
            assert str(refused.value).endswith(reason)


def raises(work: Callable[[], object]) -> bool:
    try:
        work()
    except UnsupportedModelError:
        return True
    return False


@pytest.mark.parametrize("rows", ["in a file", "in memory", "beside a world"])
@pytest.mark.parametrize("command", ["calibrate", "baseline", "evaluate", "recover"])
def test_several_pictures_are_refused_before_a_weight_is_read(
    command: str, rows: str, tmp_path: Path
) -> None:
    folder = FAMILIES["gemma3"](tmp_path)
    for path in folder.glob("*.safetensors"):
        path.write_bytes(b"no weights")
    for name in range(40):
        tiny_image(name).save(tmp_path / f"{name}.png")
    about = [
        {
            "image": [f"{tmp_path / str(name)}.png"] * 2,
            "question": f"Alike {name}?",
            "answer": ("yes", "no")[name % 2],
        }
        for name in range(40)
    ]
    table, out = tmp_path / "mine.jsonl", tmp_path / "out"
    table.write_text("".join(json.dumps(row) + "\n" for row in about), encoding="utf-8")
    asked: Any = {"in a file": [str(table)], "in memory": about, "beside a world": ["toyworld", str(table)]}[
        rows
    ]
    if rows == "beside a world" and command != "calibrate":
        pytest.skip("drawn before it is asked of the family")
    work = {
        "calibrate": partial(calibrate, str(folder), asked, out),
        "baseline": partial(baseline, "magnitude", 0.2, out, model=str(folder), questions=asked),
        "evaluate": partial(evaluate, str(folder), asked),
        "recover": partial(recover, str(folder), asked, out),
    }[command]
    with pytest.raises(UnsupportedModelError, match="Gemma 3 cannot do several pictures: "):
        work()
    assert not out.exists()


def test_code_of_its_own_is_refused_as_everywhere(tmp_path: Path) -> None:
    folder = tiny_llava(tmp_path)
    path = folder / "config.json"
    path.write_text(
        json.dumps(json.loads(path.read_text()) | {"model_type": "molmo", "auto_map": {"AutoConfig": "x.X"}})
    )
    with pytest.raises(UnsupportedModelError, match=r"'molmo', which comes with code of its own"):
        export(str(folder), "gguf", tmp_path / "out")


@pytest.mark.parametrize(
    ("command", "family"),
    [
        ("slicegpt", "qwen3_vl"),
        ("llm-pruner", "minicpmv4_6"),
        ("gguf", "qwen3_vl"),
        ("onnx", "qwen3_vl"),
        ("quantising", "qwen3_vl"),
    ],
)
def test_a_command_asks_first(
    command: str, family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if command == "quantising":  # there is no family in the table that lacks it
        monkeypatch.setitem(cast("dict[str, str]", SUPPORTED[family].cannot), command, "for a test")
    folder = FAMILIES[family](tmp_path)
    for path in folder.glob("*.safetensors"):
        path.write_bytes(b"no weights")
    out = tmp_path / "out"
    work = {
        "slicegpt": partial(baseline, "slicegpt", 0.2, out, model=str(folder), questions=["toyworld"]),
        "llm-pruner": partial(
            baseline,
            "llm-pruner",
            0.2,
            out,
            BaselineSettings(attention=True, match="block"),
            model=str(folder),
            questions=["toyworld"],
        ),
        "quantising": partial(export, str(folder), "gptq", out, ExportSettings(questions=("toyworld",))),
        "gguf": partial(export, str(folder), "gguf", out),
        "onnx": partial(export, str(folder), "onnx", out),
    }[command]
    with pytest.raises(UnsupportedModelError, match=f"{SUPPORTED[family].name} cannot do {command}: "):
        work()
    assert not out.exists()
