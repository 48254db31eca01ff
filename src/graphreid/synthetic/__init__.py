"""The synthetic data set: rendered toy figures seen by several cameras, with ground truth."""
