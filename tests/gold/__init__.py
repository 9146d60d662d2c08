"""The gold set of main content: pages of which it is known what their main content is, and how an extractor scores.

`python -m tests.gold` prints the table; see `__main__`.
"""
