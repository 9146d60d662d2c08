"""Numbered SQL scripts, applied in order; the number of the newest is the schema's version (`PRAGMA user_version`)."""
