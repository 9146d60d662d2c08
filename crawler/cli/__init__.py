"""The command line: reads options, builds a `CrawlConfig`, calls, prints. No logic; one file per command.

Every mistake of the user's ends as one line on standard error and the documented exit status.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

from crawler.output.streams import flush_output, open_closed_streams


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with the documented status."""
    open_closed_streams()
    # Hardly anything here is in a cycle, and looking for them takes 30 ms of a start (modules make many objects, which
    # stay) and 4 % of a crawl; 1 % with 50,000, which a batch of pages exceeds.
    gc.set_threshold(100_000, 20, 50)
    try:
        from crawler.cli.commands import run  # takes a third of a second, and Ctrl-C may come during it

        exit_status = run(arguments)
    except KeyboardInterrupt:
        exit_status = 130
    finally:
        flush_output()
    sys.exit(exit_status)
