"""Runs the readers of `content/` in processes of their own: the pool, a process as the crawl sees it, and its child."""
