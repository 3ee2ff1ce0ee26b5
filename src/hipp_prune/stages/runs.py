"""The stages on a run directory: calibrate, search, query."""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from hipp_prune import distributed
from hipp_prune.calibration import Calibration
from hipp_prune.calibration import calibrate as measure
from hipp_prune.errors import InputError, RunError
from hipp_prune.evaluation.features import IMAGE_MEMORY
from hipp_prune.files.progress import Progress
from hipp_prune.files.reading import read_json
from hipp_prune.files.run_directory import Provenance, RunDirectory
from hipp_prune.files.writing import write_json, write_text
from hipp_prune.plans.plan import Plan
from hipp_prune.plans.preference import Preference
from hipp_prune.questions.minibatches import calibration_sample
from hipp_prune.questions.records import SkipBad
from hipp_prune.questions.sources import load_questions
from hipp_prune.search.archive import Archive, shared_archive
from hipp_prune.search.loop import search as run_search
from hipp_prune.search.model_problem import ModelProblem
from hipp_prune.search.model_space import plan_space
from hipp_prune.search.query.forecast import known_forecast
from hipp_prune.search.query.planner import Planner
from hipp_prune.search.query.requirements import Requirement, meet_requirements
from hipp_prune.search.query.uniform import best_uniform
from hipp_prune.search.settings import SearchSettings
from hipp_prune.stages.loading import DEFAULT_LOADING, LoadSettings


def calibrate(
    model: str,
    questions: Sequence[str],
    out: Path,
    *,
    count: int = 128,
    batch_size: int = 16,
    seed: int = 0,
    options: LoadSettings = DEFAULT_LOADING,
    force: bool = False,
    skip_bad: SkipBad | None = None,
    progress: Progress | None = None,
) -> RunDirectory:
    """Starts a run: measures the dense model on the calibration split (activations, Eq. 5–6, Taylor).

    Args:
        model: ``toy-llava``, ``toy-qwen2.5-vl``, a checkpoint folder or a hub name.
        questions: specifications, e.g. ``toyworld`` or ``pope:DIR``.
        out: run directory to make.
        count: calibration questions drawn, balanced over benchmarks and answers.
        batch_size: questions a forward pass.
        seed: of the draw and of everything the run does later.
        options: how the model is loaded.
        force: replaces an existing run.
        skip_bad: counts bad questions and pictures and leaves them out; None makes them errors.
        progress: told (questions done, questions in all).

    Raises:
        OutputExistsError: if ``out`` is there and ``force`` is false.
        InputError: for bad questions, images or models; see ``errors``.
    """
    run = RunDirectory(out)
    if distributed.is_first():
        run.create(Provenance.now(model=model, questions=tuple(questions), seed=seed), force=force)
    _meet(run)
    with distributed.first():
        asked = load_questions(questions, "calibration", cache=run.cache, seed=seed, skip_bad=skip_bad)
    sample = calibration_sample(asked, count, seed=seed)
    adapter = options.load(model)
    calibration = measure(adapter, sample, batch_size=batch_size, progress=progress)
    if distributed.is_first():
        calibration.save(run.calibration)
    distributed.barrier()
    return run


def search(
    run: Path,
    config: SearchSettings | None = None,
    *,
    batch_size: int = 64,
    image_memory: int = IMAGE_MEMORY,
    options: LoadSettings = DEFAULT_LOADING,
    force: bool = False,
    skip_bad: SkipBad | None = None,
    encoding: Progress | None = None,
    progress: Progress | None = None,
) -> Planner:
    """Trains the policy of a run on its search split; interrupted, it goes on from its last evaluation.

    Args:
        run: a calibrated run directory.
        config: settings; the run's seed and our defaults if none are given.
        batch_size: questions a forward pass.
        image_memory: bytes of encoded pictures that stay in memory; the rest lie in the run's cache.
        options: how the model is loaded.
        force: throws away what an earlier search with other settings evaluated.
        skip_bad: as in ``calibrate``.
        encoding: told (pictures encoded, pictures in all), before the first evaluation.
        progress: told (evaluations done, evaluations in all).

    Raises:
        IncompleteRunError: if the run has not been calibrated.
        RunError: if an earlier search had other settings and ``force`` is false.
        BudgetError: if no plan saves ``config.s_max`` in ``config.compression``.
    """
    directory = RunDirectory(run)
    provenance = directory.provenance()
    directory.require(directory.calibration, made_by=f"hipp-prune calibrate … --out {run} --force")
    config = config or SearchSettings(seed=provenance.seed)
    _meet(directory)
    _refuse_other_search(directory, config, force=force)
    adapter, calibration = options.load(provenance.model), Calibration.load(directory.calibration)
    space = plan_space(
        adapter, calibration, config, latency=directory.latency, batch_size=batch_size, force=force
    )
    if distributed.is_first():
        _claim_search(directory, config, force=force)
    with distributed.first():
        questions = load_questions(
            provenance.questions, "search", cache=directory.cache, seed=provenance.seed, skip_bad=skip_bad
        )
    problem = ModelProblem(
        adapter,
        calibration,
        questions,
        config,
        space=space,
        batch_size=batch_size,
        features=directory.cache / "features",
        image_memory=image_memory,
        progress=encoding,
    )
    distributed.agree(
        "the order of neurons",
        b"".join([problem.state.tobytes(), *map(np.ndarray.tobytes, problem.sorted.rankings)]),
    )
    archive = shared_archive(directory.search / "archive.jsonl")
    result = run_search(problem, config, archive, progress=progress)
    planner = Planner.of_search(problem, result)
    if distributed.is_first():
        write_json(directory.search / "curve.json", [asdict(step) for step in result.curve])
        write_json(directory.search / "search.json", {**_description(planner), "complete": True})
        planner.save(directory.search / "planner.safetensors")
        with suppress(InputError):  # too few evaluations to forecast from are no failed search
            known_forecast(directory.search / "forecast.json", archive, planner.space)
    distributed.barrier()
    return planner


def query(
    run: Path,
    preference: Preference | None = None,
    *,
    sparsity: float | None = None,
    requirements: Sequence[Requirement] = (),
    uniform: bool = False,
    align: int = 1,
    out: Path | None = None,
) -> Plan:
    """The plan a run's policy answers a preference with; also written to ``out``, or into the run's ``plans``.

    Args:
        run: a searched run directory.
        preference: what counts how much; may be left out where there are requirements.
        sparsity: fixes the sparsity instead of leaving it to the policy.
        requirements: lower bounds on accuracies and savings; the answer is the best plan that is predicted to meet
            all of them.
        uniform: leaves all blocks equally wide, so that the checkpoint is a stock one; without evaluating anything, the
            search's archive says which width.
        align: kept counts are multiples of this.
        out: the plan file.

    Raises:
        IncompleteRunError: if the run has not been searched.
        BudgetError: if the box does not allow the sparsity or the alignment.
        RequirementError: if no plan is predicted to meet the requirements, saying what is attainable.
        InputError: if neither preference nor requirements are given, or a requirement cannot be judged.
    """
    directory = RunDirectory(run)
    directory.provenance()
    path = directory.require(directory.search / "planner.safetensors", made_by=f"hipp-prune search {run}")
    planner = Planner.load(path)
    if requirements:
        if sparsity is not None:
            raise InputError(f"with requirements the sparsity is one of them: sparsity={sparsity:g}")
        if uniform:
            raise InputError(
                "plans of one width answer a preference, not requirements; leave out one of the two"
            )
        archive = Archive(directory.search / "archive.jsonl")
        forecast = known_forecast(directory.search / "forecast.json", archive, planner.space)
        plan = meet_requirements(
            planner, forecast, list(archive), requirements, preference=preference, align=align
        )
    elif preference is None:
        raise InputError("a query needs a preference R,U,C, e.g. 1,1,1, or requirements, e.g. pope=0.85")
    elif uniform:
        archive = Archive(directory.search / "archive.jsonl")
        plan = best_uniform(planner, list(archive), preference, sparsity=sparsity, align=align)
    else:
        plan = planner.query(preference, sparsity=sparsity, align=align)
    name = plan_name(preference, sparsity, align, requirements, uniform=uniform)
    write_text(out or directory.plans / f"{name}.json", plan.to_json())
    return plan


def plan_name(
    preference: Preference | None,
    sparsity: float | None = None,
    align: int = 1,
    requirements: Sequence[Requirement] = (),
    *,
    uniform: bool = False,
) -> str:
    """File name of a queried plan, e.g. ``0.5,0.5,0-s0.3`` or ``pope=0.85-sparsity=0.3``."""
    parts = [] if preference is None else [str(preference)]
    parts += map(str, requirements)
    parts += [] if sparsity is None else [f"s{sparsity:g}"]
    parts += [] if align == 1 else [f"a{align}"]
    parts += ["uniform"] if uniform else []
    return "-".join(parts)


def _description(planner: Planner) -> dict[str, Any]:
    return {
        "config": asdict(planner.config),
        "shape": asdict(planner.space.shape),
        "features": planner.features,
        "scale": planner.scale,
    }


def _meet(directory: RunDirectory) -> None:
    """Waits for all workers and makes sure that they see one run directory.

    Raises:
        RunError: naming a worker that sees another.
    """
    distributed.barrier()
    manifest = directory.manifest.read_bytes() if directory.manifest.exists() else b""
    distributed.agree(f"the run directory {directory.root}", manifest)


def _refuse_other_search(directory: RunDirectory, config: SearchSettings, *, force: bool) -> None:
    """Refuses to mix searches of different settings; more evaluations may be asked for."""
    path = directory.search / "search.json"
    if path.exists() and not force:
        before = read_json(path, made_by=f"hipp-prune search {directory.root} --force")["config"]
        now = asdict(config)
        changed = sorted(name for name in now if name != "evaluations" and before.get(name) != now[name])
        if changed:
            differences = ", ".join(f"{name} {before.get(name)!r} → {now[name]!r}" for name in changed)
            raise RunError(
                f"{directory.search} holds a search with other settings ({differences}); repeat those settings to "
                "go on with it, or add --force to start over"
            )


def _claim_search(directory: RunDirectory, config: SearchSettings, *, force: bool) -> None:
    """Goes on with a search of the same settings, or starts a new one."""
    if force and directory.search.exists():
        shutil.rmtree(directory.search)
    write_json(directory.search / "search.json", {"config": asdict(config), "complete": False})
