"""Loops that numba compiles, kept on disk between runs. Nothing else imports numba, and the GPU
path imports none of this.

Each takes and returns plain arrays. Where a loop needs room per thread it is cut into `chunks`
parts, so that no kernel asks for the thread count (which would keep it from being cached).
"""
