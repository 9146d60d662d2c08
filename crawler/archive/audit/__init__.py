"""An audit of a crawl: its figures, charts and findings, for reports in any format.

Invariant: a finding is what one documented view says, in the columns and the order that questions.py declares; so every
row of a report can be had by SQL, and `crawler list` gives what a report leaves out.
"""
