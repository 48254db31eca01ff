"""HRNet: relations among images and among pairs."""
