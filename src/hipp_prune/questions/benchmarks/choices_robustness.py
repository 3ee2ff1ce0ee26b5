"""A person's own multiple-choice questions that count for robustness: rows of any table (``questions.own``)."""

from hipp_prune.questions.own.benchmarks import own_choices

BENCHMARK = own_choices("Multiple choice (robustness)", role="robustness")
