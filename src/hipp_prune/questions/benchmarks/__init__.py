"""The benchmarks: one module each, and the folder is the table.

A module here defines ``BENCHMARK``. Nothing outside this folder names a benchmark: all that others need of one they
find in ``BENCHMARKS``.
"""

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from pkgutil import iter_modules

from hipp_prune.questions.benchmark import ROLES, Benchmark, Role
from hipp_prune.questions.question import Question


def _load() -> dict[str, Benchmark]:
    found: dict[str, Benchmark] = {}
    for module in sorted(iter_modules(__path__), key=lambda module: module.name):
        benchmark = getattr(import_module(f"{__name__}.{module.name}"), "BENCHMARK", None)
        assert isinstance(benchmark, Benchmark), (
            f"{__name__}.{module.name}: expected BENCHMARK, a Benchmark, found {benchmark!r}; define it there"
        )
        assert benchmark.name not in found, (
            f"{__name__}.{module.name}: another module is {benchmark.name!r} already"
        )
        found[benchmark.name] = benchmark
    for benchmark in found.values():
        assert benchmark.corrects is None or benchmark.corrects in found, (
            f"{benchmark.name}: expected to correct a benchmark, found {benchmark.corrects!r}, which is none"
        )
        assert benchmark.brings is None or benchmark.brings in found, (
            f"{benchmark.name}: expected to bring a benchmark, found {benchmark.brings!r}, which is none"
        )
    return found


BENCHMARKS: Mapping[str, Benchmark] = _load()
"""Every benchmark by its name, in the order of names."""


def asked(questions: Iterable[Question]) -> list[Benchmark]:
    """The benchmarks that questions are of, in the order of names."""
    names = {question.benchmark for question in questions}
    return [benchmark for name, benchmark in BENCHMARKS.items() if name in names]


def asked_at_last(questions: Sequence[Question]) -> list[Benchmark]:
    """The benchmarks that questions are going to be of, once the dense model has answered those without a label."""
    about_pictures = [each for each in questions if each.is_unlabelled and len(each.images) == 1]
    brought = {benchmark.brings for benchmark in asked(about_pictures)}
    names = {benchmark.name for benchmark in asked(questions)} | brought
    return [benchmark for name, benchmark in BENCHMARKS.items() if name in names]


def role_of(question: Question) -> Role:
    """What a question's answer counts for."""
    return BENCHMARKS[question.benchmark].role


def of_role(name: str, role: Role) -> str:
    """The benchmark whose questions are a benchmark's and serve a role: itself, where there is no other one."""
    plain = name.removesuffix(f"-{BENCHMARKS[name].role}")
    return next(
        (each for each in (plain, f"{plain}-{role}") if each in BENCHMARKS and BENCHMARKS[each].role == role),
        name,
    )


def is_of_dense(question: Question) -> bool:
    """Whether a question's answer is the dense model's own, rather than a truth."""
    benchmark = BENCHMARKS.get(question.benchmark)
    return benchmark is not None and benchmark.of_dense


def serving(role: Role) -> tuple[str, ...]:
    """Names of the benchmarks that serve a role."""
    return tuple(name for name, benchmark in BENCHMARKS.items() if benchmark.role == role)


def column_of(name: str) -> int:
    """Where a benchmark's role stands among the objectives: 0 robustness, 1 utility."""
    return ROLES.index(BENCHMARKS[name].role)
