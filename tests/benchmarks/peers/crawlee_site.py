"""Crawlee on one site: `python crawlee_site.py parsel|beautifulsoup URL PAGES CONCURRENCY PER_HOST`.

Items go to its default dataset, in CRAWLEE_STORAGE_DIR.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from crawlee import ConcurrencySettings  # type: ignore[import-not-found, unused-ignore]
from crawlee.crawlers import (  # type: ignore[import-not-found, unused-ignore]
    BeautifulSoupCrawler,
    BeautifulSoupCrawlingContext,
    ParselCrawler,
    ParselCrawlingContext,
)


async def _keep_parsel(context: ParselCrawlingContext) -> None:
    selector = context.selector
    await context.push_data(
        {
            "url": context.request.url,
            "title": selector.css("title::text").get(),
            "text": " ".join(selector.css("body ::text").getall()),
            "links": selector.css("a::attr(href)").getall(),
            "body": selector.get(),
        }
    )
    await context.enqueue_links()


async def _keep_soup(context: BeautifulSoupCrawlingContext) -> None:
    soup = context.soup
    await context.push_data(
        {
            "url": context.request.url,
            "title": soup.title.string if soup.title else None,
            "text": soup.get_text(" "),
            "links": [str(anchor["href"]) for anchor in soup.find_all("a", href=True)],
            "body": str(soup),
        }
    )
    await context.enqueue_links()


async def _crawl(reader: str, url: str, pages: int, concurrency: int, per_host: int) -> float:
    options: dict[str, Any] = {
        "max_requests_per_crawl": pages,
        "respect_robots_txt_file": True,
        "configure_logging": False,
        "concurrency_settings": ConcurrencySettings(
            min_concurrency=per_host, desired_concurrency=concurrency, max_concurrency=concurrency
        ),
    }
    crawler: Any = ParselCrawler(**options) if reader == "parsel" else BeautifulSoupCrawler(**options)
    crawler.router.default_handler(_keep_parsel if reader == "parsel" else _keep_soup)
    started = time.monotonic()
    await crawler.run([url])
    return time.monotonic() - started


def main() -> None:
    """Crawl, and print how long that took without Python's start."""
    reader, url, pages, concurrency, per_host = sys.argv[1:]
    elapsed_s = asyncio.run(_crawl(reader, url, int(pages), int(concurrency), int(per_host)))
    print(json.dumps({"elapsed_s": elapsed_s}))


if __name__ == "__main__":
    main()
