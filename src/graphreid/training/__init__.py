"""Training: the loop, run folders, batch samplers, augmentation, several processes."""
