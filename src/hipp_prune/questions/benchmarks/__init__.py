"""questions/benchmarks."""
