"""Targets and results to store in any store, and a look at what became of them, as another program sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from crawler.bodies import body_hash, compress
from crawler.records import (
    Blame,
    Claim,
    Closure,
    Failure,
    FailureKind,
    HostRecord,
    Link,
    Listed,
    Page,
    Reason,
    Response,
    Result,
    SitemapEntry,
    StoredBody,
    Target,
    UrlKind,
    UrlStatus,
    Verdict,
)
from crawler.storage.interface import DueQueue, Store
from crawler.storage.location import database_at
from crawler.urls import host_of
from tests.stores import Location, rows

NOW = 1_700_000_000.0


def a_target(url: str, *, reason: str | None = None, **fields: Any) -> Target:
    """`reason`: the word alone will do, where that is all."""
    if reason is not None and not isinstance(reason, Reason):
        reason = Reason(reason)
    return Target(url=url, host=host_of(url), reason=reason, **fields)


def a_body(body: bytes) -> StoredBody:
    return StoredBody(digest=body_hash(body), size=len(body), zstd=compress(body))


def a_result(
    claim: Claim, *, links: Iterable[str | Target] = (), page: bool | Page | None = True, **fields: Any
) -> Result:
    """Of a visit that fetched a page with these links; `fields` change what is different."""
    targets = tuple(a_target(link, depth=claim.depth + 1) if isinstance(link, str) else link for link in links)
    if isinstance(page, bool):
        page = Page(url=claim.url, title="T", text="text", content_hash=b"h") if page else None
    if page is not None and targets:
        page = replace(page, links=tuple(Link(target.url, f"to {target.url}") for target in targets))
    usual: dict[str, Any] = {
        "verdict": Verdict(status=UrlStatus.FETCHED),
        "attempt": Response(
            url=claim.url, status_code=200, body=b"x", size=1, content_type="text/html", started_at=NOW
        ),
        "page": page,
        "link_targets": targets,
    }
    return Result(claim=claim, **(usual | fields))


def a_failure(claim: Claim, kind: FailureKind = FailureKind.TIMEOUT, **fields: Any) -> Result:
    usual: dict[str, Any] = {
        "verdict": Verdict(status=UrlStatus.FAILED, reason=Reason(kind), attempts=1),
        "attempt": Failure(url=claim.url, kind=kind, message="no answer", started_at=NOW),
    }
    return Result(claim=claim, **(usual | fields))


def a_listed(url: str, **said: Any) -> Listed:
    """What a sitemap names, and says of it."""
    return Listed(a_target(url), SitemapEntry(url=url, **said))


def closed(until: float, name: str = "a.test", blame: Blame = Blame.HOST, why: str = "dns") -> Closure:
    return Closure(name=name, blame=blame, until=until, why=why)


def robots_claim(claim: Claim) -> Claim:
    """The robots.txt of the claim's host, which has no row yet."""
    url = f"http://{claim.host}/robots.txt"
    return replace(claim, url_id=0, url=url, kind=UrlKind.ROBOTS)


@asynccontextmanager
async def a_store(location: Location, *urls: str) -> AsyncIterator[Store]:
    """A crawl database in which a run has begun and these URLs are pending."""
    async with database_at(location).open_store() as store:
        await store.begin_run({"scope": {"max_pages": None}}, NOW)
        await store.add([a_target(url) for url in urls], NOW)
        yield store


async def claims_of(store: DueQueue, now: float = NOW) -> dict[str, Claim]:
    """All that is due, by URL."""
    hosts = (await store.due_hosts(now, None, 10_000)).rows
    return {claim.url: claim for claim in await store.due_urls([host.host_id for host in hosts], 10_000, now)}


def of_run(location: Location) -> tuple[int, int]:
    """The pages and requests of the newest run, which need not have ended."""
    newest = "(SELECT max(id) FROM runs)"
    counted = f"SELECT sum(run_pages), sum(run_requests) FROM parts WHERE run_id = {newest}"
    if isinstance(location, Path):
        counted = f"SELECT pages, requests FROM runs WHERE id = {newest}"
    [(pages, requests)] = rows(location, counted)
    return int(pages or 0), int(requests or 0)


def row_of(location: Location, url: str, columns: str = "status, reason, next_fetch_at") -> Any:
    """Some columns of one URL."""
    [row] = rows(location, f"SELECT {columns} FROM urls WHERE url = ?", url)
    return row


def by_name(hosts: Iterable[HostRecord]) -> dict[str, HostRecord]:
    return {host.name: host for host in hosts}
