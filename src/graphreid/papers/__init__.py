"""The papers' tables and figures as recipes, run records, and the tables and figures made of them
(docs/experiments.md).
"""
