"""Valid files of tensors that we write and read back: their headers are damaged, the numbers behind them stay.

A header is the JSON at the beginning of a safetensors file: what each tensor is called, its type and shape, and where
it lies; and the file's own metadata.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from torch import nn

from hipp_prune.calibration.activations import Moments
from hipp_prune.calibration.grams import GramLayout, Grams, gather_grams
from hipp_prune.calibration.measurement import Calibration
from hipp_prune.calibration.reductions import HEAD_REDUCTIONS, TOKEN_REDUCTIONS
from hipp_prune.calibration.visual import VisualSensitivity
from hipp_prune.evaluation import features
from hipp_prune.models.adapter import ImageFeatures
from hipp_prune.pruning import compensated
from hipp_prune.questions.fingerprint import Origin
from hipp_prune.recovery.state import StateFile
from tests.fuzz.seed import Seed

_HEADER = ".header"
_NAMES = ("calibration", "grams", "recovery", "features", "factors")
_LAYOUT = GramLayout(widths=(3, 4))
_SETTINGS = {"steps": 3}


def _moments(width: int) -> Moments:
    ones = torch.ones(2, width, dtype=torch.float64)
    return Moments(count=ones[:, 0] * 2, total=ones, square=ones * 3, maximum=ones * 4)


def _calibration() -> Calibration:
    """Of two blocks of three and five neurons."""
    shape = (len(TOKEN_REDUCTIONS), len(HEAD_REDUCTIONS), 2)
    return Calibration(
        inputs=(_moments(4), _moments(4)),
        neurons=(_moments(3), _moments(5)),
        taylor=(torch.ones(3), torch.ones(5)),
        visual=VisualSensitivity(
            total=torch.ones(shape, dtype=torch.float64), count=torch.ones((), dtype=torch.float64)
        ),
        num_questions=2,
        origin=Origin(weights="a", questions="b"),
    )


def _parameters() -> dict[str, nn.Parameter]:
    return {"head": nn.Parameter(torch.ones(2, 3)), "norm": nn.Parameter(torch.ones(4))}


def _write_state(path: Path) -> None:
    parameters = _parameters()
    optimizer = torch.optim.AdamW(parameters.values())
    for parameter in parameters.values():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    StateFile(path, _SETTINGS).save(parameters, optimizer, [0.5])


def _write_tensors(folder: Path) -> None:
    _calibration().save(folder / "calibration")
    with gather_grams(folder / "grams", _LAYOUT, Origin(weights="a", questions="b")) as grams:
        for counts in grams.counts():
            counts.fill_(3)
    _write_state(folder / "recovery")
    features._write(
        ImageFeatures(tokens=torch.ones(2, 4), extras={"grid": torch.ones(1, 3)}), folder / "features"
    )
    compensated._nested(torch.ones(4, 3), torch.eye(3), np.arange(3), 0.1, folder / "factors")
    for name in _NAMES:
        content = (folder / name).read_bytes()
        end = 8 + int.from_bytes(content[:8], "little")
        (folder / f"{name}{_HEADER}").write_bytes(content[8:end])
        (folder / f"{name}.numbers").write_bytes(content[end:])
    with safe_open(folder / "factors", framework="pt") as file:
        (folder / "factors.key").write_text(file.metadata()["key"])


def _read_tensors(folder: Path, name: str) -> object:
    path = (folder / name).with_suffix("")
    header = (folder / name).read_bytes()
    path.write_bytes(len(header).to_bytes(8, "little") + header + path.with_suffix(".numbers").read_bytes())
    match path.name:
        case "calibration":
            return _use_calibration(Calibration.load(path))
        case "grams":
            return _use_grams(Grams.load(path))
        case "recovery":
            parameters = _parameters()
            optimizer = torch.optim.AdamW(parameters.values())
            losses = StateFile(path, _SETTINGS).restore(parameters, optimizer)
            assert losses == [0.5]
            optimizer.step()
            return None
        case "features":
            found = features._read(path)
            assert found is None or found.nbytes
            return None
    nested = compensated._read(path, path.with_suffix(".key").read_text())
    assert nested is None or nested.product.shape == (4, 3)
    assert nested is None or nested.factor.shape == (3, 3)
    return nested


def _use_calibration(found: Calibration) -> None:
    assert found.visual.per_block().shape == (len(found.taylor),)
    for moments in (*found.inputs, *found.neurons):
        assert torch.isfinite(moments.rms(0.5)).all()
        assert torch.isfinite(moments.mean(0.5)).all()
    assert found.num_questions > 0
    assert found.origin.weights is not None


def _use_grams(found: Grams) -> None:
    for block, width in enumerate(_LAYOUT.widths):
        assert found.gram(block).shape == (width, width)
        assert found.held_out(block).shape[1] == width
    assert found.factor >= 0


TENSORS = Seed(
    name="tensors",
    write=_write_tensors,
    kinds={f"{name}{_HEADER}": None for name in _NAMES},
    read=_read_tensors,
)
