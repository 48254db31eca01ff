"""CAGCN (Ji et al., AAAI 2021)."""
