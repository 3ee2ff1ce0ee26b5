"""The best plan that leaves all blocks equally wide, for runtimes that know one width only.

There are few such plans, so all are compared: by what the surrogate of the search's archive predicts, weighed as a
preference weighs it. Nothing is evaluated.
"""

from collections.abc import Sequence

import numpy as np

from hipp_prune.errors import InputError
from hipp_prune.objectives.returns import compression_return
from hipp_prune.plans.allocation import check_alignment
from hipp_prune.plans.arrays import Floats, Ints
from hipp_prune.plans.plan import Plan
from hipp_prune.plans.preference import Preference
from hipp_prune.plans.space import PlanSpace
from hipp_prune.search.archive import Evaluation
from hipp_prune.search.query.planner import Planner
from hipp_prune.search.query.targets import Target, check_targets, meet_all, target_notes
from hipp_prune.search.surrogate import Surrogate, fit_surrogate


def best_uniform(
    planner: Planner,
    archive: Sequence[Evaluation],
    preference: Preference,
    *,
    sparsity: float | None = None,
    targets: Sequence[Target] = (),
    align: int = 1,
) -> Plan:
    """The plan of one width that a preference likes best, its neurons those that the run's ranking keeps.

    Args:
        planner: of a finished search.
        archive: its evaluations.
        preference: λ.
        sparsity: fixes the sparsity, to half a neuron a block; by default any within the search's budget may win.
        targets: instead of a sparsity: the widest plan that meets them is taken.
        align: the width is a multiple of this.

    Raises:
        InputError: if the run prunes rows, whose blocks always stay as wide as they are.
        BudgetError: if the box does not allow the sparsity, or no width, or targets are met by none or by every one.
    """
    space, settings = planner.space, planner.settings
    if space.unit != "coupled":
        raise InputError(
            f"--uniform chooses the width of all blocks, but this run prunes {space.unit}, which leaves every block "
            "its width; search with --unit coupled"
        )
    kept = one_width_counts(space, align)
    if targets:
        check_targets(targets, narrowest=kept[0], widest=kept[-1], r_max=space.r_max)
        widest = kept[np.flatnonzero(meet_all(targets, kept))[-1]]
        notes = target_notes(targets, widest)
        return planner.plan(widest, preference=preference, align=align, uniform=True, **notes)
    saved = space.sparsity(kept)
    if sparsity is None:
        excess = np.maximum(0.0, np.maximum(settings.s_min - saved, saved - settings.s_max))
    else:
        space.check_budget(sparsity)
        excess = np.abs(saved - sparsity)
    values = predicted_returns(planner, fit_surrogate(archive, space), kept) @ preference.vector
    best = int(np.where(excess <= excess.min(), values, -np.inf).argmax())
    if sparsity is not None:
        space.check_met(kept[best], sparsity, align=align, together=True)
    return planner.plan(kept[best], preference=preference, sparsity=sparsity, align=align, uniform=True)


def one_width_counts(space: PlanSpace, align: int) -> Ints:
    """Kept counts [P, U] of all plans of one width, narrowest first.

    Raises:
        BudgetError: if there is none.
    """
    fewest = int(np.ceil((1.0 - space.r_max) * space.widths - 1e-9).max())
    most = int(space.widths.min())
    check_alignment(np.array([fewest]), np.array([most]), align)
    widths = np.arange(-(-fewest // align) * align, most + 1, align)
    return np.repeat(widths[:, None], space.num_units, axis=1)


def predicted_returns(planner: Planner, surrogate: Surrogate, kept: Ints) -> Floats:
    """(R_rob, R_util, R_comp) of plans [P, U] in the units a preference weighs, [P, 3].

    Qualities are relative to dense, and what did not vary in the search counts nothing.
    """
    settings, scale, space = planner.settings, np.array(planner.scale), planner.space
    loss = surrogate.damage(1.0 - kept / space.widths)
    gain = compression_return(space.sparsity(kept), s_lo=settings.s_min, s_hi=settings.s_max)
    values = np.concatenate([-loss, gain[:, None]], axis=1)
    return np.divide(values, scale, out=np.zeros_like(values), where=scale > 0)
