"""One PostgreSQL server for all processes of a test session, with a database for each test.

`CRAWLER_TEST_POSTGRES`, the URL of a database on a server that runs, has that server used instead; the user that it
names must be allowed to create databases.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from tests.postgres.instance import Instance, new_folder, start_guard
from tests.postgres.sql import execute

GIVEN = "CRAWLER_TEST_POSTGRES"


class Server:
    """A server that runs, by the URL of one of its databases."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    @contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """The URL of a new database, a copy of the template (a name); it is dropped in the end, whoever uses it."""
        name = f"test_{secrets.token_hex(8)}"
        execute(self._dsn, f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.url(name)
        finally:
            execute(self._dsn, f"DROP DATABASE {name} WITH (FORCE)")

    def url(self, database: str) -> str:
        """Of one of its databases."""
        return urlunsplit(urlsplit(self._dsn)._replace(path=f"/{database}"))


def copy_over(url: str, source: str) -> None:
    """Make the database at `url` a copy of the one at `source`, on the same server, whoever uses the first."""
    ours, theirs = (urlsplit(one).path[1:] for one in (url, source))
    dsn = urlunsplit(urlsplit(url)._replace(path="/postgres"))
    execute(dsn, f"DROP DATABASE {ours} WITH (FORCE)")
    execute(dsn, f"CREATE DATABASE {ours} TEMPLATE {theirs}")


@contextmanager
def shared_server(meeting: Path) -> Iterator[Server]:
    """The server of all processes that come with this folder: the first starts it, and it ends after the last."""
    if given := os.environ.get(GIVEN):
        yield Server(given)
        return
    with (meeting / "postgres.users").open("a") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        with (meeting / "postgres.turn").open("a") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            folder = meeting / "postgres"  # a link to its folder, broken once it has been stopped
            if not folder.exists():
                _start(folder, Path(users.name))
        yield Server((folder / "url").read_text())


def _start(link: Path, users: Path) -> None:
    folder = new_folder()
    start_guard(folder, users)
    instance = Instance(folder)
    instance.create()
    instance.start()
    (folder / "url").write_text(instance.dsn())
    link.unlink(missing_ok=True)
    link.symlink_to(folder)
