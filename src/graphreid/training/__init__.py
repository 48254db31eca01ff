"""Training: one loop, run folders, samplers, augmentation."""
