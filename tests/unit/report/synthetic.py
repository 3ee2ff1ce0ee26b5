"""Parts of a synthetic run, written through the dataclasses that write a real one; no model is involved."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from hipp_prune.calibration.activations import Moments
from hipp_prune.calibration.measurement import Calibration
from hipp_prune.calibration.visual import VisualSensitivity
from hipp_prune.evaluation.results import score
from hipp_prune.evaluation.scorecard import Answer, Scorecard
from hipp_prune.files.manifest import note_growing
from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.files.writing import write_json, write_text
from hipp_prune.plans.plan import Plan, UnitKind, pack_masks
from hipp_prune.plans.preference import Preference
from hipp_prune.plans.space import ModelShape, PlanSpace
from hipp_prune.questions.benchmarks import BENCHMARKS, pope, scienceqa
from hipp_prune.questions.fingerprint import Origin
from hipp_prune.questions.question import Question
from hipp_prune.questions.yes_no import YES_NO
from hipp_prune.search import archive as archives
from hipp_prune.search.loop import Step
from hipp_prune.search.settings import SearchSettings

BLOCKS, NEURONS, HIDDEN = 6, 40, 16
PREFERENCES = {"robust": (1.0, 0.0, 0.0), "useful": (0.0, 1.0, 0.0), "small": (0.0, 0.0, 1.0)}
LEVELS = {"warm-up-0": (-0.4, 0.3), "surrogate-0": (0.1, -0.5), "step-0": (0.5, 0.2)}
"""How much easier each minibatch is: (robustness, utility)."""


def shape(blocks: int = BLOCKS, neurons: int = NEURONS) -> ModelShape:
    block_parameters = blocks * (3 * HIDDEN * neurons + 4 * HIDDEN**2)
    return ModelShape(
        family="llava",
        fingerprint="0123456789abcdef",
        hidden_size=HIDDEN,
        neurons=(neurons,) * blocks,
        neuron_parameters=3 * HIDDEN,
        block_parameters=block_parameters,
        language_parameters=2 * block_parameters,
        total_parameters=3 * block_parameters,
    )


def space(unit: UnitKind = "coupled", blocks: int = BLOCKS, neurons: int = NEURONS) -> PlanSpace:
    return PlanSpace(shape=shape(blocks, neurons), unit=unit, r_max=0.8)


def make_plan(
    weights: Sequence[float], sparsity: float, unit: UnitKind = "coupled", blocks: int = BLOCKS
) -> Plan:
    within = space(unit, blocks)
    spread = np.linspace(0.0, 1.0 + 2 * weights[0], within.num_units)[None]
    kept = within.kept(within.ratios(spread, np.array([sparsity])))[0]
    widths = Plan(
        shape=within.shape, unit=unit, kept=(), masks=(), ledger=within.ledger(kept), importance="coupled"
    ).mask_widths
    counts = (
        kept
        if unit == "coupled"
        else np.concatenate([[gate, gate, down] for gate, down in kept.reshape(-1, 2)])
    )
    return Plan(
        shape=within.shape,
        unit=unit,
        kept=tuple(kept.tolist()),
        masks=pack_masks([np.arange(width) < count for width, count in zip(widths, counts, strict=True)]),
        ledger=within.ledger(kept),
        importance="coupled",
        preference=Preference.of(weights),
        notes={"sparsity": sparsity},
    )


def make_questions(folder: Path) -> list[Question]:
    """12 POPE questions about 6 drawn pictures, and 8 of ScienceQA, half of them about a picture."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(6):
        Image.new("RGB", (24, 18), (40 * index, 90, 200 - 30 * index)).save(folder / f"{index}.png")
    about = [
        Question(
            benchmark="pope",
            id=f"{subset}/{index}",
            prompt=f"Is there a <b>cup</b> in image {index}?{pope.INSTRUCTION}",
            images=(folder / f"{index % 6}.png",),
            answers=YES_NO,
            gold=index % 2,
            subset=subset,
            group=str(index % 6),
        )
        for position, subset in enumerate(("random", "popular", "adversarial"))
        for index in range(4 * position, 4 * position + 4)
    ]
    return about + [
        Question(
            benchmark="scienceqa",
            id=f"exam-{index}",
            prompt=f"Which is largest?\nA. a flea\nB. a cat\nC. the sun{scienceqa.INSTRUCTION}",
            images=(folder / f"{index % 6}.png",) if index % 2 else (),
            answers=("A", "B", "C"),
            gold=index % 3,
            subset="natural science",
            group=f"exam {index}",
        )
        for index in range(8)
    ]


def make_own_questions(folder: Path, benchmark: str) -> list[Question]:
    """Four questions about two drawn pictures: yes/no ones, or such as came without an answer."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(2):
        Image.new("RGB", (24, 18), (40 * index, 90, 200)).save(folder / f"{index}.png")
    yes_no = BENCHMARKS[benchmark].instruction != ""
    return [
        Question(
            benchmark=benchmark,
            id=f"own-{index}",
            prompt=f"Is there a dog in picture {index}?{BENCHMARKS[benchmark].instruction}",
            images=(folder / f"{index % 2}.png",),
            answers=YES_NO if yes_no else ("A dog on a lawn.", "something else"),
            gold=index // 2 if yes_no else 0,
            subset="photos.csv",
            group=str(index % 2),
        )
        for index in range(4)
    ]


def make_evaluation(questions: Sequence[Question], label: str, errors: Sequence[int]) -> Scorecard:
    """An evaluation that errs at the questions with these indices."""
    given = {
        question.id: question.answers[(question.gold + (index in errors)) % len(question.answers)]
        for index, question in enumerate(questions)
    }
    return Scorecard(
        label=label,
        model="models/some-vlm",
        questions=("toyworld",),
        split="test",
        results=score(questions, given),
        answers=tuple(
            Answer(
                benchmark=question.benchmark,
                id=question.id,
                prompt=question.prompt,
                images=tuple(map(str, question.images)),
                gold=question.answer,
                given=given[question.id],
                margin=-1.5 if index in errors else 2.25 + index % 10 / 10,
            )
            for index, question in enumerate(questions)
        ),
        seconds=1.5,
        bytes=12_300_000,
    )


def make_pruned(questions: Sequence[Question], name: str, plan: Plan, errors: Sequence[int]) -> Scorecard:
    assert plan.preference is not None
    return replace(
        make_evaluation(questions, str(plan.preference), errors),
        model=f"models/{name}",
        ledger=plan.ledger,
        preference=PREFERENCES[name],
        bytes=9_100_000,
        speedup=1.234,
    )


def make_archive(
    count: int = 60, *, noise: float = 0.0, within: PlanSpace | None = None
) -> list[archives.Evaluation]:
    """Random plans; damage is r² in every block, more to robustness in later ones, to utility in earlier ones."""
    rng = np.random.default_rng(0)
    within = within or space()
    blocks = within.num_units
    plans = within.kept(
        within.ratios(0.5 * rng.normal(size=(count, blocks)), rng.uniform(0.1, 0.6, size=count)), align=1
    )
    damage = np.stack([np.linspace(0, 2, blocks), np.linspace(2, 0, blocks)]) / blocks
    evaluations = {}
    for index, kept in enumerate(plans):
        minibatch = list(LEVELS)[index * len(LEVELS) // count]
        objectives = -(damage * (1 - kept / within.widths) ** 2).sum(axis=1) + LEVELS[minibatch]
        objectives = objectives + noise * rng.normal(size=2)
        evaluation = archives.Evaluation(
            kept=tuple(kept.tolist()),
            minibatch=minibatch,
            robustness=float(objectives[0]),
            utility=float(objectives[1]),
            sparsity=float(within.sparsity(kept)),
            accuracies={"pope": 0.9, "scienceqa": 0.8},
            questions=64,
            source=minibatch.rpartition("-")[0].replace("step", "policy"),
            seconds=0.1,
        )
        evaluations[evaluation.key] = evaluation
    return list(evaluations.values())


def make_curve() -> list[Step]:
    phases = ["warm-up", *["surrogate"] * 3, *["policy"] * 6]
    return [
        Step(
            phase=phase,
            evaluations=20 * (index + 1),
            mean_return=index / 10,
            objectives=(-0.5 + index / 30, -0.9 + index / 40, 0.3),
            gate=1.0,
            clipped=0.1,
            kl=0.01,
        )
        for index, phase in enumerate(phases)
    ]


def make_calibration(blocks: int = BLOCKS) -> Calibration:
    def moments(size: int) -> Moments:
        count, total, square, maximum = (
            torch.ones(2, width, dtype=torch.float64) for width in (1, *[size] * 3)
        )
        return Moments(count=count[:, 0], total=total, square=square, maximum=maximum)

    shares = torch.linspace(0.4, 0.1, blocks, dtype=torch.float64)
    total = torch.stack([shares, shares / 3, shares / 2])[:, None].expand(3, 3, blocks)
    return Calibration(
        inputs=tuple(moments(HIDDEN) for _ in range(blocks)),
        neurons=tuple(moments(NEURONS) for _ in range(blocks)),
        taylor=tuple(torch.ones(NEURONS) for _ in range(blocks)),
        visual=VisualSensitivity(total=4 * total.clone(), count=torch.tensor(4.0, dtype=torch.float64)),
        num_questions=4,
        origin=Origin(weights="0123", questions="4567"),
    )


def write_search(
    run: RunDirectory, *, unit: UnitKind = "coupled", within: PlanSpace | None = None, count: int = 60
) -> None:
    settings = SearchSettings(evaluations=200, s_max=0.6, unit=unit, relabel=False, clip=None)
    write_json(
        run.search.record,
        {
            "settings": asdict(settings),
            "shape": asdict((within or space()).shape),
            "scale": [0.1, 0.1, 0.3],
            "features": ["depth"],
            "complete": True,
        },
    )
    lines = [json.dumps(asdict(each)) for each in make_archive(count, noise=0.02, within=within)]
    write_text(run.search.archive, "\n".join(lines) + "\n")
    note_growing(run.search.archive)
    write_json(run.search.curve, [asdict(step) for step in make_curve()])
