"""Official scores and wall time of dense and pruned models."""
