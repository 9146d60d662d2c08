"""Suites that every implementation of a seam has to pass: each case runs on all of them."""
