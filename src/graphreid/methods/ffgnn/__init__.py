"""FFGNN: each image fuses the features of its neighbourhood."""
