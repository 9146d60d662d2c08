"""Which stored pages are taken out of a crawl, and which of those that were taken before are to be left out now.

A page is taken once: its newest version, or the last one that a run stored. With a cursor of `crawler changes`, only
what has happened since counts: the pages that are new or have changed, and those that are no longer among them.
Invariant: all of it is SQL over one snapshot, and SQLite's alone is the memory in which anything is gathered or sorted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from crawler.archive.changes import Span
from crawler.archive.filters import CURRENT, Condition, PageFilter, UrlFilter, language_of, where
from crawler.storage.sqlite.views import views

_NEWEST, _ANY = "JOIN pages AS p ON p.id = u.page_id", "JOIN pages AS p ON p.url_id = u.id"
_LAST_OF_RUN = """v.page_id = (
    SELECT max(q.id) FROM pages AS q JOIN fetches AS g ON g.id = q.fetch_id WHERE q.url_id = v.url_id AND g.run_id = ?
)"""
_CHANGED = "{column} IN (SELECT url_id FROM change_log WHERE id > ? AND id <= ?)"
_HOSTS = """
SELECT name FROM hosts WHERE id IN (
    SELECT host_id FROM urls WHERE id IN (SELECT url_id FROM change_log WHERE id > ? AND id <= ?)
)
"""
_WENT = """
SELECT u.url, coalesce(CASE WHEN u.status NOT IN ({current}) THEN (
    SELECT l.change FROM change_log AS l
    WHERE l.url_id = u.id AND l.page_id IS NULL AND l.change NOT IN ('broken', 'healed') ORDER BY l.id DESC LIMIT 1
) END, 'filtered')
FROM urls AS u{chosen} AND u.page_id IS NOT NULL AND u.id NOT IN ({taken}) ORDER BY u.id
"""

# Columns by which pages can be parted, as SQL of `stored_pages`: each has few values, and none of the size of a text.
PARTED_BY = {
    "host": "v.host",
    "date": "date(CAST(v.seen_at AS INTEGER), 'unixepoch')",
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

    def chosen(self, by: Sequence[str] = ()) -> Condition:
        """A query for `url_id` and `page_id` of each page, each once; `by`: ordered by these (see `PARTED_BY`)."""
        conditions = self.pages.conditions("v")
        if self.pages.run is not None:
            conditions.append(Condition(_LAST_OF_RUN, (self.pages.run,)))
        if self.span is not None:
            conditions.append(_of_changed_hosts(self.span) if self.whole_hosts else _changed("v.url_id", self.span))
        found = where(conditions)
        order = f" ORDER BY {', '.join([*(PARTED_BY[name] for name in by), 'v.url_id'])}" if by else ""
        sql = f"SELECT url_id, page_id FROM ({self._versions()}) AS v{found.sql}{order}"  # noqa: S608 - our own names
        return Condition(sql, found.parameters)

    def count(self) -> Condition:
        """A query for their number."""
        chosen = self.chosen()
        return Condition(f"SELECT count(*) FROM ({chosen.sql})", chosen.parameters)  # noqa: S608 - our own names

    def went(self) -> Condition:
        """A query for the URLs that these changes speak of, that have a page, and are not chosen, and why: gone, moved
        or withdrawn, or else filtered. A filter by URL or host holds for them, too. `span` must be given.
        """
        if self.span is None:
            raise ValueError("nothing can be said to have gone without a time since when")
        by_url = UrlFilter(host=self.pages.urls.host, glob=self.pages.urls.glob)
        spoken_of = where([_changed("u.id", self.span), *by_url.conditions("+u.url")])
        taken = replace(self, whole_hosts=False).chosen()
        current = ", ".join(f"'{one}'" for one in CURRENT)
        sql = _WENT.format(current=current, chosen=spoken_of.sql, taken=f"SELECT url_id FROM ({taken.sql})")  # noqa: S608
        return Condition(sql, spoken_of.parameters + taken.parameters)

    def changed_hosts(self) -> Condition:
        """A query for the hosts that these changes speak of. `span` must be given."""
        return Condition(_HOSTS, (self.span.first, self.span.last) if self.span is not None else (0, 0))

    def _versions(self) -> str:
        """The query of the view `stored_pages`; where a run is asked for, of all versions."""
        newest = views()["stored_pages"].sql.partition(" AS\n")[2]
        return newest if self.pages.run is None else newest.replace(_NEWEST, _ANY)


def _of_changed_hosts(span: Span) -> Condition:
    return Condition(f"+v.host IN ({_HOSTS})", (span.first, span.last))


def _changed(column: str, span: Span) -> Condition:
    return Condition(_CHANGED.format(column=column), (span.first, span.last))
