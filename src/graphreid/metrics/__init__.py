"""Evaluation: who counts as right, metrics and their intervals."""
