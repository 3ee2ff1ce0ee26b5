"""The search for plans: one loop, its archive, its surrogate, its searchers and its policy.

In: a ``Problem`` (a space of plans, descriptors of its units, the price of a plan) and settings. Out: a
``Solution`` that answers any preference, and an archive of every evaluation paid for. What may be changed
here alone: a searcher (one module in ``methods/``), how evaluations are spent.
"""
