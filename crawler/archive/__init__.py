"""Reads a finished or running crawl: every question is a query on the documented SQL views.

Invariant: nothing here writes the crawl's file. What has to be derived from it stands in a file beside it (derived.py).
"""
