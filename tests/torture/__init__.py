"""Killing, damaging and doubling whatever writes; ``python -m tests.torture`` counts what comes of it."""
