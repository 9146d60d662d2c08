"""A batch of results with the rows that they get: made once, however often it is tried to store them."""

from __future__ import annotations

from collections.abc import Sequence

from crawler.errors import LeaseLostError
from crawler.records import Page, Result
from crawler.statically_frozen import dataclass
from crawler.storage.postgres.ids import id_of
from crawler.storage.postgres.ownership import Ownership
from crawler.storage.postgres.transactions import Tally
from crawler.storage.results import requests_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A result, the partition of its host, and the ids of its URL, of its attempt and of the version that it brings;
    None: it has none.
    """

    result: Result
    part: int
    host_id: int
    url_id: int
    fetch_id: int | None
    page_id: int | None

    @property
    def key(self) -> tuple[int, int, int]:
        """That of its URL's row."""
        return self.part, self.host_id, self.url_id

    @property
    def read(self) -> Page | None:
        """What was read, whether it makes a version or not."""
        return self.result.page or self.result.reread


def placed(results: Sequence[Result], ownership: Ownership) -> list[Placed]:
    """Each with its rows. Raises `LeaseLostError` where a host is not this process's own, for all that it knows."""
    return [_placed(result, ownership) for result in results]


def _placed(result: Result, ownership: Ownership) -> Placed:
    claim = result.claim
    part = ownership.part_of(claim.host_id)
    if not ownership.owns(part):
        raise LeaseLostError(f"{claim.url}: another process owns its host by now")
    return Placed(
        result=result,
        part=part,
        host_id=claim.host_id,
        url_id=claim.url_id or id_of(claim.url),
        fetch_id=None if result.attempt is None else ownership.next_id(part),
        page_id=None if result.page is None else ownership.next_id(part),
    )


def tallies(batch: Sequence[Placed]) -> dict[int, Tally]:
    """What a batch adds to each of its partitions."""
    found: dict[int, Tally] = {}
    for one in batch:
        before = found.get(one.part, _NOTHING)
        pages, requests = before.pages + (one.page_id is not None), before.requests + requests_of(one.result)
        found[one.part] = Tally(pages, requests)
    return found


_NOTHING = Tally()
