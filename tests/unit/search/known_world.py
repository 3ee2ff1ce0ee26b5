"""A landscape, an archive of random plans on it, and a planner, without a search."""

from dataclasses import asdict, replace

import numpy as np

from hipp_prune.experiments.search_bench.landscape import Landscape
from hipp_prune.plans.costs import Costs, CostTable
from hipp_prune.plans.space import PlanSpace
from hipp_prune.search.archive import Evaluation
from hipp_prune.search.query.planner import Planner
from hipp_prune.search.settings import SearchSettings
from hipp_prune.search.solutions import SurrogateSolution
from hipp_prune.search.surrogate import fit_surrogate

FLOPS = CostTable(constant=50.0, units=((0.0, 1.0),) * 12, conditions="by hand")
"""MLPs are 12 of 62."""


def random_kept(space: PlanSpace, count: int, seed: int) -> np.ndarray:
    """Plans with uniform sparsity in [0.05, 0.5] and Dirichlet allocations."""
    rng = np.random.default_rng([seed, 3])
    shares = rng.dirichlet(np.full(space.num_units, 2.0), size=count)
    return space.kept(space.ratios(np.log(shares + 1e-12), rng.uniform(0.05, 0.5, size=count)))


def make_archive(landscape: Landscape, count: int, minibatches: int, *, size: int = 64) -> list[Evaluation]:
    """Evaluations of random plans, spread evenly over minibatches."""
    space = landscape.space
    return [
        Evaluation(
            kept=tuple(kept.tolist()),
            minibatch=f"m{index % minibatches}",
            questions=size,
            sparsity=float(space.sparsity(kept)),
            source="random",
            seconds=0.0,
            **asdict(landscape.evaluate(kept, f"m{index % minibatches}", size)),
        )
        for index, kept in enumerate(random_kept(space, count, landscape.seed))
    ]


def make_planner(landscape: Landscape, archive: list[Evaluation], **settings: object) -> Planner:
    """Solution with the surrogate's optimum; knows FLOPs, but no latency."""
    settings = SearchSettings(**settings)
    space = replace(landscape.space, compression=settings.compression, tables=Costs(flops=FLOPS))
    scale = (0.2, 0.2, 0.3)
    answers = SurrogateSolution(
        surrogate=fit_surrogate(archive, space), scale=np.array(scale), space=space, settings=settings
    )
    return Planner(
        answers=answers,
        space=space,
        settings=settings,
        state=landscape.state,
        features=("a", "b", "c"),
        orders=tuple(np.arange(width) for width in space.widths),
        scale=scale,
        questions="0123456789abcdef",
    )
