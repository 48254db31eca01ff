"""Graphs of neighbours: which images are nodes, and what joins them."""
