"""Embedders from checkpoints of other re-identification toolkits."""
