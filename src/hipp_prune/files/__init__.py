"""What lies on disk: the run directory, files read strictly and written whole or not at all (no torch).

In: paths. Out: checked contents, or one sentence that says what is wrong. What may be changed here alone: how
files are written, locked and checked; not what they mean, which their owners say.
"""
