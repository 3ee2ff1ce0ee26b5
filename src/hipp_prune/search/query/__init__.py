"""What a finished search answers: plans for preferences, budgets and requirements, without an evaluation.

In: a planner file and the search's archive. Out: a ``Plan``. What may be changed here alone: what can be
required, how accuracies are forecast.
"""
