"""A person's own questions: a table in a file, a folder or a data set, each row a question.

In: what ``--questions`` names (``mine.csv``, ``photos/``, ``hf:owner/name``). Out: ``Question`` records whose kind the
row itself tells. What may be changed here alone: where tables are found, what their columns may be called, and how a
row becomes a question.
"""
