"""Questions: one type, its pictures and splits, and the benchmarks that ask them (no torch).

In: what a user names (``pope:DIR``). Out: ``Question`` records with bare text, each in one split. What may be
changed here alone: a benchmark (one module), how pictures are read, how splits are drawn.
"""
