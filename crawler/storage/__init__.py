"""The only package that knows SQL. One task writes; everybody else reads through a connection that cannot write."""
