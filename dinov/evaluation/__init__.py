"""Measuring checkpoints against baselines."""
