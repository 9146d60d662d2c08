"""The errors that a user can cause, and their exit statuses. What the web does wrong is data, not an exception.

    CrawlerError                  1  an unexpected error
    +-- UsageError                2  an option, a seed or a file of seeds that cannot be used
    +-- DatabaseBusyError         5  another run holds the database
    +-- DatabaseFailedError       6  full disk, damaged, not a crawl database, newer schema

Each message is one line: what is wrong, and what to do.
"""

from __future__ import annotations


class CrawlerError(Exception):
    """The root of this tree; `exit_status` is what the command line ends with."""

    exit_status = 1


class UsageError(CrawlerError):
    """The user asked for something that cannot be done as asked."""

    exit_status = 2


class DatabaseBusyError(CrawlerError):
    """Another run holds the database."""

    exit_status = 5


class DatabaseFailedError(CrawlerError):
    """The database cannot be opened, read or written."""

    exit_status = 6
