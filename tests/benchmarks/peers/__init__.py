"""What the contenders of `site` run: each a program of its own, which prints its figures as a line of JSON."""
