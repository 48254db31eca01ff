"""Slow second implementations, written from the equations in NumPy float64. Nothing in them is
shared with the package.
"""
