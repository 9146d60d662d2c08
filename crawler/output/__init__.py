"""Reads counters and the store, and shows or writes. Text from the web is stripped of control characters here."""
