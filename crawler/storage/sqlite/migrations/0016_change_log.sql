-- The log of changes: each once, in the order of commits. What is stored already is told as far as it can be: versions and
-- answers in the order of their attempts, then where URLs stand by now, as far as no attempt that is left has told it.

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

INSERT INTO change_log (id, url_id, run_id, at, change, page_id)
SELECT
    2 * f.id + 1, p.url_id, f.run_id, f.started_at, coalesce((
        SELECT iif(o.content_hash = p.content_hash AND o.truncated = p.truncated, 'metadata', 'changed')
        FROM pages AS o WHERE o.url_id = p.url_id AND o.id < p.id ORDER BY o.id DESC LIMIT 1
    ), 'new'), p.id
FROM pages AS p CROSS JOIN fetches AS f ON f.id = p.fetch_id
WHERE NOT EXISTS (
    SELECT 1 FROM pages AS o WHERE o.id = (SELECT max(id) FROM pages WHERE url_id = p.url_id AND id < p.id)
        AND o.body_hash IS NULL AND o.reader_version IS NOT p.reader_version
);

-- Only of pages that have ever been gone or moved: to sort all attempts would take more memory than a crawl.
INSERT INTO change_log (id, url_id, run_id, at, change, detail)
SELECT
    2 * id, url_id, run_id, started_at, iif(answer = 'page', 'back', answer),
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

INSERT INTO change_log (url_id, run_id, at, change, detail)
SELECT
    id, coalesce((SELECT max(id) FROM runs), 0), coalesce(failing_since, fetched_at, discovered_at),
    CASE WHEN status = 'excluded' THEN 'withdrawn' WHEN status = 'redirected' THEN 'moved'
        WHEN status = 'gone' AND page_id IS NOT NULL THEN 'gone' ELSE 'broken' END,
    iif(status = 'gone', 'http 404 or 410', reason)
FROM urls AS u
WHERE kind = 'page' AND (status IN ('failed', 'gone') OR status IN ('excluded', 'redirected') AND page_id IS NOT NULL)
    AND NOT (status IN ('gone', 'redirected') AND EXISTS (
        SELECT 1 FROM change_log WHERE url_id = u.id AND page_id IS NULL
    ))
ORDER BY id;
