"""The command line and the small web of the acceptance tests, among hostile things."""

from tests.acceptance.conftest import cli, serve

__all__ = ["cli", "serve"]
