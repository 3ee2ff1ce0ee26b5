"""Which roles a search measured, and the preferences that it can answer."""

from collections.abc import Iterable, Sequence

from hipp_prune.errors import PreferenceError
from hipp_prune.plans.preference import Preference
from hipp_prune.questions.benchmark import ROLES, Role
from hipp_prune.questions.benchmarks import BENCHMARKS
from hipp_prune.search.archive import Evaluation


def measured_roles(evaluations: Iterable[Evaluation]) -> tuple[Role, ...]:
    """The roles that evaluations asked about; all of them where nothing was evaluated."""
    names = {name for each in evaluations for name in each.accuracies}
    found = {BENCHMARKS[name].role for name in names if name in BENCHMARKS}
    return tuple(role for role in ROLES if role in found) or ROLES


def measured_part(preference: Preference, measured: Sequence[Role]) -> Preference:
    """A preference without its weight on roles that were not measured; for compression where nothing else is left."""
    weights = [getattr(preference, role) if role in measured else 0.0 for role in ROLES] + [
        preference.compression
    ]
    return Preference.of(weights if any(weights) else [0.0, 0.0, 1.0])


def check_preference(preference: Preference, measured: Sequence[Role]) -> None:
    """Refuses a preference for a role that no question measured.

    Raises:
        PreferenceError: naming the role, and what can be asked for.
    """
    for role in ROLES:
        if role not in measured and getattr(preference, role) > 0:
            raise PreferenceError(
                f"the preference {preference} weighs {role}, which this run did not measure: its questions are about "
                f"{' and '.join(measured)}; ask for {measured_part(preference, measured)}, or calibrate and search "
                f"with questions that measure {role}"
            )


def even_preference(evaluations: Iterable[Evaluation]) -> str:
    """The preference that weighs all that was measured alike, and compression: ``1,1,1``, or ``1,0,1``."""
    measured = measured_roles(evaluations)
    return ",".join(["1" if role in measured else "0" for role in ROLES] + ["1"])
