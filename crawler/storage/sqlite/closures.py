"""What is to be fetched, but not now: hosts and origins that are left alone, and URLs that wait for their own retry."""

from __future__ import annotations

# ?1 is now, ?2 how many. With ?3 also what is to be fetched again, which is not pending: of hosts where that waits for
# longer; of origins it has been postponed, and has a time. With ?4 also the hosts of URLs that are to be tried again
# after that, each by the first: a visit that is not over, of a URL that has an answer or of one that has none yet. No
# host that has had ?6 pages in run ?5, and gets no more.
CLOSURES = """
SELECT name, 'host', back_off_until, coalesce(back_off_reason, 'the delay between two requests') FROM hosts
WHERE (next_due_at > ?1 AND back_off_until > ?1 AND pending > 0)
    OR (?3 IS NOT NULL AND back_off_until > ?3 AND back_off_reason IS NOT NULL AND fetched > 0)
UNION ALL SELECT origin, 'origin', paused_until, coalesce(pause_reason, 'a pause') FROM origins AS o
WHERE paused_until > 0 AND paused_until > ?1 AND EXISTS (
    SELECT 1 FROM urls WHERE host_id = o.host_id AND next_fetch_at IS NOT NULL AND kind <> 'robots'
        AND substr(url, 1, length(o.origin) + 1) = o.origin || '/'
)
UNION ALL SELECT h.name, 'host', u.next_fetch_at, coalesce(u.reason, 'a retry') FROM hosts AS h
JOIN urls AS u ON u.id = (
    SELECT id FROM urls WHERE host_id = h.id AND next_fetch_at > ?4 AND kind <> 'robots'
        AND (status = 'pending' OR (failing_since IS NOT NULL AND failing_reason IS NULL))
        AND NOT EXISTS (
            SELECT 1 FROM origins AS o WHERE o.host_id = h.id AND paused_until > ?1
                AND substr(url, 1, length(o.origin) + 1) = o.origin || '/'
        )
    ORDER BY next_fetch_at LIMIT 1
)
WHERE h.next_due_at IS NOT NULL AND (h.back_off_until <= ?1 OR h.pending = 0)
    AND NOT (h.run_id IS ?5 AND h.run_pages >= ?6)
ORDER BY 1 LIMIT ?2
"""
