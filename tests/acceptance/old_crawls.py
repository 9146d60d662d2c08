"""Crawls by version 0.1.0, as dumps; run as a program, this makes one of them anew.

They were made by the code of that version (commit 7733d99), from the root of a checkout of that commit:

    PYTHONPATH=. python .../tests/acceptance/old_crawls.py old_web > .../tests/acceptance/database_0_1_0.sql
    PYTHONPATH=. python .../tests/acceptance/old_crawls.py varied_web > .../tests/acceptance/varied_0_1_0.sql
"""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

from crawler.fakeweb import Served

MADE_AT = 1_700_000_000.0  # the times are moved to about then: in the past of whoever reads this
_TIMES = [
    *(("runs", column) for column in ("started_at", "ended_at")),
    *(("hosts", column) for column in ("next_due_at", "back_off_until")),
    *(("origins", column) for column in ("robots_fetched_at", "robots_expires_at")),
    *(("urls", column) for column in ("discovered_at", "fetched_at", "next_fetch_at", "revisit_at")),
    ("fetches", "started_at"),
]


def restore(dump: str, port: int, db: Path, served: Served) -> None:
    """Make a database of the dump of a web that was at this port; its URLs get the port of the web that is served."""
    text = Path(__file__).with_name(dump).read_text(encoding="utf-8")
    with closing(sqlite3.connect(db)) as connection:
        connection.executescript(text.replace(f":{port}", f":{served.port}"))


def main() -> None:
    """Crawl the web that is named, and print the database."""
    name = sys.argv[1]
    web = import_module(name)  # beside this file: `tests` is that of the old version
    make: Callable[[Any, Path], None] = {"old_web": _crawl_old_web, "varied_web": _crawl_varied_web}[name]
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder, "crawl.db")
        make(web, db)
        _dump(db)


def _crawl_old_web(web: Any, db: Path) -> None:
    """Four runs: the site, again with one page changed, the calendar, and one that is killed."""
    bounded = ["--scope", "domain", "--max-hosts-per-domain", "3", "--max-depth", "2", "--exclude", "/skip/"]
    bounded += ["--max-path-segments", "6", "--max-query-params", "4", "--retries", "1", "--max-wait", "0s"]
    crawl = [sys.executable, "-m", "crawler", "crawl"]
    for version, more in ((1, []), (2, ["--max-age", "0s"])):
        with web.old_web(version).running(port=web.PORT) as served:
            seeds = [served.url("a.test"), served.url("wild.test")]
            subprocess.run([*crawl, *seeds, *_options(served, db), *bounded, *more], check=True)
    with web.old_web(2).running(port=web.PORT) as served:
        subprocess.run([*crawl, served.url("calendar.test"), *_options(served, db), *bounded], check=True)
        slow = [*crawl, served.url("slow.test", "/0"), *_options(served, db), *bounded, "--concurrency", "1"]
        killed = subprocess.Popen(slow)
        while len(served.hits("slow.test")) < web.SLOW // 2 and killed.poll() is None:
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    asyncio.run(_shut_out(web, db))


async def _shut_out(web: Any, db: Path) -> None:
    records, rooms = import_module("crawler.records"), import_module("crawler.storage.store")  # of that version
    async with rooms.open_store(db) as store:
        for path, reason in web.SHUT_OUT.items():
            url = f"http://calendar.test:{web.PORT}{path}"
            await store.add([records.Target(url=url, host="calendar.test", depth=2, reason=reason)], time.time())


def _crawl_varied_web(web: Any, db: Path) -> None:
    with web.varied_web("first").running(port=web.PORT) as served:
        command = [sys.executable, "-m", "crawler", "crawl", served.url(web.HOST), *_options(served, db)]
        subprocess.run(command, check=True)


def _options(served: Served, db: Path) -> list[str]:
    return ["--db", str(db), "--allow-private", "127.0.0.0/8", "--dns-server", served.dns, "--delay", "0", "--quiet"]


def _dump(db: Path) -> None:
    with closing(sqlite3.connect(db)) as connection:
        for table, column in _TIMES:
            connection.execute(
                f"UPDATE {table} SET {column} = {column} - ? WHERE {column} > 0", (time.time() - MADE_AT,)
            )
        connection.commit()
        for name in ("application_id", "user_version"):
            print(f"PRAGMA {name} = {connection.execute(f'PRAGMA {name}').fetchone()[0]};")
        print("\n".join(connection.iterdump()))


if __name__ == "__main__":
    main()
