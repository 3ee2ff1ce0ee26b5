"""Rivals of the search: one file a method, each a function from a setting to a plan; see ``docs/baselines.md``."""
