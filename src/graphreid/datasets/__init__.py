"""Data folders of images with labels, and importers of public data sets."""
