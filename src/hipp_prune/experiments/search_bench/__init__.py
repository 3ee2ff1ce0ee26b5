"""Searchers compared at equal numbers of evaluations: problems, trials, fronts and verdicts."""
