-- The log of changes: each once, in the order of commits. What is stored already is told as far as it can be. Places in
-- that order come from attempts, three of each: where a URL stands since, its version, and that it is broken since. Before
-- them stands what failed without an attempt, together with its origin; behind them, where URLs stand though no attempt
-- that is left says since when.

CREATE TABLE change_log (
    id INTEGER PRIMARY KEY,
    url_id INTEGER NOT NULL REFERENCES urls (id),
    run_id INTEGER NOT NULL,
    at REAL NOT NULL,
    change TEXT NOT NULL,
    page_id INTEGER,
    detail TEXT
);
CREATE INDEX change_log_states ON change_log (url_id) WHERE page_id IS NULL;

CREATE TABLE change_log_pruned (
    upto INTEGER NOT NULL
);

CREATE TEMP TABLE shift AS
SELECT count(*) AS first FROM urls WHERE kind = 'page' AND status = 'failed';

INSERT INTO change_log (url_id, run_id, at, change, detail)
SELECT id, coalesce((SELECT min(id) FROM runs), 0), coalesce(failing_since, discovered_at), 'broken', reason
FROM urls
WHERE kind = 'page' AND status = 'failed' AND id NOT IN (
    SELECT url_id FROM fetches WHERE url_id IN (SELECT id FROM urls WHERE kind = 'page' AND status = 'failed')
) ORDER BY id;

INSERT INTO change_log (id, url_id, run_id, at, change, page_id)
SELECT
    s.first + 3 * f.id + 1, p.url_id, f.run_id, f.started_at, coalesce((
        SELECT iif(o.content_hash = p.content_hash AND o.truncated = p.truncated, 'metadata', 'changed')
        FROM pages AS o WHERE o.url_id = p.url_id AND o.id < p.id ORDER BY o.id DESC LIMIT 1
    ), 'new'), p.id
FROM pages AS p CROSS JOIN fetches AS f ON f.id = p.fetch_id CROSS JOIN shift AS s
WHERE NOT EXISTS (
    SELECT 1 FROM pages AS o WHERE o.id = (SELECT max(id) FROM pages WHERE url_id = p.url_id AND id < p.id)
        AND o.body_hash IS NULL AND o.reader_version IS NOT p.reader_version
);

-- Only of pages that have ever been gone or moved: to sort all attempts would take more memory than a crawl.
INSERT INTO change_log (id, url_id, run_id, at, change, detail)
SELECT
    (SELECT first FROM shift) + 3 * id, url_id, run_id, started_at, iif(answer = 'page', 'back', answer),
    CASE answer WHEN 'gone' THEN 'http ' || status_code WHEN 'moved' THEN redirect_url END
FROM (
    SELECT
        *, lag(answer) OVER earlier AS answer_before,
        max(answer = 'page') OVER (earlier ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS was_page
    FROM (
        SELECT
            id, url_id, run_id, started_at, status_code, redirect_url,
            CASE WHEN status_code IN (404, 410) THEN 'gone' WHEN redirect_url IS NOT NULL THEN 'moved'
                WHEN status_code BETWEEN 200 AND 299 OR status_code = 304 THEN 'page' END AS answer
        FROM fetches WHERE url_id IN (
            SELECT u.id FROM fetches AS f CROSS JOIN urls AS u ON u.id = f.url_id
            WHERE (f.status_code IN (404, 410) OR f.redirect_url IS NOT NULL) AND u.kind = 'page' AND u.page_id IS NOT NULL
        )
    ) WHERE answer IS NOT NULL
    WINDOW earlier AS (PARTITION BY url_id ORDER BY id)
) WHERE answer <> answer_before AND was_page;

-- What fails by now, or is gone and never was a page: since the first attempt that said so.
INSERT INTO change_log (id, url_id, run_id, at, change, detail)
SELECT
    (SELECT first FROM shift) + 3 * f.id + 2, u.id, f.run_id, f.started_at, 'broken',
    iif(u.status = 'gone', 'http ' || f.status_code, u.reason)
FROM (
    SELECT u.id AS url_id, CASE u.status
        WHEN 'gone' THEN min(f.id) FILTER (WHERE f.status_code IN (404, 410))
        ELSE coalesce(min(f.id) FILTER (WHERE f.started_at >= u.failing_since), max(f.id)) END AS fetch_id
    FROM fetches AS f CROSS JOIN urls AS u ON u.id = f.url_id
    WHERE u.kind = 'page' AND (u.status = 'failed' OR u.status = 'gone' AND u.page_id IS NULL) GROUP BY u.id
) AS b CROSS JOIN fetches AS f ON f.id = b.fetch_id CROSS JOIN urls AS u ON u.id = b.url_id;

INSERT INTO change_log (url_id, run_id, at, change, detail)
SELECT
    id, coalesce((SELECT max(id) FROM runs), 0), coalesce(fetched_at, discovered_at),
    CASE WHEN status = 'excluded' THEN 'withdrawn' WHEN status = 'redirected' THEN 'moved'
        WHEN page_id IS NOT NULL THEN 'gone' ELSE 'broken' END,
    iif(status = 'gone', 'http 404 or 410', reason)
FROM urls AS u
WHERE kind = 'page' AND (status = 'gone' OR status IN ('excluded', 'redirected') AND page_id IS NOT NULL)
    AND (status = 'excluded' OR NOT EXISTS (SELECT 1 FROM change_log WHERE url_id = u.id AND page_id IS NULL))
ORDER BY id;

DROP TABLE shift;
