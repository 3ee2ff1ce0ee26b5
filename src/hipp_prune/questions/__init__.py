"""Benchmark questions: one type, official loaders, the embedded world, and official scoring (no torch)."""
