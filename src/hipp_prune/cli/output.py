"""What the commands print, and the pieces of their work that need the heavy imports."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich import box
from rich.table import Table

from hipp_prune import api
from hipp_prune.cli.commands import Evaluate, ModelFlags
from hipp_prune.cli.extras import BenchSearch, ToyMake, ToyTrain
from hipp_prune.evaluation.results import Results
from hipp_prune.experiments.compare.cell_results import CellResult
from hipp_prune.experiments.compare.page import comparison_tables, lead_lines, leads, section_name
from hipp_prune.experiments.search_bench.page import results_tables, verdict_lines
from hipp_prune.experiments.search_bench.run import FULL, QUICK
from hipp_prune.experiments.search_bench.stage import bench_search as bench_search_stage
from hipp_prune.experiments.search_bench.verdicts import entries
from hipp_prune.files.writing import refuse_existing, write_text
from hipp_prune.models import SUPPORTED, TOYS
from hipp_prune.plans.plan import Plan
from hipp_prune.plans.space import Ledger
from hipp_prune.questions import toyworld
from hipp_prune.questions.records import SkipBad
from hipp_prune.report.terminal import console, notes, progress_bar, progress_bars

__all__ = [
    "console",
    "model_options",
    "next_steps",
    "notes",
    "print_comparison",
    "print_plan",
    "progress_bar",
    "progress_bars",
    "skipping",
]


_QUICK_MINUTES = 14


def model_options(flags: ModelFlags) -> api.LoadSettings:
    """The API's options from the command line's."""
    return api.LoadSettings(device=flags.device, dtype=flags.dtype, trust_remote_code=flags.trust_remote_code)


@contextmanager
def skipping(wanted: bool) -> Iterator[SkipBad | None]:
    """A counter of bad records for ``--skip-bad``, printed at the end; None where they are errors."""
    counter = SkipBad() if wanted else None
    yield counter
    if counter is not None and counter.count:
        notes.print(counter.summary(), highlight=False)


def next_steps(*commands: str) -> None:
    """Says what to run next."""
    notes.print("next:", style="dim")
    for command in commands:
        notes.print(f"  {command}", highlight=False, soft_wrap=True)


def print_plan(plan: Plan, path: Path) -> None:
    """What a plan saves on every denominator, and its ratios."""
    console.print(describe_ledger(plan.ledger), highlight=False)
    for name, table in (("FLOPs", plan.tables.flops), ("latency", plan.tables.latency)):
        if table is not None:
            console.print(f"{name} of {table.conditions}", highlight=False)
    if (measure := plan.notes.get("compression", "parameters")) != "parameters":
        console.print(f"compression: searched and asked for in {measure}", highlight=False)
    for name, accuracy in plan.notes.get("predicted", {}).items():
        mean, margin = accuracy["mean"], accuracy["margin"]
        required = plan.notes["require"].get(name)
        met = "" if required is None else f", which meets {required:g}"
        console.print(
            f"predicted {name}: {mean:.3f} ± {margin:.3f}, so at least {max(0.0, mean - margin):.3f}{met}",
            highlight=False,
        )
    console.print("removed a unit: " + " ".join(f"{ratio:.0%}" for ratio in plan.ratios), highlight=False)
    console.print(f"plan: {path}", highlight=False, soft_wrap=True)


def describe_ledger(ledger: Ledger) -> str:
    """Sparsity on every denominator that is known, in a line."""
    forward = {"FLOPs": ledger.flops, "latency": ledger.latency}
    known = "".join(f", {saved:.2%} of {name}" for name, saved in forward.items() if saved is not None)
    return (
        f"sparsity: {ledger.mlp:.2%} of MLP parameters, {ledger.block:.2%} of blocks, "
        f"{ledger.language:.2%} of the language model, {ledger.model:.2%} of the model{known}"
    )


def evaluate_model(command: Evaluate) -> None:
    """``evaluate --model``: answers, scores, writes and prints."""
    assert command.model is not None
    if command.out is not None:
        command.out.parent.mkdir(parents=True, exist_ok=True)
    with skipping(command.skip_bad) as skip_bad, progress_bar("evaluating") as progress:
        evaluation = api.evaluate(
            command.model,
            command.questions,
            split=command.split,
            limit=command.limit,
            label=command.label,
            rule=command.rule,
            batch_size=command.batch_size,
            seed=command.seed,
            options=model_options(command.load),
            skip_bad=skip_bad,
            progress=progress,
        )
    print_results(evaluation.results)
    if evaluation.ledger is not None:
        console.print(describe_ledger(evaluation.ledger), highlight=False)
    console.print(f"weights on disk: {evaluation.bytes or 0:,} bytes", highlight=False)
    if command.out is not None:
        evaluation.save(command.out)
        console.print(f"results: {command.out}", highlight=False, soft_wrap=True)
    if command.card:
        api.update_card(evaluation)


def bench_search(command: BenchSearch) -> None:
    """``bench-search``: searches, and prints who searched best."""
    told = {name: getattr(command, name) for name in ("budgets", "seeds", "limit")}
    settings = replace(
        QUICK if command.quick else FULL,
        problems=command.problems,
        methods=command.methods,
        questions=command.questions,
        split=command.split,
        s_min=command.s_min,
        s_max=command.s_max,
        **{name: value for name, value in told.items() if value is not None},
    )
    scores = bench_search_stage(
        command.out,
        settings,
        workers=command.workers,
        minutes=command.minutes or (_QUICK_MINUTES if command.quick else None),
        results=command.results,
        options=model_options(command.load),
        say=lambda line: notes.print(line, highlight=False, soft_wrap=True),
    )
    for problem, rows in results_tables(scores, brief=True).items():
        _print_table(f"{problem}: median ± std over seeds", rows)
    for line in verdict_lines(entries(scores)):
        console.print(line, highlight=False, soft_wrap=True)
    console.print(
        f"curves: {(command.out / 'curves.html').resolve().as_uri()}", highlight=False, soft_wrap=True
    )


def print_comparison(results: Sequence[CellResult], out: Path) -> None:
    """``compare``: a pair of tables a model and budget, and who is ahead."""
    for section, tables in comparison_tables(results, brief=True).items():
        for stage, rows in tables.items():
            _print_table(f"{section_name(section)}, {stage} recovery: mean ± std over seeds", rows)
    for line in lead_lines(leads(results)):
        console.print(line, highlight=False, soft_wrap=True)
    if results:
        page = (out / "compare.html").resolve().as_uri()
        console.print(f"all columns: {page}", highlight=False, soft_wrap=True)


def evaluate_answers(command: Evaluate) -> None:
    """``evaluate --answers``: official scores of anyone's answers."""
    assert command.answers is not None
    with skipping(command.skip_bad) as skip_bad:
        results = api.score_answers(command.answers, command.questions, rule=command.rule, skip_bad=skip_bad)
    print_results(results)
    if command.out is not None:
        write_text(command.out, results.to_json())
        console.print(f"results: {command.out}", highlight=False, soft_wrap=True)


def print_results(results: Results) -> None:
    """Official tables, a benchmark each."""
    if results.pope:
        _print_table("POPE", results.rows("pope"))
        console.print(f"mean F1 over subsets: {results.pope_mean('f1'):.4f}", highlight=False)
    if results.scienceqa is not None:
        _print_table("ScienceQA", results.rows("scienceqa"))


def print_models() -> None:
    """What is embedded, and what is supported."""
    embedded = [("name", "what")] + [
        (name, "trained by `hipp-prune toy train`, ships with the package") for name in TOYS
    ]
    _print_table("embedded", embedded)
    families = [("family", "model_type", "tested")]
    families += [(family.name, family.model_type, family.tested) for family in SUPPORTED]
    _print_table("supported, by path or hub name", families)
    console.print(
        "Any other image-text-to-text model of transformers loads if its language blocks have gate/up/down MLPs "
        "and its forward takes encoded images; loading says what is missing.",
        highlight=False,
    )


def make_toyworld(command: ToyMake) -> None:
    """``toy make``."""
    root = toyworld.write(command.out, seed=command.seed)
    console.print(f"written: {root}", highlight=False, soft_wrap=True)
    next_steps(f"hipp-prune evaluate --model toy-llava --questions toyworld:{root}")


def train_toy(command: ToyTrain) -> None:
    """``toy train``."""
    from hipp_prune.experiments.toy.train import train

    refuse_existing(command.out, force=False)
    train(
        command.model,
        command.out,
        seed=command.seed,
        log=command.log,
        progress=lambda line: notes.print(line, highlight=False),
    )
    next_steps(f"hipp-prune evaluate --model {command.out} --questions toyworld")


def _print_table(title: str, rows: Sequence[tuple[str, ...]]) -> None:
    header, *body = rows
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column, name in enumerate(header):
        table.add_column(name, justify="left" if column == 0 else "right", overflow="fold")
    for row in body:
        table.add_row(*row)
    console.print(table)
