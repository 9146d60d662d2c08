"""Rows of a view, chosen and ordered: what `crawler list` prints, and `Archive.rows` gives.

`LISTINGS` is the one table of what can be listed. A view's description and columns are those of views.sql; here stand
its short names, and what a person wants to see of it. Invariant: what the user wrote is never part of the SQL, but for
names of columns that the view has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from crawler.archive.derived_views import derived_views
from crawler.archive.dialect import Dialect
from crawler.archive.filters import Condition, UrlFilter, where
from crawler.archive.fragments import own_views
from crawler.errors import UsageError
from crawler.location import Location, file_at
from crawler.storage.sqlite.views import View, views


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A view, as `crawler list` has it.

    `aliases` are its short names, `shown` the columns for people. `about` is the column of the URL that a row is about,
    by which --host and --url choose; empty if there is none. `own_view`: one that only this database has.
    """

    name: str
    aliases: tuple[str, ...]
    shown: tuple[str, ...]
    about: str
    own_view: View | None = None

    @property
    def view(self) -> View:
        """Its description and all its columns."""
        return self.own_view or all_views()[self.name]

    @property
    def summary(self) -> str:
        """The first sentence of its description."""
        return self.view.description.partition(". ")[0].removesuffix(".")


@cache
def all_views() -> Mapping[str, View]:
    """Those of the database, and those that only this program has."""
    return {**views(), **own_views(), **derived_views()}


def _listing(name: str, aliases: str, shown: str, about: str = "url") -> Listing:
    return Listing(name=name, aliases=tuple(aliases.split()), shown=tuple(shown.split()), about=about)


_ALL = (
    _listing("all_urls", "urls", "url status reason depth found_by fetched_at"),
    _listing("pending_urls", "pending", "url next_fetch_at reason attempts depth"),
    _listing("failed_urls", "failed", "url reason attempts failing_since revisit_at"),
    _listing("failing_urls", "failing", "url failing_reason failing_since attempts next_fetch_at"),
    _listing("gone_urls", "gone", "url status_code fetched_at had_page"),
    _listing("excluded_urls", "excluded", "url reason depth"),
    _listing("exclusions", "", "rule reason urls example_url", ""),
    _listing("robots_blocked", "robots", "url line rule"),
    _listing("traps", "", "host rule urls example_url", ""),
    _listing("redirect_chains", "redirects", "url hops end_status end_url"),
    _listing("current_pages", "pages", "url status_code title language bytes fetched_at"),
    _listing("stored_pages", "stored", "url status title bytes fetched_at"),
    _listing("page_versions", "versions", "url seen_at run_id newest bytes title"),
    _listing("changes", "", "at change url run_id detail"),
    _listing("change_feed", "feed", "at change url detail run_id"),
    _listing("broken_links", "broken", "page_url anchor target_url cause", "page_url"),
    _listing("broken_resources", "", "page_url kind url cause", "page_url"),
    _listing("checked_urls", "checks", "url kind verdict cause end_url checked_at flaky"),
    _listing("broken_fragments", "fragments", "page_url anchor fragment target_url", "page_url"),
    _listing("outlinks", "links", "page_url target_url anchor status", "page_url"),
    _listing("inlinks", "", "target_url page_url anchor", "target_url"),
    _listing("link_details", "", "page_url target_url fragment anchor", "page_url"),
    _listing("orphan_pages", "orphans", "url title depth fetched_at"),
    _listing("duplicate_pages", "duplicates", "url first_url copies title"),
    _listing("near_duplicate_pages", "near_duplicates", "url first_url distance words title"),
    _listing("best_linked", "ranks", "url rank inlinks title"),
    _listing("duplicate_titles", "", "url title copies"),
    _listing("missing_titles", "", "url depth"),
    _listing("long_titles", "", "url length title"),
    _listing("missing_descriptions", "", "url title"),
    _listing("duplicate_descriptions", "", "url description copies"),
    _listing("long_descriptions", "", "url length description"),
    _listing("invalid_json_ld", "", "url place script"),
    _listing("slow_pages", "slow", "url elapsed_s bytes seen_at"),
    _listing("large_pages", "large", "url bytes truncated"),
    _listing("noindex", "", "url title nofollow"),
    _listing("canonical_problems", "canonical", "url canonical_url problem reason"),
    _listing("hreflang_problems", "hreflang", "url language alternate_url problem"),
    _listing("sitemap_problems", "", "url problem reason sitemap_url"),
    _listing("mixed_content", "", "page_url kind url", "page_url"),
    _listing("missing_security_headers", "", "host header pages example_url", ""),
    _listing("alternates", "", "page_url kind language url", "page_url"),
    _listing("resources", "", "page_url kind url alt", "page_url"),
    _listing("sitemap_urls", "sitemaps", "url status lastmod sitemap_url"),
    _listing("extraction_problems", "extraction", "rule url problem lacking"),
    _listing("attempts", "fetches", "started_at url status_code failure elapsed_s bytes"),
    _listing("response_headers", "headers", "url name value"),
    _listing("host_overview", "hosts", "host urls pending fetched redirected excluded gone failed next_due_at", ""),
    _listing("run_overview", "runs", "run_id started_at elapsed_s end_reason pages requests", ""),
)
_MOST_SHOWN = 5  # columns of a view that says nothing else here


def _others() -> Iterator[Listing]:
    """The views that stand in no line above: their first columns, and a URL by its usual names."""
    for name in all_views().keys() - {one.name for one in _ALL}:
        columns = list(all_views()[name].columns)
        about = next((one for one in ("page_url", "url") if one in columns), "")
        yield Listing(name=name, aliases=(), shown=tuple(columns[:_MOST_SHOWN]), about=about)


LISTINGS: Mapping[str, Listing] = {one.name: one for one in (*_ALL, *sorted(_others(), key=lambda one: one.name))}
_BY_WORD = {word: one for one in LISTINGS.values() for word in (one.name, *one.aliases)}


def listing_of(word: str) -> Listing:
    """The view of that name or alias, written with `-` or `_`. Raises `UsageError` if there is none."""
    found = _BY_WORD.get(word.strip().lower().replace("-", "_"))
    if found is None:
        raise UsageError(f"there is no view {word!r}; `crawler list` shows them all")
    return found


def check_view(name: str, db: Location) -> None:
    """Raise `UsageError` for a view that crawls in PostgreSQL do not have."""
    if isinstance(db, Path) or name not in LISTINGS:
        return
    from crawler.storage.postgres.views import views as views_of_postgres

    if name not in views_of_postgres():
        file_at(db, f"the view {name}")


def words() -> list[str]:
    """All names and aliases."""
    return list(_BY_WORD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which rows of a view are asked for, in which order, and which columns of them.

    `columns` empty: all. `sort` is a column, with a `-` before it to have the greatest first; None: as they come.
    `run`: only rows of that run. Raises `UsageError` for what the view does not have.
    """

    listing: Listing
    columns: Sequence[str] = ()
    urls: UrlFilter = field(default_factory=UrlFilter)
    run: int | None = None
    sort: str | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        for name in (*self.columns, *([self.sort.removeprefix("-")] if self.sort is not None else [])):
            if name not in self.listing.view.columns:
                known = ", ".join(self.listing.view.columns)
                raise UsageError(f"{self.listing.name} has no column {name!r}; its columns are {known}")
        if self.run is not None and "run_id" not in self.listing.view.columns:
            self._refuse("--run", "run_id")
        if self.urls.glob is not None and not self.listing.about:
            self._refuse("--url", "url")
        if self.urls.host is not None and not (self.listing.about or "host" in self.listing.view.columns):
            self._refuse("--host", "host")

    def _refuse(self, option: str, column: str) -> None:
        raise UsageError(f"{self.listing.name} has no {column}, so {option} cannot choose among its rows")

    @property
    def selected(self) -> list[str]:
        """The names of the columns of its rows."""
        return list(self.columns or self.listing.view.columns)

    def statement(self, dialect: Dialect = Dialect.SQLITE) -> Condition:
        """The whole query, with its parameters."""
        listing = self.listing
        host = "v.host" if "host" in listing.view.columns else None
        conditions = self.urls.conditions(f"v.{listing.about}", host, dialect)
        if self.run is not None:
            conditions.append(Condition("v.run_id = ?", (self.run,)))
        chosen = where(conditions)
        columns = ", ".join(f'v."{name}"' for name in self.selected)
        limit, limited = (" LIMIT ?", (self.limit,)) if self.limit is not None else ("", ())
        sql = f"SELECT {columns} FROM {listing.name} AS v{chosen.sql}{self._order(dialect)}{limit}"  # noqa: S608 - our names
        return Condition(sql, chosen.parameters + limited)

    def _order(self, dialect: Dialect) -> str:
        """Rows that are alike in that column come from SQLite in one order each time; from PostgreSQL by their URLs."""
        if self.sort is None:
            return ""
        direction = "DESC" if self.sort.startswith("-") else "ASC"
        order = f' ORDER BY v."{self.sort.removeprefix("-")}" {direction} NULLS LAST'
        about = self.listing.about if dialect is Dialect.POSTGRES else ""
        return f'{order}, v."{about}"' if about else order
