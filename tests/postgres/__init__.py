"""PostgreSQL for tests: servers of our own on loopback, and what a test asks them."""
