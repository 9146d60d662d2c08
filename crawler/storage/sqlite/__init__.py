"""A crawl in one SQLite file: the only room that knows its tables and the files that lie beside it."""
