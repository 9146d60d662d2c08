"""Scrapy on one site: `python scrapy_site.py URL FEED PAGES CONCURRENCY PER_HOST`; items go to a JSON-lines feed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from scrapy.crawler import CrawlerProcess  # type: ignore[import-not-found, unused-ignore]
from scrapy.linkextractors import LinkExtractor  # type: ignore[import-not-found, unused-ignore]
from scrapy.spiders import CrawlSpider, Rule  # type: ignore[import-not-found, unused-ignore]

_LINKS = LinkExtractor()


class SiteSpider(CrawlSpider):  # type: ignore[misc, unused-ignore]
    """Follows every link of the site, and keeps of each page what our crawler keeps."""

    name = "site"
    rules = (Rule(_LINKS, callback="keep", follow=True),)

    def parse_start_url(self, response: Any, **_kwargs: Any) -> Iterator[dict[str, Any]]:
        """The first page is one like the others."""
        return self.keep(response)

    def keep(self, response: Any) -> Iterator[dict[str, Any]]:
        """The item."""
        yield {
            "url": response.url,
            "title": response.css("title::text").get(),
            "text": " ".join(response.css("body ::text").getall()),
            "links": [{"url": link.url, "text": link.text} for link in _LINKS.extract_links(response)],
            "body": response.text,
        }


def main() -> None:
    """Crawl, and print Scrapy's own account of the time."""
    url, feed, pages, concurrency, per_host = sys.argv[1:]
    process = CrawlerProcess(
        {
            "FEEDS": {feed: {"format": "jsonlines"}},
            "CLOSESPIDER_PAGECOUNT": int(pages),
            "CONCURRENT_REQUESTS": int(concurrency),
            "CONCURRENT_REQUESTS_PER_DOMAIN": int(per_host),
            "DOWNLOAD_DELAY": 0,
            "ROBOTSTXT_OBEY": True,
            "TELNETCONSOLE_ENABLED": False,
            "LOG_LEVEL": "ERROR",
        }
    )
    crawler = process.create_crawler(SiteSpider)
    process.crawl(crawler, start_urls=[url], allowed_domains=[urlsplit(url).hostname])
    process.start()
    print(json.dumps({"elapsed_s": crawler.stats.get_value("elapsed_time_seconds")}))


if __name__ == "__main__":
    main()
