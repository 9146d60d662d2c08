"""One crawl by many workers in virtual time, over a web that is made up: what sharing it gains, and what it costs.

Real are the ids of hosts and their partitions, and who owns what (`Ownership.even_out`). Restated is how a worker paces
its hosts, since the workbench itself would take minutes a table: a test compares the two on a small web. Left out are
discovery (all URLs are known from the beginning), robots.txt, adaptive pacing, and what the database takes.
"""
