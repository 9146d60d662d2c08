"""The store in a PostgreSQL database, which several processes share. Nothing outside of it knows that it is SQL."""
