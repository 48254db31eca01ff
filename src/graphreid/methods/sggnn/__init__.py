"""SGGNN (Shen et al., ECCV 2018)."""
