"""ICG: parts without labels and a graph among them."""
