-- The views of SQLite's views.sql on a crawl in PostgreSQL: the same names, columns and rows. What they answer, and what
-- their columns mean, is said there once, for both; here stands only what differs.
--
-- Joins lead with `part`, so that they go by primary keys. A view by which a URL is looked up ends with more columns than
-- there, the keys of its row: part, host_id and url_id, which only the URL's text tells (ids.py). Ids of URLs are hashes
-- and grow with nothing: where SQLite's views take the lowest one as the first that was found, these go by
-- `discovered_at`, and where any example will do, by the text.
--
-- Not here: checked_urls and broken_resources (`--check` needs a SQLite file), and what only this program's connections
-- to a file have (broken_fragments, near_duplicate_pages, best_linked).

CREATE VIEW page_versions AS
SELECT
    u.url, p.id AS page_id, (p.id IS NOT DISTINCT FROM u.page_id)::int AS newest, f.run_id, f.started_at AS seen_at,
    f.status_code, f.content_type, f.bytes, p.truncated, p.title, p.links_total, p.content_hash, u.id AS url_id,
    u.part, u.host_id
FROM pages AS p JOIN urls AS u ON (u.part, u.host_id, u.id) = (p.part, p.host_id, p.url_id)
    LEFT JOIN fetches AS f ON (f.part, f.id) = (p.part, p.fetch_id);

CREATE VIEW stored_pages AS
SELECT
    u.url, h.name AS host, u.status, f.status_code, p.title, p.description, p.language, p.canonical_url, u.depth,
    f.started_at AS seen_at, u.fetched_at, f.elapsed_s, f.content_type, f.bytes, p.truncated, p.noindex, p.nofollow,
    p.links_total, p.encoding, p.headings, p.open_graph, p.json_ld, p.text, p.body_hash, p.content_hash, u.seed,
    u.id AS url_id, p.id AS page_id, u.failing_since, u.failing_reason, p.author, p.published_at, p.modified_at,
    p.site_name, p.icon_url, p.next_url, p.prev_url, p.metas, p.encoding_source, f.run_id, u.part, u.host_id
FROM urls AS u JOIN pages AS p ON (p.part, p.id) = (u.part, u.page_id)
    LEFT JOIN fetches AS f ON (f.part, f.id) = (p.part, p.fetch_id)
    LEFT JOIN hosts AS h ON (h.part, h.id) = (u.part, u.host_id);

CREATE VIEW current_pages AS
SELECT * FROM stored_pages WHERE status IN ('fetched', 'failed', 'pending');

CREATE VIEW outlinks AS
SELECT
    s.url AS page_url, t.url AS target_url, l.anchor, l.rel, l.nofollow, t.status, t.reason, l.page_id, l.target_id,
    s.part, s.host_id, s.id AS url_id
FROM urls AS s JOIN links AS l ON (l.part, l.page_id) = (s.part, s.page_id)
    JOIN urls AS t ON t.part = (l.target_host_id & (SELECT parts - 1 FROM meta))::int
        AND (t.host_id, t.id) = (l.target_host_id, l.target_id)
WHERE s.status IN ('fetched', 'failed', 'pending');

CREATE VIEW inlinks AS
SELECT
    t.url AS target_url, s.url AS page_url, l.anchor, l.rel, l.nofollow, s.status AS page_status, l.target_id,
    s.id AS page_url_id, s.part, s.host_id
FROM urls AS s JOIN links AS l ON (l.part, l.page_id) = (s.part, s.page_id)
    JOIN urls AS t ON t.part = (l.target_host_id & (SELECT parts - 1 FROM meta))::int
        AND (t.host_id, t.id) = (l.target_host_id, l.target_id)
WHERE s.status IN ('fetched', 'failed', 'pending');

-- URLs are found by their texts here, which no index has: two passes over `urls`, and none for each chain.
CREATE VIEW redirect_chains AS
WITH RECURSIVE
    hop (part, host_id, url_id, url, target) AS MATERIALIZED (
        SELECT DISTINCT ON (f.part, f.url_id) u.part, u.host_id, u.id, u.url, f.redirect_url
        FROM fetches AS f JOIN urls AS u ON (u.part, u.host_id, u.id) = (f.part, f.host_id, f.url_id)
        WHERE f.redirect_url IS NOT NULL AND u.status = 'redirected' AND u.kind = 'page'
        ORDER BY f.part, f.url_id, f.id DESC
    ),
    chain (part, host_id, url_id, url, hops, target, path, loops) AS (
        SELECT part, host_id, url_id, url, 1, target, url || ' > ' || target, url = target FROM hop
        UNION ALL
        SELECT c.part, c.host_id, c.url_id, c.url, c.hops + 1, h.target, c.path || ' > ' || h.target,
            strpos(' ' || c.path || ' ', ' ' || h.target || ' ') > 0
        FROM chain AS c JOIN hop AS h ON h.url = c.target
        WHERE NOT c.loops AND c.hops < 20
    ),
    last (part, host_id, url_id, url, hops, target, path, loops) AS MATERIALIZED (
        SELECT DISTINCT ON (part, host_id, url_id) part, host_id, url_id, url, hops, target, path, loops
        FROM chain ORDER BY part, host_id, url_id, hops DESC
    )
SELECT
    c.url, c.hops, c.target AS end_url, CASE WHEN c.loops THEN 'loop' ELSE e.status END AS end_status,
    CASE WHEN NOT c.loops THEN e.reason END AS end_reason, c.path AS chain, c.url_id, c.part, c.host_id,
    e.part AS end_part, e.host_id AS end_host_id, e.id AS end_url_id
FROM last AS c LEFT JOIN urls AS e ON e.url = c.target;

CREATE VIEW resources AS
SELECT
    u.url AS page_url, e.one ->> 0 AS kind, e.one ->> 1 AS url, e.one ->> 2 AS alt, e.one ->> 3 AS width,
    e.one ->> 4 AS height, (e.n - 1)::int AS place, u.page_id, u.part, u.host_id
FROM urls AS u JOIN pages AS p ON (p.part, p.id) = (u.part, u.page_id)
    CROSS JOIN LATERAL json_array_elements(p.resources::json) WITH ORDINALITY AS e (one, n)
WHERE u.status IN ('fetched', 'failed', 'pending');

-- What is broken is found first, since it is little: the planner takes three columns that say the same for three
-- conditions, thinks that hardly any link is left, and would look for the chains of each link anew.
CREATE VIEW broken_links AS
WITH
    chain AS MATERIALIZED (SELECT * FROM redirect_chains WHERE end_status IN ('gone', 'failed', 'loop')),
    broken (host_id, id, url, status, cause) AS MATERIALIZED (
        SELECT
            t.host_id, t.id, t.url, t.status, coalesce(t.reason, 'http ' || (
                SELECT f.status_code FROM fetches AS f
                WHERE (f.part, f.url_id) = (t.part, t.id) AND f.status_code IN (404, 410) ORDER BY f.id DESC LIMIT 1
            ), 'http 404 or 410')
        FROM urls AS t WHERE t.status IN ('gone', 'failed')
        UNION ALL
        SELECT
            c.host_id, c.url_id, c.url, c.end_status,
            CASE WHEN c.end_status = 'loop' THEN 'redirect loop: ' || c.chain
                ELSE coalesce(c.end_reason, 'http ' || (
                    SELECT f.status_code FROM fetches AS f
                    WHERE (f.part, f.url_id) = (c.end_part, c.end_url_id) AND f.status_code IN (404, 410)
                    ORDER BY f.id DESC LIMIT 1
                ), 'http 404 or 410') || ', redirected to ' || c.end_url END
        FROM chain AS c
    )
SELECT s.url AS page_url, l.anchor, b.url AS target_url, b.status, b.cause, 'link' AS kind
FROM urls AS s JOIN links AS l ON (l.part, l.page_id) = (s.part, s.page_id)
    JOIN broken AS b ON (b.host_id, b.id) = (l.target_host_id, l.target_id)
WHERE s.status IN ('fetched', 'failed', 'pending');

CREATE VIEW all_urls AS
SELECT
    u.url, h.name AS host, u.kind, u.status, u.reason, u.depth, u.seed, u.found_by, s.url AS found_on_url,
    u.discovered_at, u.fetched_at, u.next_fetch_at, u.revisit_at, u.attempts, u.failing_since, u.failing_reason,
    (u.page_id IS NOT NULL)::int AS has_page, u.unread_type, u.id AS url_id, u.part, u.host_id
FROM urls AS u LEFT JOIN hosts AS h ON (h.part, h.id) = (u.part, u.host_id)
    LEFT JOIN urls AS s ON s.part = (u.found_on_host & (SELECT parts - 1 FROM meta))::int
        AND (s.host_id, s.id) = (u.found_on_host, u.found_on);

CREATE VIEW pending_urls AS
SELECT
    u.url, h.name AS host, u.next_fetch_at, coalesce(u.reason, u.failing_reason) AS reason, u.attempts, u.depth,
    u.discovered_at, u.id AS url_id
FROM urls AS u LEFT JOIN hosts AS h ON (h.part, h.id) = (u.part, u.host_id)
WHERE u.status = 'pending' AND u.next_fetch_at IS NOT NULL;

CREATE VIEW failed_urls AS
SELECT
    u.url, h.name AS host, u.reason, u.attempts, u.fetched_at, u.next_fetch_at, u.depth,
    (u.page_id IS NOT NULL)::int AS has_page, u.id AS url_id, u.failing_since,
    coalesce(u.revisit_at, u.next_fetch_at) AS revisit_at
FROM urls AS u LEFT JOIN hosts AS h ON (h.part, h.id) = (u.part, u.host_id)
WHERE u.status = 'failed' AND u.kind <> 'robots';

CREATE VIEW failing_urls AS
SELECT
    u.url, h.name AS host, u.status, u.failing_since, u.failing_reason, u.attempts, u.fetched_at, u.next_fetch_at,
    u.depth, (u.page_id IS NOT NULL)::int AS has_page, u.id AS url_id
FROM urls AS u LEFT JOIN hosts AS h ON (h.part, h.id) = (u.part, u.host_id)
WHERE u.failing_reason IS NOT NULL AND u.status IN ('fetched', 'redirected', 'gone');

CREATE VIEW gone_urls AS
SELECT
    u.url, h.name AS host, u.fetched_at, u.depth, (u.page_id IS NOT NULL)::int AS had_page, u.id AS url_id, (
        SELECT f.status_code FROM fetches AS f
        WHERE (f.part, f.url_id) = (u.part, u.id) AND f.status_code IN (404, 410) ORDER BY f.id DESC LIMIT 1
    ) AS status_code
FROM urls AS u LEFT JOIN hosts AS h ON (h.part, h.id) = (u.part, u.host_id)
WHERE u.status = 'gone' AND u.kind <> 'robots';

CREATE VIEW excluded_urls AS
SELECT
    u.url, h.name AS host, split_part(u.cause, ':', 1) AS rule, u.reason, u.depth, u.discovered_at, u.id AS url_id
FROM urls AS u LEFT JOIN hosts AS h ON (h.part, h.id) = (u.part, u.host_id) WHERE u.status = 'excluded';

CREATE VIEW exclusions AS
SELECT split_part(cause, ':', 1) AS rule, reason, count(*) AS urls, min(url COLLATE "C") AS example_url
FROM urls WHERE status = 'excluded' GROUP BY 1, 2;

CREATE VIEW robots_blocked AS
SELECT
    u.url, h.name AS host, substring(u.detail FROM '^line ([0-9]+)')::int AS line,
    substr(u.detail, 2 + strpos(u.detail, ':')) AS rule, u.depth, u.id AS url_id
FROM urls AS u LEFT JOIN hosts AS h ON (h.part, h.id) = (u.part, u.host_id)
WHERE u.status = 'excluded' AND u.cause = 'robots';

CREATE VIEW traps AS
SELECT h.name AS host, substr(g.reason, 7) AS rule, g.urls, g.example_url
FROM (
    SELECT part, host_id, reason, count(*) AS urls, min(url COLLATE "C") AS example_url FROM urls
    WHERE status = 'excluded' AND starts_with(cause, 'trap: ') AND cause <> 'trap: hosts of the domain'
    GROUP BY part, host_id, cause, reason
) AS g JOIN hosts AS h ON (h.part, h.id) = (g.part, g.host_id)
UNION ALL
SELECT detail, 'hosts of the domain', count(*), min(url COLLATE "C") FROM urls
WHERE status = 'excluded' AND cause = 'trap: hosts of the domain' GROUP BY detail;

CREATE VIEW duplicate_pages AS
SELECT g.url, g.first_url, g.copies, p.canonical_url, p.title, p.content_hash
FROM (
    SELECT
        u.url, u.part, u.page_id, count(*) OVER (PARTITION BY p.content_hash) AS copies,
        first_value(u.url) OVER (PARTITION BY p.content_hash ORDER BY u.discovered_at, u.url COLLATE "C") AS first_url
    FROM urls AS u JOIN pages AS p ON (p.part, p.id) = (u.part, u.page_id)
    WHERE u.status IN ('fetched', 'failed', 'pending')
) AS g JOIN pages AS p ON (p.part, p.id) = (g.part, g.page_id)
WHERE g.copies > 1;

CREATE VIEW orphan_pages AS
WITH
    linked (host_id, id) AS MATERIALIZED (
        SELECT DISTINCT l.target_host_id, l.target_id
        FROM urls AS s JOIN links AS l ON (l.part, l.page_id) = (s.part, s.page_id)
        WHERE s.status IN ('fetched', 'failed', 'pending') AND (l.target_host_id, l.target_id) <> (s.host_id, s.id)
    ),
    reached (host_id, id) AS MATERIALIZED (
        SELECT c.end_host_id, c.end_url_id
        FROM redirect_chains AS c JOIN urls AS s ON (s.part, s.host_id, s.id) = (c.part, c.host_id, c.url_id)
        WHERE c.end_url_id IS NOT NULL AND (
            s.seed > 0 OR EXISTS (SELECT 1 FROM linked AS k WHERE (k.host_id, k.id) = (s.host_id, s.id))
        )
    )
SELECT u.url, h.name AS host, u.depth, p.title, u.fetched_at, u.id AS url_id
FROM urls AS u JOIN pages AS p ON (p.part, p.id) = (u.part, u.page_id)
    LEFT JOIN hosts AS h ON (h.part, h.id) = (u.part, u.host_id)
WHERE u.status IN ('fetched', 'failed', 'pending') AND u.seed = 0
    AND NOT EXISTS (SELECT 1 FROM linked AS k WHERE (k.host_id, k.id) = (u.host_id, u.id))
    AND NOT EXISTS (SELECT 1 FROM reached AS k WHERE (k.host_id, k.id) = (u.host_id, u.id));

CREATE VIEW missing_titles AS
SELECT url, host, depth, url_id FROM current_pages
WHERE (title IS NULL OR trim(title) = '') AND coalesce(content_type, '') NOT ILIKE 'text/plain%';

CREATE VIEW duplicate_titles AS
SELECT url, host, title, copies, url_id FROM (
    SELECT url, host, title, count(*) OVER (PARTITION BY host, title) AS copies, url_id FROM current_pages
    WHERE trim(title) <> '' AND noindex = 0 AND coalesce(canonical_url, url) = url
) AS counted WHERE copies > 1;

CREATE VIEW missing_descriptions AS
SELECT url, host, title, depth, url_id FROM current_pages
WHERE (description IS NULL OR trim(description) = '') AND noindex = 0 AND coalesce(canonical_url, url) = url
    AND coalesce(content_type, '') NOT ILIKE 'text/plain%' AND coalesce(content_type, '') NOT ILIKE 'application/pdf%';

CREATE VIEW duplicate_descriptions AS
SELECT url, host, description, copies, url_id FROM (
    SELECT url, host, description, count(*) OVER (PARTITION BY host, description) AS copies, url_id FROM current_pages
    WHERE trim(description) <> '' AND noindex = 0 AND coalesce(canonical_url, url) = url
) AS counted WHERE copies > 1;

CREATE VIEW long_titles AS
SELECT url, host, title, length(title) AS length, url_id FROM current_pages WHERE length(title) > 60 AND noindex = 0;

CREATE VIEW long_descriptions AS
SELECT url, host, description, length(description) AS length, url_id FROM current_pages
WHERE length(description) > 160 AND noindex = 0;

CREATE FUNCTION is_json(given text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    PERFORM given::json;
    RETURN true;
EXCEPTION WHEN invalid_text_representation THEN
    RETURN false;
END $$;

CREATE VIEW invalid_json_ld AS
SELECT u.url, (e.n - 1)::int AS place, e.script, u.id AS url_id
FROM pages AS p JOIN urls AS u ON (u.part, u.host_id, u.id) = (p.part, p.host_id, p.url_id) AND u.page_id = p.id
    CROSS JOIN LATERAL json_array_elements_text(p.json_ld::json) WITH ORDINALITY AS e (script, n)
WHERE p.json_ld <> '[]' AND u.status IN ('fetched', 'failed', 'pending') AND NOT is_json(e.script);

CREATE VIEW mixed_content AS
SELECT DISTINCT u.url AS page_url, e.one ->> 0 AS kind, e.one ->> 1 AS url, u.id AS url_id
FROM pages AS p JOIN urls AS u ON (u.part, u.host_id, u.id) = (p.part, p.host_id, p.url_id) AND u.page_id = p.id
    CROSS JOIN LATERAL json_array_elements(p.resources::json) AS e (one)
WHERE strpos(p.resources, '"http:') > 0 AND u.status IN ('fetched', 'failed', 'pending')
    AND starts_with(u.url, 'https:') AND starts_with(e.one ->> 1, 'http:');

CREATE VIEW missing_security_headers AS
WITH
    wanted (header) AS (
        VALUES ('content-security-policy'), ('referrer-policy'), ('strict-transport-security'),
            ('x-content-type-options'), ('x-frame-options')
    ),
    lacking (part, head_id, header, unless_framed) AS MATERIALIZED (
        SELECT h.part, h.id, w.header, w.header = 'x-frame-options' AND h.fields ILIKE '%["content-security-policy",%'
        FROM heads AS h CROSS JOIN wanted AS w
        WHERE h.fields NOT ILIKE '%["' || w.header || '",%' AND NOT (
            w.header = 'x-frame-options' AND h.fields ILIKE '%["content-security-policy","%frame-ancestors%'
        )
    ),
    head (part, host_id, head_id, is_https, is_framed, pages, example_url) AS MATERIALIZED (
        SELECT u.part, u.host_id, f.head_id, starts_with(u.url, 'https:'), f.head_values ILIKE '%frame-ancestors%',
            count(*), min(u.url COLLATE "C")
        FROM urls AS u JOIN pages AS p ON (p.part, p.id) = (u.part, u.page_id)
            JOIN fetches AS f ON (f.part, f.id) = (p.part, p.fetch_id)
        WHERE u.status IN ('fetched', 'failed', 'pending') AND f.head_id IS NOT NULL AND f.content_type ILIKE '%html%'
        GROUP BY 1, 2, 3, 4, 5
    )
SELECT n.name AS host, l.header, sum(h.pages)::bigint AS pages, min(h.example_url COLLATE "C") AS example_url
FROM head AS h JOIN lacking AS l ON (l.part, l.head_id) = (h.part, h.head_id)
    JOIN hosts AS n ON (n.part, n.id) = (h.part, h.host_id)
WHERE (h.is_https OR l.header <> 'strict-transport-security') AND NOT (l.unless_framed AND coalesce(h.is_framed, false))
GROUP BY n.part, n.id, n.name, l.header;

CREATE VIEW sitemap_problems AS
SELECT url, sitemap_url, problem, reason, url_id FROM (
    SELECT
        u.url, s.url AS sitemap_url, u.id AS url_id,
        CASE WHEN u.status IN ('gone', 'failed', 'redirected', 'excluded') THEN u.status
            WHEN p.noindex = 1 THEN 'noindex' WHEN p.canonical_url <> u.url THEN 'canonical' END AS problem,
        CASE WHEN u.status IN ('failed', 'excluded') THEN u.reason
            WHEN u.status IN ('fetched', 'pending') AND p.noindex = 0 AND p.canonical_url <> u.url
            THEN p.canonical_url END AS reason
    FROM sitemap_entries AS e
        JOIN urls AS s ON s.part = e.part AND s.id = e.sitemap_id AND s.kind = 'sitemap'
        JOIN urls AS u ON u.part = (e.url_host_id & (SELECT parts - 1 FROM meta))::int
            AND (u.host_id, u.id) = (e.url_host_id, e.url_id)
        LEFT JOIN pages AS p ON (p.part, p.id) = (u.part, u.page_id)
    WHERE u.kind = 'page'
) AS problems WHERE problem IS NOT NULL;

CREATE VIEW slow_pages AS
SELECT url, host, elapsed_s, bytes, seen_at, url_id FROM current_pages WHERE elapsed_s >= 1;

CREATE VIEW large_pages AS
SELECT url, host, bytes, truncated, url_id FROM current_pages WHERE bytes >= 1048576 OR truncated = 1;

CREATE VIEW noindex AS
SELECT url, host, nofollow, title, canonical_url, url_id FROM current_pages WHERE noindex = 1;

CREATE VIEW canonical_problems AS
SELECT url, canonical_url, problem, reason, url_id FROM (
    SELECT
        s.url, p.canonical_url, s.id AS url_id,
        CASE WHEN t.id IS NULL THEN 'unknown'
            WHEN t.status IN ('gone', 'failed', 'redirected', 'excluded') THEN t.status
            WHEN q.noindex = 1 THEN 'noindex'
            WHEN q.canonical_url <> t.url THEN 'elsewhere' END AS problem,
        CASE WHEN t.status IN ('failed', 'excluded') THEN t.reason
            WHEN t.status IN ('fetched', 'pending') AND q.canonical_url <> t.url AND q.noindex = 0
            THEN q.canonical_url END AS reason
    FROM urls AS s JOIN pages AS p ON (p.part, p.id) = (s.part, s.page_id)
        LEFT JOIN urls AS t ON t.url = p.canonical_url
        LEFT JOIN pages AS q ON (q.part, q.id) = (t.part, t.page_id)
    WHERE s.status IN ('fetched', 'failed', 'pending') AND p.canonical_url <> s.url
) AS problems WHERE problem IS NOT NULL;

-- All that pages name is taken before it is compared, so that URLs are read once, and not for each page.
CREATE VIEW hreflang_problems AS
WITH named (url, url_id, alternate_url, kind, language) AS MATERIALIZED (
    SELECT s.url, s.id, a.one ->> 0, a.one ->> 1, a.one ->> 2
    FROM pages AS p JOIN urls AS s ON (s.part, s.host_id, s.id) = (p.part, p.host_id, p.url_id) AND s.page_id = p.id
        CROSS JOIN LATERAL json_array_elements(p.alternates::json) AS a (one)
    WHERE strpos(p.alternates, '"hreflang"') > 0 AND s.status IN ('fetched', 'failed', 'pending')
)
SELECT
    url, language, alternate_url, problem, CASE WHEN problem IN ('failed', 'excluded') THEN reason END AS reason, url_id
FROM (
    SELECT
        n.url, n.language, n.alternate_url, t.reason, n.url_id,
        CASE WHEN t.id IS NULL THEN 'unknown'
            WHEN t.status IN ('gone', 'failed', 'redirected', 'excluded') THEN t.status
            WHEN q.noindex = 1 THEN 'noindex'
            WHEN q.alternates IS NOT NULL AND NOT EXISTS (
                SELECT 1 FROM json_array_elements(q.alternates::json) AS b (one)
                WHERE b.one ->> 1 = 'hreflang' AND b.one ->> 0 = n.url
            ) THEN 'one-sided' END AS problem
    FROM named AS n LEFT JOIN urls AS t ON t.url = n.alternate_url
        LEFT JOIN pages AS q ON (q.part, q.id) = (t.part, t.page_id)
    WHERE n.kind = 'hreflang' AND n.alternate_url <> n.url
) AS problems WHERE problem IS NOT NULL;

CREATE VIEW extraction_problems AS
SELECT
    e.rule, u.url, CASE WHEN e.lost = 1 THEN 'lost' WHEN e.lacking <> '[]' THEN 'incomplete'
        WHEN e.cut = 1 THEN 'cut' ELSE 'nothing' END AS problem,
    e.found, e.lacking, e.run_id, e.page_id
FROM extract_misses AS e JOIN pages AS p ON (p.part, p.id) = (e.part, e.page_id)
    JOIN urls AS u ON (u.part, u.host_id, u.id) = (p.part, p.host_id, p.url_id) AND u.page_id = p.id
WHERE u.status IN ('fetched', 'failed', 'pending');

-- `change_id` grows within a partition alone.
CREATE VIEW change_feed AS
SELECT
    log.id AS change_id, u.url, log.change, log.run_id, log.at,
    (SELECT p.id FROM pages AS p WHERE (p.part, p.id) = (log.part, log.page_id)) AS page_id, log.detail, log.url_id,
    log.part, log.host_id
FROM change_log AS log JOIN urls AS u ON (u.part, u.host_id, u.id) = (log.part, log.host_id, log.url_id);

CREATE VIEW changes AS
SELECT url, change, run_id, at, page_id, url_id, detail, change_id, part, host_id FROM change_feed
WHERE change NOT IN ('broken', 'healed');

CREATE VIEW attempts AS
SELECT
    u.url, u.kind, f.run_id, f.started_at, f.elapsed_s, f.status_code, f.failure, f.message, f.content_type, f.bytes,
    f.redirect_url, f.address, f.url_id, f.id AS fetch_id, f.first_byte_s, f.truncated, f.part, f.host_id
FROM fetches AS f JOIN urls AS u ON (u.part, u.host_id, u.id) = (f.part, f.host_id, f.url_id);

CREATE VIEW response_headers AS
SELECT
    u.url, e.one ->> 0 AS name,
    CASE WHEN json_typeof(e.one -> 1) = 'number' THEN f.head_values::json ->> (e.one ->> 1)::int
        ELSE e.one ->> 1 END AS value,
    (e.n - 1)::int AS place, f.started_at, f.url_id, f.id AS fetch_id, f.part, f.host_id
FROM fetches AS f JOIN heads AS h ON (h.part, h.id) = (f.part, f.head_id)
    JOIN urls AS u ON (u.part, u.host_id, u.id) = (f.part, f.host_id, f.url_id)
    CROSS JOIN LATERAL json_array_elements(h.fields::json) WITH ORDINALITY AS e (one, n);

CREATE VIEW link_details AS
SELECT
    u.url AS page_url, t.url AS target_url, e.one ->> 2 AS anchor, e.one ->> 3 AS fragment,
    (e.one ->> 1)::int AS position, u.page_id, t.id AS target_id, u.part, u.host_id
FROM urls AS u JOIN pages AS p ON (p.part, p.id) = (u.part, u.page_id)
    CROSS JOIN LATERAL json_array_elements(p.link_details::json) AS e (one)
    JOIN links AS l ON (l.part, l.page_id, l.target_id) = (p.part, p.id, (e.one ->> 0)::bigint)
    JOIN urls AS t ON t.part = (l.target_host_id & (SELECT parts - 1 FROM meta))::int
        AND (t.host_id, t.id) = (l.target_host_id, l.target_id)
WHERE u.status IN ('fetched', 'failed', 'pending');

CREATE VIEW alternates AS
SELECT
    u.url AS page_url, e.one ->> 1 AS kind, e.one ->> 0 AS url, e.one ->> 2 AS language, e.one ->> 3 AS media_type,
    e.one ->> 4 AS title, (e.n - 1)::int AS place, u.page_id, u.part, u.host_id
FROM urls AS u JOIN pages AS p ON (p.part, p.id) = (u.part, u.page_id)
    CROSS JOIN LATERAL json_array_elements(p.alternates::json) WITH ORDINALITY AS e (one, n)
WHERE u.status IN ('fetched', 'failed', 'pending');

CREATE VIEW sitemap_urls AS
SELECT
    s.url AS sitemap_url, s.kind AS sitemap_kind, u.url, e.lastmod, e.data::json ->> 'priority' AS priority,
    e.data::json ->> 'changefreq' AS changefreq, e.data::json ->> 'title' AS title,
    e.data::json ->> 'alternates' AS alternates, e.data::json ->> 'images' AS images, u.status, u.reason, u.kind,
    e.sitemap_id, e.url_id, u.part, u.host_id
FROM sitemap_entries AS e JOIN urls AS s ON s.part = e.part AND s.id = e.sitemap_id
    JOIN urls AS u ON u.part = (e.url_host_id & (SELECT parts - 1 FROM meta))::int
        AND (u.host_id, u.id) = (e.url_host_id, e.url_id);

-- With what its owner has not counted yet.
CREATE VIEW host_overview AS
SELECT
    name AS host, pending + fetched + redirected + excluded + gone + failed AS urls, pending, fetched, redirected,
    excluded, gone, failed, next_due_at, back_off_until, failures, pace_s, domain, unstored_links
FROM (
    SELECT
        h.name, (h.pending + coalesce(a.pending, 0))::int AS pending,
        (h.fetched + coalesce(a.fetched, 0))::int AS fetched, h.redirected,
        (h.excluded + coalesce(a.excluded, 0))::int AS excluded, h.gone,
        (h.failed + coalesce(a.failed, 0))::int AS failed, h.next_due_at, h.back_off_until, h.failures, h.pace_s,
        h.domain, (h.unstored_links + coalesce(a.unstored_links, 0))::bigint AS unstored_links
    FROM hosts AS h LEFT JOIN (
        SELECT
            part, host_id, sum(pending) AS pending, sum(fetched) AS fetched, sum(excluded) AS excluded,
            sum(failed) AS failed, sum(unstored_links) AS unstored_links
        FROM arrivals GROUP BY part, host_id
    ) AS a ON (a.part, a.host_id) = (h.part, h.id)
) AS counted;

-- Of a run that has not ended, the pages and requests stand with the partitions.
CREATE VIEW run_overview AS
SELECT
    r.id AS run_id, r.started_at, r.ended_at, r.ended_at - r.started_at AS elapsed_s, r.end_reason,
    greatest(r.pages, c.pages) AS pages, greatest(r.requests, c.requests) AS requests, r.summary
FROM runs AS r LEFT JOIN (
    SELECT run_id, sum(run_pages)::bigint AS pages, sum(run_requests)::bigint AS requests FROM parts GROUP BY run_id
) AS c ON c.run_id = r.id AND r.ended_at IS NULL;
