"""Gives a crawl to whoever asks for it: people with a browser (server.py), agents (mcp.py). It only reads."""
