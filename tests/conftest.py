"""Fixtures that several kinds of tests share."""
