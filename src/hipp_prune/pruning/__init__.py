"""Importance, masks, prefix views and smaller checkpoints: what a plan does to a model (Eq. 9–10)."""
