"""Links to URLs for which there was no room: counted with their hosts, and remembered by the documents that name them.

See `--max-urls-per-host`; what there is room for, the limit decides when the news are stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from crawler.records import ANSWERED, Result, Target
from crawler.storage.postgres.batch import Placed
from crawler.storage.postgres.columns import arrays, insertion, rows_of
from crawler.storage.postgres.hosts import HostChanges
from crawler.storage.postgres.ids import HostKeys
from crawler.storage.postgres.ownership import Ownership
from crawler.storage.postgres.transactions import Execute

_TELL = insertion("arrivals", ("part", "host_id", "pending", "excluded", "unstored_links"))

_OF_CUT = ("part", "host_id", "id", "links_cut_at")
_SET_CUT = f"""
UPDATE urls AS u SET links_cut_at = v.links_cut_at FROM {rows_of(_OF_CUT)}
WHERE u.part = v.part AND u.host_id = v.host_id AND u.id = v.id
"""  # noqa: S608 - our own names


async def count_unstored(
    batch: Sequence[Placed],
    unstored: set[str],
    hosts: HostKeys,
    ownership: Ownership,
    changes: HostChanges,
    execute: Execute,
) -> None:
    """With their hosts: at once where these are own, through `arrivals` where they are another's."""
    counts = Counter(hosts[target.host] for target in named(batch, unstored))
    others = sorted(key for key in counts if not ownership.owns(key[0]))
    if others:
        await execute(_TELL, *arrays((*key, 0, 0, counts.pop(key)) for key in others))
    for key, number in counts.items():
        changes.of(*key).unstored_links += number


async def mark_cut(batch: Sequence[Placed], unstored: set[str], limit: int, execute: Execute) -> None:
    """The documents that name what is not stored, and those that no longer do."""
    cuts: dict[tuple[int, int, int], int | None] = {}
    for one in batch:
        if unstored and any(target.url in unstored for target in _named(one.result)):
            cuts[one.key] = limit
        elif _was_read_whole(one.result):
            cuts[one.key] = None
    if cuts:
        await execute(_SET_CUT, *arrays((*key, cut) for key, cut in cuts.items()))


def named(batch: Sequence[Placed], unstored: set[str]) -> Iterable[Target]:
    """What the documents name of that, as often as they do."""
    return (target for one in batch for target in _named(one.result) if target.url in unstored) if unstored else ()


def _named(result: Result) -> Iterable[Target]:
    return (*result.link_targets, *result.targets, *(one.target for one in result.listed))


def _was_read_whole(result: Result) -> bool:
    """Whether all that a document names was stored just now, and was not before. Of a long sitemap, so it is from its
    first part on, until another part says otherwise.
    """
    previous = result.claim.previous
    if previous is None or previous.links_cut_at is None:
        return False
    if result.forgets_listed or result.listed:
        return result.forgets_listed
    if result.verdict.status not in ANSWERED:
        return False
    return result.page is not None or previous.lacks_links
