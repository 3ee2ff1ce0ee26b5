"""What several commands print: bars with the time left, tables, plans, and what to run next."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from hipp_prune.distributed import speaks
from hipp_prune.files.progress import Progress as ProgressCallback
from hipp_prune.plans.plan import Plan, asked_and_got
from hipp_prune.plans.space import Ledger
from hipp_prune.questions.records import SkipBad
from hipp_prune.questions.survey import Survey


class _Terminal(Console):
    """Prints every line as it is: brackets and colons mean nothing."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def on_broken_pipe(self) -> None:
        """Leaves it to the command line to end where nobody reads any longer."""
        raise BrokenPipeError


console = _Terminal(quiet=not speaks())
"""Results go here, standard output; of several workers only the first one prints."""

notes = _Terminal(stderr=True, quiet=not speaks())
"""Bars and remarks go here, standard error, so that results can be piped."""


class _TimeLeft(ProgressColumn):
    """The time left at the mean pace since the first call, known from the second one, however far apart they are."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        """Hours, minutes and seconds."""
        begun, before = task.fields.get("begun", (task.get_time(), task.completed))
        done, spent = task.completed - before, task.fields.get("told", begun) - begun
        if task.total is None or done <= 0:
            return Text("-:--:--", style="progress.remaining")
        since = task.get_time() - task.fields["told"]
        left = max(0, round((task.total - task.completed) * spent / done - since))
        return Text(str(timedelta(seconds=left)), style="progress.remaining")


@contextmanager
def progress_bars(*descriptions: str) -> Iterator[list[ProgressCallback]]:
    """Yields a callback (done, total) for each of several bars, with the time spent and the time left.

    Each is drawn from its first call: what is refused before any work draws none, nor does work that is not needed.
    """
    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("elapsed"),
        TimeElapsedColumn(),
        TextColumn("left"),
        _TimeLeft(),
    )
    bar = Progress(*columns, console=notes)
    tasks = [bar.add_task(description, total=None, visible=False) for description in descriptions]
    try:
        yield [_advance(bar, task) for task in tasks]
    finally:
        if bar.live.is_started:
            bar.stop()


@contextmanager
def progress_bar(description: str) -> Iterator[ProgressCallback]:
    """A bar on the terminal while the context lasts; call what it gives with (done, all)."""
    with progress_bars(description) as (callback,):
        yield callback


def _advance(bar: Progress, task: TaskID) -> ProgressCallback:
    begun: tuple[float, int] | None = None

    def advance(done: int, total: int) -> None:
        nonlocal begun
        now = bar.get_time()
        begun = begun or (now, done)
        bar.start()
        bar.update(task, completed=done, total=total, visible=True, begun=begun, told=now)

    return advance


@contextmanager
def skipping(wanted: bool) -> Iterator[SkipBad | None]:
    """A counter of bad records for ``--skip-bad``, printed at the end; None where they are errors."""
    counter = SkipBad() if wanted else None
    yield counter
    if counter is not None and counter.count:
        notes.print(counter.summary(), highlight=False)


def say(line: str) -> None:
    """A result's line, as it is: nothing in it is coloured, and it wraps where the terminal does."""
    console.print(line, highlight=False, soft_wrap=True)


def remark(line: str) -> None:
    """A remark's line, as it is."""
    notes.print(line, highlight=False, soft_wrap=True)


def next_steps(*commands: str) -> None:
    """Says what to run next."""
    note_steps(*commands)
    notes.print("next:", style="dim")
    for command in commands:
        remark(f"  {command}")


def note_steps(*commands: str) -> None:
    """Tells what to run next to whoever keeps it (``steps_kept``); prints nothing."""
    kept = _kept.get()
    if kept is not None:
        kept.extend(commands)


@contextmanager
def steps_kept() -> Iterator[list[str]]:
    """Keeps, in the list that it yields, the commands that are said meanwhile to be run next."""
    commands: list[str] = []
    before = _kept.set(commands)
    try:
        yield commands
    finally:
        _kept.reset(before)


_kept: ContextVar[list[str] | None] = ContextVar("steps", default=None)


def print_table(title: str, rows: Sequence[tuple[str, ...]]) -> None:
    """A table whose first row is its header, and whose first column is text."""
    _print_rows(console, title, rows)


def _print_rows(where: Console, title: str, rows: Sequence[tuple[str, ...]]) -> None:
    header, *body = rows
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column, name in enumerate(header):
        table.add_column(name, justify="left" if column == 0 else "right", overflow="fold")
    for row in body:
        table.add_row(*row)
    where.print(table)


def print_survey(found: Survey) -> None:
    """What is going to be asked, and what that cannot tell; remarks, no result."""
    _print_rows(notes, "questions", found.rows())
    warn_of(found)


def warn_of(found: Survey) -> None:
    """What the questions of one stage cannot tell."""
    for warning in found.warnings:
        remark(f"warning: {warning}")


def print_outlook(
    rows: Sequence[tuple[str, ...]],
    heading: str,
    remarks: Sequence[str],
    refused: Sequence[str] = (),
    warnings: Sequence[str] = (),
) -> None:
    """What stages will take, and what would stop them.

    Args:
        rows: the header, a row a stage, and one of all together; two where the model is refused, which are not shown.
        heading: of which model, where, and how it was found.
        remarks: what is slow or assumed.
        refused: what would stop the work.
        warnings: what the questions cannot tell.
    """
    if len(rows) > 2:
        print_table(heading, rows)
    for sentence in (*(f"warning: {each}" for each in warnings), *remarks):
        say(sentence)
    for sentence in refused:
        say(f"refused: {sentence}")


def print_facts(title: str, facts: Sequence[tuple[str, str]]) -> None:
    """Names and what there is to say of each, under a title; long ones wrap beside their name."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, fact in facts:
        table.add_row(name, Text(fact))
    console.print(Text(title, style="italic"))
    console.print(table)


def print_plan(plan: Plan, path: Path) -> None:
    """What a plan saves on every denominator, and its ratios."""
    console.print(describe_ledger(plan.ledger), highlight=False)
    print_asked(plan.notes, plan.ledger)
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
    say(f"plan: {path}")


def print_asked(notes: Mapping[str, Any], ledger: Ledger) -> None:
    """What saving was asked for and what came of it, where one was; each that was required; and the compensation."""
    if (sentence := asked_and_got(notes, ledger)) is not None:
        console.print(sentence, highlight=False)
    own = {"sparsity": {"flops": "flops", "latency": "latency"}.get(notes.get("compression", ""), "mlp")}
    for name, value in notes.get("require", {}).items():
        if (got := getattr(ledger, own.get(name, name), None)) is not None:
            console.print(f"required {name}: {value:.2%}, got {got:.2%}", highlight=False)
    if (mode := notes.get("compensation")) is not None:
        factor = notes.get("ridge_factor")
        ridge = "" if factor is None else f", ridge {factor:g} of the mean diagonal"
        console.print(f"compensation: {mode}{ridge}", highlight=False)


def describe_ledger(ledger: Ledger) -> str:
    """Sparsity on every denominator that is known, in a line."""
    forward = {"FLOPs": ledger.flops, "latency": ledger.latency}
    known = "".join(f", {saved:.2%} of {name}" for name, saved in forward.items() if saved is not None)
    return (
        f"sparsity: {ledger.mlp:.2%} of MLP parameters, {ledger.block:.2%} of blocks, "
        f"{ledger.language:.2%} of the language model, {ledger.model:.2%} of the model{known}"
    )
