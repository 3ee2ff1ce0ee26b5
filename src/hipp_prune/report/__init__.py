"""What a run found, as a page to read and as a table to print.

In: a run directory, scorecards. Out: one HTML page without a network, tables and bars on a terminal. What may
be changed here alone: how anything looks.
"""
