"""Writes an audit as a report: a page for people, JSON for programs, Markdown for tickets, JUnit XML for CI.

Invariant: all formats are of one model (`crawler.archive.audit.model`), and nothing that was crawled is markup in any
of them: no tag, no link that runs something, no escape sequence, no mention of anybody.
"""
