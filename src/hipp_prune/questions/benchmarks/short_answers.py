"""A person's own questions with short free answers that count for utility: rows of any table (``questions.own``)."""

from hipp_prune.questions.own.benchmarks import own_short_answers

BENCHMARK = own_short_answers("Short answers", role="utility")
