-- What fails for once keeps the status of its last answer; what failed at its first visit is looked at again.

ALTER TABLE urls ADD COLUMN failing_since REAL;     -- the first failed attempt since the last answer; NULL: none has failed
ALTER TABLE urls ADD COLUMN failing_reason TEXT;    -- why its last visit failed; NULL: none has, though one may be under way

DROP INDEX urls_answered;
CREATE INDEX urls_answered ON urls (host_id, fetched_at)
    WHERE status IN ('fetched', 'redirected', 'gone') AND kind <> 'robots' AND next_fetch_at IS NULL;

-- What has failed is failing since its first attempt after its last answer; without attempts, since it was found.
UPDATE urls SET failing_since = discovered_at, failing_reason = reason WHERE status = 'failed' AND kind <> 'robots';
UPDATE urls SET failing_since = f.since FROM (
    SELECT url_id, min(started_at) AS since FROM fetches CROSS JOIN urls AS u ON u.id = url_id
    WHERE u.status = 'failed' AND started_at > coalesce(u.fetched_at, 0) GROUP BY url_id
) AS f WHERE urls.id = f.url_id AND urls.kind <> 'robots';
UPDATE urls SET revisit_at = failing_since + 86400
WHERE status = 'failed' AND kind <> 'robots' AND fetched_at IS NULL
    AND cause NOT IN ('bad_response', 'too_large')
    AND NOT (cause = 'http' AND detail GLOB '4??' AND detail NOT IN ('408', '425', '429'));

CREATE INDEX urls_retried ON urls (host_id, revisit_at) WHERE status = 'failed' AND revisit_at IS NOT NULL;
CREATE INDEX urls_failing ON urls (failing_since)
    WHERE failing_reason IS NOT NULL AND status IN ('fetched', 'redirected', 'gone');
