"""Data folders and the sets that can be imported."""
