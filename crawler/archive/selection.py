"""Which stored pages are taken out of a crawl, and which of those that were taken before are to be left out now.

A page is taken once: its newest version, or the last one that a run stored. With a cursor of `crawler changes`, only
what has happened since counts: the pages that are new or have changed, and those that are no longer among them.
Invariant: all of it is SQL over one snapshot, and the database's alone is the memory in which anything is gathered or
sorted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace

from crawler.archive.changes import CHANGED_ROWS, Span
from crawler.archive.dialect import Dialect, Sql, Text, joined
from crawler.archive.filters import CURRENT, Condition, PageFilter, UrlFilter, language_of, where
from crawler.archive.pages import ANY_VERSION, NEWEST_VERSION
from crawler.statically_frozen import dataclass
from crawler.storage.sqlite.views import views

_LAST_OF_RUN = Sql(
    """v.page_id = (
    SELECT max(q.id) FROM pages AS q JOIN fetches AS g ON g.id = q.fetch_id WHERE q.url_id = v.url_id AND g.run_id = ?
)""",
    """v.page_id = (
    SELECT max(q.id) FROM pages AS q JOIN fetches AS g ON (g.part, g.id) = (q.part, q.fetch_id)
    WHERE (q.part, q.url_id) = (v.part, v.url_id) AND g.run_id = ?
)""",
)
_IS_CHANGED = Sql("{view}.{id} IN (", "({view}.part, {view}.host_id, {view}.{id}) IN (")
_HOSTS = (
    Sql(
        "SELECT name FROM hosts WHERE id IN (SELECT host_id FROM urls WHERE id IN (",
        "SELECT name FROM hosts WHERE (part, id) IN (SELECT part, host_id FROM (",
    )
    + CHANGED_ROWS
    + Sql("))", ") AS changed)")
)
_WENT = Sql(
    """
SELECT u.url, coalesce(CASE WHEN u.status NOT IN ({current}) THEN (
    SELECT l.change FROM change_log AS l
    WHERE l.url_id = u.id AND l.page_id IS NULL AND l.change NOT IN ('broken', 'healed') ORDER BY l.id DESC LIMIT 1
) END, 'filtered')
FROM urls AS u{chosen} AND u.page_id IS NOT NULL AND u.id NOT IN ({taken}) ORDER BY u.id
""",
    """
SELECT u.url, coalesce(CASE WHEN u.status NOT IN ({current}) THEN (
    SELECT l.change FROM change_log AS l
    WHERE (l.part, l.url_id) = (u.part, u.id) AND l.page_id IS NULL AND l.change NOT IN ('broken', 'healed')
    ORDER BY l.id DESC LIMIT 1
) END, 'filtered')
FROM urls AS u{chosen} AND u.page_id IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM ({taken}) AS t WHERE (t.part, t.host_id, t.url_id) = (u.part, u.host_id, u.id))
ORDER BY u.part, u.host_id, u.id
""",
)
_KEYS = Sql("url_id, page_id", "part, host_id, url_id, page_id")
_ORDER = Sql("v.url_id", "v.part, v.host_id, v.url_id")
_DATE = Sql(
    "date(CAST(v.seen_at AS INTEGER), 'unixepoch')",
    "(to_timestamp(trunc(v.seen_at)) AT TIME ZONE 'UTC')::date",
)

# Columns by which pages can be parted, as SQL of `stored_pages`: each has few values, and none of the size of a text.
PARTED_BY: Mapping[str, Text] = {
    "host": "v.host",
    "date": _DATE,
    "language": language_of("v"),
    "run_id": "v.run_id",
    "status": "v.status_code",
    "url_status": "v.status",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The pages that pass a filter; `span`: only those that these changes speak of; with `whole_hosts` all of the hosts
    that they speak of.
    """

    pages: PageFilter = field(default_factory=PageFilter)
    span: Span | None = None
    whole_hosts: bool = False
    dialect: Dialect = Dialect.SQLITE

    def chosen(self, by: Sequence[str] = ()) -> Condition:
        """A query for `url_id` and `page_id` of each page, each once, and before them for `part` and `host_id` in
        PostgreSQL; `by`: ordered by these (see `PARTED_BY`), and then as the pages are read.
        """
        found = where(self._conditions())
        order = f" ORDER BY {joined([*(PARTED_BY[name] for name in by), _ORDER]).of(self.dialect)}" if by else ""
        keys = _KEYS.of(self.dialect)
        sql = f"SELECT {keys} FROM ({self._versions()}) AS v{found.sql}{order}"  # noqa: S608 - our own names
        return Condition(sql, found.parameters)

    def count(self) -> Condition:
        """A query for their number."""
        chosen = self.chosen()
        return Condition(f"SELECT count(*) FROM ({chosen.sql}) AS c", chosen.parameters)  # noqa: S608 - our own names

    def went(self) -> Condition:
        """A query for the URLs that these changes speak of, that have a page, and are not chosen, and why: gone, moved
        or withdrawn, or else filtered. A filter by URL or host holds for them, too. `span` must be given.
        """
        if self.span is None:
            raise ValueError("nothing can be said to have gone without a time since when")
        by_url = UrlFilter(host=self.pages.urls.host, glob=self.pages.urls.glob)
        url = "+u.url" if self.dialect is Dialect.SQLITE else "u.url"
        spoken_of = where([self._changed("u", "id", self.span), *by_url.conditions(url, dialect=self.dialect)])
        taken = replace(self, whole_hosts=False).chosen()
        sql = _WENT.of(self.dialect).format(
            current=", ".join(f"'{one}'" for one in CURRENT),
            chosen=spoken_of.sql,
            taken=taken.sql if self.dialect is Dialect.POSTGRES else f"SELECT url_id FROM ({taken.sql})",  # noqa: S608
        )
        return Condition(sql, spoken_of.parameters + taken.parameters)

    def changed_hosts(self) -> Condition:
        """A query for the hosts that these changes speak of. `span` must be given."""
        if self.span is None:
            raise ValueError("no host has changed without a time since when")
        return Condition(_HOSTS.of(self.dialect), self.span.parameters)

    def _conditions(self) -> list[Condition]:
        found = self.pages.conditions("v", self.dialect)
        if self.pages.run is not None:
            found.append(Condition(_LAST_OF_RUN.of(self.dialect), (self.pages.run,)))
        if self.span is not None and self.whole_hosts:
            host = "+v.host" if self.dialect is Dialect.SQLITE else "v.host"
            found.append(Condition(f"{host} IN ({_HOSTS.of(self.dialect)})", self.span.parameters))
        elif self.span is not None:
            found.append(self._changed("v", "url_id", self.span))
        return found

    def _changed(self, view: str, column: str, span: Span) -> Condition:
        """For a table or view of URLs, with its column of their ids."""
        sql = _IS_CHANGED.of(self.dialect).format(view=view, id=column) + CHANGED_ROWS.of(self.dialect) + ")"
        return Condition(sql, span.parameters)

    def _versions(self) -> str:
        """The query of the view `stored_pages`; where a run is asked for, of all versions."""
        if self.dialect is Dialect.SQLITE:
            newest = views()["stored_pages"].sql.partition(" AS\n")[2]
        else:
            from crawler.storage.postgres.views import views as views_of_postgres

            newest = views_of_postgres()["stored_pages"]
        return (
            newest
            if self.pages.run is None
            else newest.replace(NEWEST_VERSION.of(self.dialect), ANY_VERSION.of(self.dialect))
        )
