"""The reading room: every question about a finished or running crawl, asked of documented SQL views.

Invariant: nothing here writes the crawl's file. What has to be derived from it stands in a file beside it (derived.py).
"""
