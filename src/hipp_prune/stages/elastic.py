"""From several plans of one model to one elastic checkpoint."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from hipp_prune.checkpoints.elastic import CarriedOut, ElasticReport, write_elastic
from hipp_prune.checkpoints.folders import check_output
from hipp_prune.errors import InputError, PlanError
from hipp_prune.files.outputs import read_outputs
from hipp_prune.files.progress import Progress
from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.models.loading import local_folder
from hipp_prune.plans.arrays import Ints
from hipp_prune.plans.modes import CompensationChoice
from hipp_prune.plans.plan import Plan
from hipp_prune.plans.prefixes import living_neurons, nested_orders, neuron_ranks
from hipp_prune.plans.space import UnitKind
from hipp_prune.pruning.prefix_views import check_zero_is_silent
from hipp_prune.search.query.planner import Planner
from hipp_prune.stages.loading import load, writing
from hipp_prune.stages.prune import find_downs
from hipp_prune.stages.settings import LoadSettings


def prune_elastic(
    model: str | Path,
    plans: Sequence[Path],
    out: Path,
    *,
    run: Path | None = None,
    compensation: CompensationChoice = "auto",
    loading: LoadSettings = LoadSettings(),
    force: bool = False,
    progress: Progress | None = None,
) -> ElasticReport:
    """Writes one checkpoint that is the dense model and, as prefixes of its sorted neurons, every plan.

    Args:
        model: the one that the plans were made for.
        plans: plan files; none for all those of the run.
        out: checkpoint folder to make.
        run: where the model was calibrated: it ranks neurons that the same plans keep, and compensated plans need it.
        compensation: how neurons that stay answer for those that leave; auto: as each plan was evaluated.
        loading: how the model is loaded.
        force: replaces a checkpoint that is there.
        progress: told (plans and shards done, plans and shards in all).

    Raises:
        PlanError: if a plan was made for another model, or plans are no prefixes of one order.
        InputError: if no plan is given and the run has none, or a plan is compensated and ``run`` is not given.
        UnsupportedModelError: if masked rows of this model do not silence their neurons.
        OutputExistsError: if ``out`` is there and ``force`` is false.
        CheckpointError: if the source is damaged or the disk is full.
        RunError: if another process is writing ``out``.
    """
    named = name_plans({path: Plan.load(path) for path in plans or _plans_of(run)})
    orders = nested_orders(named, None if run is None else _ranking(run, named))
    _check_living(named)
    source = local_folder(model)
    with writing(out):
        check_output(source, out, force=force)
        adapter = load(model, loading)
        for plan in named.values():
            plan.check_model(adapter.shape)
            if plan.unit == "rows":
                for block in adapter.blocks:
                    check_zero_is_silent(block)

        def carry_out(plan: Plan) -> CarriedOut:
            mode = plan.compensation if compensation == "auto" else compensation
            downs = find_downs(adapter, plan, mode, run, 0.0, loading, None)
            done = plan.with_compensation(mode, plan.image_weight, downs.ridge_factor)
            return CarriedOut(plan=done, down_weights=downs.weights, down_biases=downs.biases)

        return write_elastic(source, out, named, orders, carry_out, force=force, progress=progress)


def name_plans(plans: Mapping[Path, Plan]) -> dict[str, Plan]:
    """Plans by short names, those that save least first: what each saves of the MLPs, as 0.3, or else its file's name.

    A plan that was asked for a sparsity is called after that. Where two would have one name, all are called as their
    files are.

    Raises:
        InputError: if two files have one name too.
    """
    ordered = sorted(plans.items(), key=lambda item: item[1].ledger.mlp)
    for names in ([_saving(plan) for _, plan in ordered], [path.stem for path, _ in ordered]):
        (most, count), *_ = Counter(names).most_common(1)
        if count == 1:
            return {name: plan for name, (_, plan) in zip(names, ordered, strict=True)}
    raise InputError(f"expected plan files of different names, found {count} called {most}; rename them")


def _saving(plan: Plan) -> str:
    asked = plan.notes.get("sparsity")
    return f"{plan.ledger.mlp:.2g}" if asked is None else f"{asked:g}"


def _plans_of(run: Path | None) -> list[Path]:
    """The plan files of a run, those that lie elsewhere too.

    Raises:
        InputError: if there is none.
    """
    directory = None if run is None else RunDirectory(run)
    found: list[Path] = []
    if directory is not None:
        listed = [Path(output.path) for output in read_outputs(directory) if output.kind == "plan"]
        found = [*sorted(directory.plans.glob("*.json")), *filter(Path.is_file, listed)]
    if not found:
        raise InputError(
            "an elastic checkpoint needs plans, found none; write some with `hipp-prune query RUN --preference R,U,C "
            "--sparsity S`, or give plan files with --plan"
        )
    return found


def _ranking(run: Path, plans: Mapping[str, Plan]) -> list[Ints] | None:
    """How a searched run ranks the neurons of the plans' model; None where it does not know."""
    path = RunDirectory(run).search.planner
    if not path.is_file():
        return None
    planner = Planner.load(path)
    shape = next(iter(plans.values())).shape
    unit: UnitKind = planner.space.unit
    return neuron_ranks(unit, planner.orders) if planner.space.shape == shape else None


def _check_living(plans: Mapping[str, Plan]) -> None:
    """Refuses plans that leave a block without neurons: no checkpoint has such blocks.

    Raises:
        PlanError: naming plan and block.
    """
    for name, plan in plans.items():
        empty = [block for block, mask in enumerate(living_neurons(plan)) if not mask.any()]
        if empty:
            raise PlanError(
                f"plan {name} leaves no neuron in block {empty[0]} of which both the gate and the up row stay, "
                "expected at least one; prune it alone, without --elastic"
            )
