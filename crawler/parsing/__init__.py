"""Runs the readers of `content/` in processes of their own: the pool, a process as the crawl sees it, and its child.

`wire` is what goes between the two. `parser` is what all of this offers to a visit, and `inline` the same without
processes.
"""
