"""Distance sources: what a re-ranker starts from."""
