"""The synthetic set: rendered toy figures with ground truth."""
