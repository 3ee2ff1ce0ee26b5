"""What a run, a checkpoint, a plan, a recipe or a file of results is, how far it got, and what comes next."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hipp_prune.checkpoints.configs import read_config_file
from hipp_prune.checkpoints.elastic import measure_plan, plan_folders
from hipp_prune.checkpoints.footprint import weight_bytes
from hipp_prune.checkpoints.ledger import (
    LEDGER_FILE,
    PLAN_FILE,
    RECOVERY_FILE,
    checkpoint_compensation,
    checkpoint_ledger,
    lost_savings,
    read_savings,
)
from hipp_prune.errors import CheckpointError, HippPruneError, InputError
from hipp_prune.evaluation.results import Results
from hipp_prune.evaluation.scorecard import Scorecard
from hipp_prune.files.outputs import run_of
from hipp_prune.files.places import described, found_instead, unused_name
from hipp_prune.files.recipes import read_recipe
from hipp_prune.files.replacing import beside
from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.files.sizes import format_bytes
from hipp_prune.models.loading import find_source
from hipp_prune.models.refusals import refuse_early
from hipp_prune.models.uneven import is_elastic_plan
from hipp_prune.plans.plan import Plan
from hipp_prune.plans.space import Ledger
from hipp_prune.questions.benchmarks import BENCHMARKS
from hipp_prune.questions.intervals import percent
from hipp_prune.questions.specs import PHOTOS, TOYWORLD
from hipp_prune.report.commands import (
    calibrate_command,
    evaluate_command,
    prune_command,
    pruned_folder,
    search_command,
)
from hipp_prune.report.contents import Contents, read_contents
from hipp_prune.search.query.roles import even_preference
from hipp_prune.stages.loading import IN_MEMORY

_LARGEST = 2**26
"""Bytes of a file that may be a plan or results."""
_RECIPE = ".toml"
"""What the name of a recipe ends with."""
_NEEDED = ("model", "questions", "out")
"""What a recipe says, or else has to be given beside it."""
_SAVED = {
    "mlp": "of MLP parameters",
    "model": "of the model",
    "flops": "of FLOPs",
    "latency": "of seconds",
}


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What is known of something that we wrote."""

    what: str
    """Its kind: a run directory, a checkpoint …"""
    facts: tuple[tuple[str, str], ...]
    """What there is to know, after its name."""
    next: tuple[str, ...]
    """Commands that go on from here, as they are to be typed; none where nothing of ours does."""


def show(path: str) -> Shown:
    """Looks at a run directory, a checkpoint (a toy model's name too), a plan, a recipe or results; changes nothing.

    Raises:
        InputError: if it is none of these.
        HippPruneError: if it is damaged.
    """
    place = Path(path)
    if (place / "run.json").is_file():
        return _show_run(read_contents(RunDirectory(place)))
    if place.is_file() and place.stat().st_size < _LARGEST:
        shown = _show_plan(place) if _holds(place, "kept", "masks") else None
        shown = _show_results(place) if _holds(place, "label", "answers") else shown
        if shown is not None:
            return shown
    remedy = "give a run directory, a checkpoint, a plan, a recipe or what evaluate --out wrote"
    if place.is_file() and place.suffix == _RECIPE:
        return _show_recipe(place, remedy)
    if place.exists() and not (place / "config.json").is_file():
        if place.is_dir() or place.suffix == ".gguf":
            known = described(place)
            if known is not None:
                what, _, how = known.removeprefix(f"{place} is ").partition("; ")
                return Shown(what=what, facts=_known([("go on", how)]), next=())
        raise InputError(f"expected something that hipp-prune wrote, but {found_instead(place, remedy)}")
    source = find_source(path)
    if isinstance(source, str):
        raise CheckpointError(f"there is no {path} here; {remedy}")
    return _show_checkpoint(source, path)


def _holds(path: Path, *keys: str) -> bool:
    """Whether a file names these keys, as JSON does."""
    with path.open("rb") as file:
        text = file.read()
    return all(f'"{key}"'.encode() in text for key in keys)


def _show_run(contents: Contents) -> Shown:
    begun, run = contents.provenance, contents.run
    calibrated = "not yet" if contents.num_questions is None else f"on {contents.num_questions} questions"
    if run.grams.exists():
        calibrated += ", with Gram matrices"
    facts = [
        ("model", begun.model),
        ("questions", " ".join(begun.questions)),
        (
            "started",
            f"{begun.created}, seed {begun.seed}, hipp-prune {begun.versions.get('hipp-prune', '?')}",
        ),
        ("calibrated", calibrated),
        ("searched", _searched(contents)),
        *((f"plan {name}", _saved(plan.ledger)) for name, plan in contents.plans.items()),
        *((f"scores of {each.label}", _scores(each.results)) for each in contents.evaluations.values()),
        *((f"checkpoint of {each.label}", each.model) for each in contents.pruned),
        *(("damaged", sentence) for sentence in contents.damaged.values()),
    ]
    return Shown(what="a run directory", facts=tuple(facts), next=tuple(_next_of_run(contents)))


def _searched(contents: Contents) -> str:
    """Method, and how many of its evaluations are paid for."""
    settings = contents.settings
    if settings is None:
        return "not yet"
    done = sum(evaluation.questions for evaluation in contents.archive) / settings.minibatch
    limit = f"{settings.minutes:g} minutes" if settings.evaluations is None else str(settings.evaluations)
    if settings.evaluations is None and settings.minutes is None:
        limit = str(settings.most_evaluations)
    state = "complete" if contents.run.search.planner.is_file() else "not complete"
    return f"{settings.method}, {done:.4g} evaluations of {limit}, {state}"


def _next_of_run(contents: Contents) -> Iterator[str]:
    begun, run = contents.provenance, contents.run
    if run.recipe.is_file() and not run.summary.is_file():
        yield _command("auto", "--recipe", str(run.recipe))
        return
    if begun.weights is not None or any(each.endswith(IN_MEMORY) for each in begun.questions):
        yield _command("report", str(run.root))  # model or questions are in the memory of whoever began it
        return
    if contents.num_questions is None:
        yield calibrate_command(run, begun)
        return
    if not run.search.planner.is_file():
        yield search_command(run, contents.settings)
        return
    if not contents.plans:
        asked = even_preference(contents.archive)
        yield _command("query", str(run.root), "--preference", asked)
        return
    for name, plan in contents.plans.items():
        if contents.evaluation_of(plan) is None:
            folder = pruned_folder(run, name)
            if not folder.is_dir():
                yield prune_command(run, name, str(folder))
            yield evaluate_command(run, begun, folder.name, str(folder))
            break
    if contents.dense is None:
        yield evaluate_command(run, begun, "dense", begun.model)
    yield _command("report", str(run.root))


def _show_plan(path: Path) -> Shown:
    plan = Plan.load(path)
    notes = plan.notes
    kept, all_neurons = sum(plan.kept), sum(plan.space.widths)
    asked = "" if plan.asked_and_got is None else plan.asked_and_got
    facts = [
        ("model", f"{notes.get('model', 'not said')} ({plan.shape.family}, {plan.shape.num_blocks} blocks)"),
        ("questions", " ".join(notes.get("sources", [])) or "not said"),
        ("made by", str(notes.get("method", "not said"))),
        ("preference", "none" if plan.preference is None else str(plan.preference)),
        ("saves", _saved(plan.ledger)),
        ("keeps", f"{kept:,} of {all_neurons:,} {'neurons' if plan.unit == 'coupled' else 'rows'}"),
        ("compensation", plan.compensation),
        ("asked for", asked),
    ]
    return Shown(what="a plan", facts=_known(facts), next=tuple(_next_of_plan(plan, path)))


def _next_of_plan(plan: Plan, path: Path) -> Iterator[str]:
    """How the plan is carried out: from its run, if that is found, else from the model, which compensates nothing."""
    written = ["--plan", str(path), "--out", unused_name("smaller")]
    if (run := run_of("plan", path)) is not None:
        yield _command("prune", "--run", str(run.root), *written)
    elif (model := plan.notes.get("model")) is not None:
        alone = [] if plan.compensation == "none" else ["--compensation", "none"]
        yield _command("prune", "--model", str(model), *written, *alone)


def _show_recipe(path: Path, remedy: str) -> Shown:
    """What a recipe asks for, and whether that has been made.

    Raises:
        InputError: if it is none.
    """
    flags = read_recipe(path)
    if not flags.keys() & {*_NEEDED} or any(isinstance(value, dict) for value in flags.values()):
        raise InputError(f"expected a recipe of auto, but {found_instead(path, remedy)}")
    facts = [
        (name, " ".join(map(str, value if isinstance(value, list) else [value])))
        for name, value in flags.items()
    ]
    if lacking := ", ".join(name for name in _NEEDED if name not in flags):
        facts.append(("lacks", f"{lacking}; give that beside it"))
        return Shown(what="a recipe", facts=_known(facts), next=())
    out = Path(str(flags["out"]))
    run = RunDirectory(Path(str(flags.get("run", beside(out, "-run")))))
    begun = run.recipe.is_file() and not run.summary.is_file()
    words = ("auto", "--recipe", str(path)) if begun or not out.exists() else ("show", str(out))
    return Shown(what="a recipe", facts=_known(facts), next=(_command(*words),))


def _show_checkpoint(folder: Path, name: str) -> Shown:
    config = read_config_file(folder / "config.json")
    savings, ledger = read_savings(folder), checkpoint_ledger(folder)
    notes: Mapping[str, Any] = {} if savings is None else savings.notes
    plan = Plan.load(folder / PLAN_FILE) if (folder / PLAN_FILE).is_file() else None
    preference = None if plan is None else plan.preference
    pruned = ledger is not None or lost_savings(folder) is not None
    plans, elastic = plan_folders(folder), is_elastic_plan(folder)
    facts = [
        ("architecture", str(config.get("model_type", "not said"))),
        ("weights", format_bytes(weight_bytes(folder))),
        ("plan of", f"{folder.parent}, of whose weights it takes a prefix" if elastic else ""),
        *((f"plan {each.name}", _plan_of_elastic(each)) for each in plans),
        ("saves", "" if ledger is None else _saved(ledger)),
        ("savings", lost_savings(folder) or ""),
        ("pruned from", str(notes.get("model", ""))),
        ("made by", str(notes.get("method", ""))),
        ("preference", "" if preference is None else str(preference)),
        ("compensation", checkpoint_compensation(folder) if pruned else ""),
        ("recovered", "yes" if (folder / RECOVERY_FILE).is_file() else ""),
        ("says what left", "" if plan is not None or not pruned else LEDGER_FILE),
    ]
    what = "a pruned checkpoint" if pruned else "an elastic checkpoint" if plans else "a model"
    try:
        refuse_early(folder, trust_remote_code=False)
    except HippPruneError as error:
        return Shown(what=what, facts=_known([*facts, ("refused", str(error))]), next=())
    sources = notes.get("sources") or [TOYWORLD]
    words = ["evaluate", "--model", name, "--questions", *sources]
    if "model" in notes and any(source.startswith(f"{PHOTOS}:") for source in sources):
        words += ["--dense", str(notes["model"])]  # whose answers are the target
    if not pruned:
        words = ["calibrate", "--model", name, "--questions", *sources, "--out", unused_name("run")]
    if plans:
        words = ["evaluate", "--model", str(plans[0]), "--questions", *(_sources(plans[0]) or [TOYWORLD])]
    return Shown(what=what, facts=_known(facts), next=(_command(*words),))


def _plan_of_elastic(folder: Path) -> str:
    """What one plan of an elastic checkpoint saves, and how much of it is loaded."""
    plan, size = Plan.load(folder / PLAN_FILE), measure_plan(folder)
    loads = f"loads {format_bytes(size.loaded)}, {format_bytes(size.own)} of them its own"
    return f"{folder}: {_saved(plan.ledger)}; {loads}; compensation {plan.compensation}"


def _sources(folder: Path) -> list[str]:
    """Where the questions of a plan's run came from."""
    sources: list[str] = Plan.load(folder / PLAN_FILE).notes.get("sources", [])
    return sources


def _show_results(path: Path) -> Shown:
    card = Scorecard.load(path)
    facts = [
        ("label", card.label),
        ("model", card.model),
        ("questions", f"{' '.join(card.questions)}, split {card.split}, {len(card.answers)} asked"),
        ("saves", "" if card.ledger is None else _saved(card.ledger)),
        ("scores", _scores(card.results)),
    ]
    return Shown(
        what="the results of an evaluation", facts=_known(facts), next=(_next_of_results(card, path),)
    )


def _next_of_results(card: Scorecard, path: Path) -> str:
    """The page of the run that has it; else its answers scored again, which takes those to all of a source."""
    if (run := run_of("result", path)) is not None:
        return _command("report", str(run.root))
    if card.split == "all":
        return _command("evaluate", "--answers", str(path), "--questions", *card.questions)
    return _command("evaluate", "--model", card.model, "--questions", *card.questions, "--split", card.split)


def _known(facts: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The facts that say something."""
    return tuple((name, fact) for name, fact in facts if fact)


def _saved(ledger: Ledger) -> str:
    known = {name: saved for name, saved in asdict(ledger).items() if name in _SAVED and saved is not None}
    return ", ".join(f"{percent(saved)}% {_SAVED[name]}" for name, saved in known.items())


def _scores(results: Results) -> str:
    scores = results.scores.items()
    return ", ".join(
        f"{BENCHMARKS[name].title} {percent(score.accuracy)}% of {score.n}" for name, score in scores
    )


def _command(*words: str) -> str:
    return shlex.join(["hipp-prune", *words])
