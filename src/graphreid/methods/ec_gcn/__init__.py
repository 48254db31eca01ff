"""EC-GCN: links between a query and its nearest images."""
