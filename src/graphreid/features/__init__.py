"""Features files (vectors with labels), and readers of other toolkits' feature files."""
