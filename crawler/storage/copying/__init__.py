"""A crawl moved from one store to the other, whole: rows in a form that both have in common, copied table by table."""
