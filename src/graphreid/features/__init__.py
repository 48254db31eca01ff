"""Features files, and readers of everybody else's."""
