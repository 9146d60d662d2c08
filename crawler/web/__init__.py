"""Gives a crawl to programs that ask for it: agents (mcp.py). Everything is read through the archive, and only read."""
