"""A crawl in one SQLite file. Only this package knows its tables and the files that lie beside it."""
