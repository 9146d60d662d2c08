"""Reads the counters and the store; shows or writes them. Text from the web loses its control characters here."""
