"""The errors that a user can cause, and their exit statuses. What the web does wrong is data, not an exception.

    CrawlerError                  1  an unexpected error
    +-- UsageError                2  an option, a seed or a file that cannot be used
    +-- DatabaseBusyError         5  another run holds the database
    +-- DatabaseFailedError       6  disk full, file damaged, not a crawl database, newer schema
        +-- ArchiveFailedError    6  a WARC file cannot be written, or has lost what the database says is in it
        +-- NoCrawlError          6  there is no crawl in the database, or no database
        +-- NoRunError            6  there is no run that this process could take part in
        +-- LeaseLostError        6  of several processes, another one has taken over what this one was about to store

Each message is one line: what is wrong, and what to do.
"""

from __future__ import annotations


class CrawlerError(Exception):
    """The base class of all of them; `exit_status` is the exit status of the command line."""

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


class ArchiveFailedError(DatabaseFailedError):
    """The WARC files cannot be written, or are not what the database says of them."""


class NoCrawlError(DatabaseFailedError):
    """There is nothing in the database, or it is not there."""


class NoRunError(DatabaseFailedError):
    """There is no run under way in which this process could take part."""


class LeaseLostError(DatabaseFailedError):
    """Another process owns hosts of which this one was about to store results. Nothing of these was stored; all that
    the process holds in memory may be out of date, so it has to begin anew.
    """


def no_crawl_in(db: object) -> NoCrawlError:
    """The error of a command for a database (a `Location`, or its text) that is not there."""
    return NoCrawlError(f"there is no crawl in {db}; `crawler crawl SEED --db {db}` starts one")
