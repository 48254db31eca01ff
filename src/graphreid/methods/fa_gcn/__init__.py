"""FA-GCN: features aggregated over the graph of all images."""
