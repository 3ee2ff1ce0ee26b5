"""A person's own yes/no questions that count for robustness: rows of any table (``questions.own``)."""

from hipp_prune.questions.own.benchmarks import own_yes_no

BENCHMARK = own_yes_no("Yes/no questions", role="robustness")
