"""The papers' tables and figures as data, the runs that make them, and the store of results
(docs/papers.md).
"""
