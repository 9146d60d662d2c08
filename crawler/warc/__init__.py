"""Writes WARC files (ISO 28500:2017, WARC/1.1) and their CDXJ indexes."""
