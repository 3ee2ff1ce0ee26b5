"""Plans and what they are made of: preference, space, allocation, cost tables (no torch).

In: numbers a user gives, and a model's shape. Out: a ``Plan``, which says how many and which neurons every
unit keeps, and what that saves on every denominator. What may be changed here alone: how ratios become whole
neurons, what a ledger counts.
"""
