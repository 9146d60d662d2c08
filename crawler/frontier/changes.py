"""What the results of a run have changed, while URLs that had failed are tried several times."""

from __future__ import annotations

from crawler.policy.change import change_of
from crawler.policy.failing import has_failed_before
from crawler.records import Change, Result, UrlStatus


class Changes:
    """Remembers which URLs had failed before the run: their status no longer says so once they are tried again."""

    def __init__(self) -> None:
        self._had_failed: set[int] = set()

    def of(self, result: Result) -> Change | None:
        """What this result has changed; to be asked once for each, in the order of commits."""
        url_id = result.claim.url_id
        had_failed = result.claim.has_failed or has_failed_before(result.claim) or url_id in self._had_failed
        if had_failed and result.verdict.status is UrlStatus.PENDING:
            self._had_failed.add(url_id)
        else:
            self._had_failed.discard(url_id)
        return change_of(result, had_failed=had_failed)
