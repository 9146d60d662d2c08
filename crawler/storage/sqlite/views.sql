-- The questions that a crawl database answers: views in plain SQLite, for this program's commands and for everybody
-- else's SQL. Their names and columns stay; new columns come last.
--
-- This file holds all views, as they are now. Whoever opens a database to write replaces its views by these
-- (database.py), so no migration repeats one; a migration that retires a view drops it by name. The comment within a
-- statement is stored in the database (`.schema broken_links`) and makes crawler/manual/views.md: first sentences, then
-- one line per column, with its unit. Rows come in no particular order.
--
-- CROSS JOIN keeps SQLite from choosing another order of the tables: without it a pass over all links makes an index
-- of all URLs first, since nothing (no ANALYZE) tells it how many there are.
--
-- A page is *current* unless its URL is gone, redirected or excluded. A page that failed, or is due again, is still
-- current, since an outage removes nothing. A URL that fails once keeps its status (see failing_urls). A page's links
-- are those of its newest version.

CREATE VIEW page_versions AS
-- Every stored version of every page, with the attempt that fetched it.
--   url             the page
--   page_id         the version; a newer one of the same page has a higher id
--   newest          1 for the newest version of its page, 0 for older ones
--   run_id          the run that fetched it
--   seen_at         when it was first seen (Unix seconds)
--   status_code     HTTP status of the answer
--   content_type    as the server sent it
--   bytes           size of the body, decoded
--   truncated       1 if the body was cut at --max-bytes
--   title           its title; NULL if there is none
--   links_total     number of links on the page; at most 10,000 are kept
--   content_hash    covers text and links: equal for versions that say the same
--   url_id          the page's row in urls
SELECT
    u.url, p.id AS page_id, p.id IS u.page_id AS newest, f.run_id, f.started_at AS seen_at, f.status_code,
    f.content_type, f.bytes, p.truncated, p.title, p.links_total, p.content_hash, u.id AS url_id
FROM pages AS p JOIN urls AS u ON u.id = p.url_id LEFT JOIN fetches AS f ON f.id = p.fetch_id;

CREATE VIEW stored_pages AS
-- The newest version of every page, even if its URL is gone, redirected or excluded by now.
--   url             the page
--   host            its host
--   status          of the URL: fetched, failed, pending, gone, redirected or excluded
--   status_code     HTTP status of the response with this version
--   title           its title; NULL if there is none
--   description     its meta description; NULL if there is none
--   language        as the page declares it; NULL if it does not
--   canonical_url   as the page declares it; NULL if it does not
--   depth           links from the nearest seed
--   seen_at         when this version was first seen (Unix seconds)
--   fetched_at      the latest response of the URL (Unix seconds)
--   elapsed_s       from the request to the end of the body (seconds)
--   content_type    as the server sent it
--   bytes           size of the body, decoded
--   truncated       1 if the body was cut at --max-bytes
--   noindex         1 if it asks search engines not to list it
--   nofollow        1 if it asks robots not to follow its links
--   links_total     number of links on the page; at most 10,000 are kept
--   encoding        of the body
--   headings        JSON: [[level, text], ...]
--   open_graph      JSON object of its Open Graph and Twitter properties; a value that is repeated is a list
--   json_ld         JSON array of its JSON-LD scripts, unparsed
--   text            its visible text: a line for each block or table row, cells parted by tabs
--   body_hash       key of its body in bodies; NULL if none is stored
--   content_hash    covers text and links: equal for pages that say the same
--   seed            0 unless the URL is a seed or a seed redirects to it
--   url_id          the page's row in urls
--   page_id         the version's row in pages
--   failing_since   its first failed attempt since the last response (Unix seconds); NULL if it does not fail
--   failing_reason  why its latest visit failed, such as http 503 or timeout; NULL if it did not
--   author          as the page declares it; NULL if it does not
--   published_at    when it was published, as it declares (Unix seconds)
--   modified_at     when it was modified, as it declares (Unix seconds)
--   site_name       as it declares it
--   icon_url        of its site's icon
--   next_url        the next page of its series, as it declares it
--   prev_url        the one before
--   metas           JSON object of its named meta elements; a value that is repeated is a list
--   encoding_source  what named the encoding: bom, header, meta, xml, utf-8, guess or default
--   run_id          the run that stored this version
SELECT
    u.url, h.name AS host, u.status, f.status_code, p.title, p.description, p.language, p.canonical_url, u.depth,
    f.started_at AS seen_at, u.fetched_at, f.elapsed_s, f.content_type, f.bytes, p.truncated, p.noindex, p.nofollow,
    p.links_total, p.encoding, p.headings, p.open_graph, p.json_ld, p.text, p.body_hash, p.content_hash, u.seed,
    u.id AS url_id, p.id AS page_id, u.failing_since, u.failing_reason, p.author, p.published_at, p.modified_at,
    p.site_name, p.icon_url, p.next_url, p.prev_url, p.metas, p.encoding_source, f.run_id
FROM urls AS u JOIN pages AS p ON p.id = u.page_id
    LEFT JOIN fetches AS f ON f.id = p.fetch_id LEFT JOIN hosts AS h ON h.id = u.host_id;

CREATE VIEW current_pages AS
-- The newest version of every current page: the site as last seen.
--   *               those of stored_pages
SELECT * FROM stored_pages WHERE status IN ('fetched', 'failed', 'pending');

CREATE VIEW outlinks AS
-- The links of current pages. Filtering by page_url is quick.
--   page_url        the page with the link
--   target_url      the URL it leads to
--   anchor          the link's text; else its aria-label, title or image's alt
--   rel             its rel tokens, lower case, one space between
--   nofollow        1 if rel says nofollow
--   status          of the target: fetched, pending, redirected, excluded, gone or failed
--   reason          why the target was excluded or failed; NULL otherwise
--   page_id         the page's newest version
--   target_id       the target's row in urls
SELECT
    s.url AS page_url, t.url AS target_url, l.anchor, l.rel, l.nofollow, t.status, t.reason, l.page_id, l.target_id
FROM urls AS s CROSS JOIN links AS l ON l.page_id = s.page_id CROSS JOIN urls AS t ON t.id = l.target_id
WHERE s.status IN ('fetched', 'failed', 'pending');

CREATE VIEW inlinks AS
-- The links of current pages, by where they lead. By target_url it costs one look-up per stored page; the library's
-- `Archive.links_to` uses an index instead.
--   target_url      the URL that the link leads to
--   page_url        the page with the link
--   anchor          the link's text; else its aria-label, title or image's alt
--   rel             its rel tokens, lower case, one space between
--   nofollow        1 if rel says nofollow
--   page_status     of the page: fetched, failed or pending
--   target_id       the target's row in urls
--   page_url_id     the page's row in urls
SELECT
    t.url AS target_url, s.url AS page_url, l.anchor, l.rel, l.nofollow, s.status AS page_status, l.target_id,
    s.id AS page_url_id
FROM urls AS s CROSS JOIN links AS l ON l.page_id = s.page_id JOIN urls AS t ON t.id = l.target_id
WHERE s.status IN ('fetched', 'failed', 'pending');

CREATE VIEW redirect_chains AS
-- Every page URL that redirects, and where it ends up. Reads all attempts. A URL is missing here once `crawler prune`
-- has removed the attempt that was redirected.
--   url             where the chain begins
--   hops            redirects up to its end
--   end_url         where it ends
--   end_status      status of that URL; 'loop' if the chain returns to itself; NULL if the URL is unknown
--   end_reason      why that URL was excluded or failed; NULL otherwise
--   chain           all its URLs, with ' > ' between them
--   url_id          the row of url in urls
WITH RECURSIVE
    hop (url_id, url, target) AS MATERIALIZED (  -- as it was last answered: max() takes the other columns from its row
        SELECT url_id, url, target FROM (
            SELECT u.id AS url_id, u.url, f.redirect_url AS target, max(f.id)
            FROM fetches AS f CROSS JOIN urls AS u ON u.id = f.url_id
            WHERE f.redirect_url IS NOT NULL AND u.status = 'redirected' AND u.kind = 'page' GROUP BY u.id
        )
    ),
    chain (url_id, url, hops, target, path, loops) AS (
        SELECT url_id, url, 1, target, url || ' > ' || target, url = target FROM hop
        UNION ALL
        SELECT c.url_id, c.url, c.hops + 1, h.target, c.path || ' > ' || h.target,
            instr(' ' || c.path || ' ', ' ' || h.target || ' ') > 0
        FROM chain AS c JOIN urls AS t ON t.url = c.target JOIN hop AS h ON h.url_id = t.id
        WHERE NOT c.loops AND c.hops < 20
    )
SELECT
    c.url, c.hops, c.target AS end_url, CASE WHEN c.loops THEN 'loop' ELSE e.status END AS end_status,
    CASE WHEN NOT c.loops THEN e.reason END AS end_reason, c.path AS chain, c.url_id
FROM (SELECT url_id, url, max(hops) AS hops, target, path, loops FROM chain GROUP BY url_id) AS c
    LEFT JOIN urls AS e ON e.url = c.target;

CREATE VIEW resources AS
-- What current pages show and load: images, scripts, stylesheets and media, one row per element. Filtering by page_url
-- is quick. `--check resources` asks whether they are there.
--   page_url        the page
--   kind            image, script, stylesheet, video, audio, embed or font
--   url             of the resource
--   alt             of an image, as written; NULL if it has none
--   width           as written; NULL if it is not given
--   height          likewise
--   place           of the resource on the page, from 0
--   page_id         the page's newest version
SELECT
    u.url AS page_url, json_extract(e.value, '$[0]') AS kind, json_extract(e.value, '$[1]') AS url,
    json_extract(e.value, '$[2]') AS alt, json_extract(e.value, '$[3]') AS width,
    json_extract(e.value, '$[4]') AS height, e.key AS place, u.page_id
FROM urls AS u JOIN pages AS p ON p.id = u.page_id JOIN json_each(p.resources) AS e
WHERE u.status IN ('fetched', 'failed', 'pending');

CREATE VIEW checked_urls AS
-- URLs that were only checked (`--check`): external links, and what pages load. An external link keeps its row in urls,
-- which is excluded; a resource has none, unless it is linked as well. Reads all checks.
--   url             the URL
--   host            its host
--   kind            external (a link leads there), resource (a page loads it), both, or redirect (only redirects of
--                   others lead there)
--   verdict         good, gone (404, 410), blocked (401, 403, 429, a bot wall ...), unreachable (dns, connect, tls,
--                   timeout, disconnected), failed (any other response), loop (endless redirects), not_asked (robots.txt
--                   or an option forbids it), or pending (not checked yet); through redirects, that of their end
--   cause           such as http 404, dns or robots: line 3: Disallow: /x; NULL for good and pending
--   status_code     of the last response; NULL if there was none
--   end_url         where its redirects end; NULL if it does not redirect, or they do not end
--   hops            how many redirects; NULL if they do not end
--   checked_at      when it was checked (Unix seconds); NULL if it never was
--   flaky           1 if its last ten verdicts changed between good and not good more than once
--   good_at         when it was last good (Unix seconds); NULL if it never was
--   broken_since    its first verdict since then that was not (Unix seconds); NULL if it is good
--   run_id          the run that checked it
--   next_check_at   when it is due (Unix seconds); NULL if nothing is planned
--   check_id        its row in checks
WITH RECURSIVE
    chain (check_id, hops, end_url) AS (
        SELECT id, 1, redirect_url FROM checks WHERE redirect_url IS NOT NULL
        UNION ALL
        SELECT c.check_id, c.hops + 1, n.redirect_url FROM chain AS c CROSS JOIN checks AS n ON n.url = c.end_url
        WHERE n.redirect_url IS NOT NULL AND c.hops < 12
    ),
    ends (check_id, hops, end_url) AS MATERIALIZED (
        SELECT check_id, max(hops), end_url FROM chain GROUP BY check_id
    )
SELECT
    c.url, h.name AS host,
    CASE WHEN c.link_run IS NULL THEN iif(c.resource_run IS NULL, 'redirect', 'resource')
        ELSE iif(c.resource_run IS NULL, 'external', 'both') END AS kind,
    CASE WHEN c.verdict IS NULL THEN 'pending' WHEN e.check_id IS NULL THEN c.verdict WHEN e.hops = 12 THEN 'loop'
        WHEN u.status = 'fetched' THEN 'good' ELSE coalesce(u.status, n.verdict, 'pending') END AS verdict,
    CASE WHEN e.check_id IS NULL THEN c.cause WHEN e.hops = 12 THEN 'redirect loop'
        ELSE iif(u.id IS NULL, n.cause, iif(u.status = 'gone', 'http 404 or 410', u.reason)) END AS cause,
    iif(e.check_id IS NULL, c.status_code, n.status_code) AS status_code,
    iif(e.hops = 12, NULL, e.end_url) AS end_url, iif(e.hops = 12, NULL, coalesce(e.hops, 0)) AS hops,
    c.checked_at,
    max(
        c.recent GLOB '*+*-*+*', c.recent GLOB '*-*+*-*', coalesce(n.recent GLOB '*+*-*+*', 0),
        coalesce(n.recent GLOB '*-*+*-*', 0)
    ) AS flaky,
    iif(e.check_id IS NULL, c.good_at, coalesce(n.good_at, u.fetched_at)) AS good_at,
    iif(e.check_id IS NULL, c.broken_since, n.broken_since) AS broken_since,
    c.run_id, c.due_at AS next_check_at, c.id AS check_id
FROM checks AS c CROSS JOIN hosts AS h ON h.id = c.host_id
    LEFT JOIN ends AS e ON e.check_id = c.id LEFT JOIN checks AS n ON n.url = e.end_url
    LEFT JOIN urls AS u ON u.url = e.end_url AND u.status IN ('fetched', 'gone', 'failed');

CREATE VIEW broken_resources AS
-- Images, scripts, stylesheets and media of current pages that do not work, once `--check resources` has asked for them.
-- Reads every page.
--   page_url        the page
--   kind            image, script, stylesheet, video, audio, embed or font
--   url             of the resource
--   alt             of an image, as written; NULL if it has none
--   status          gone, failed, unreachable or loop
--   cause           such as http 404, dns or timeout; after a redirect also where it ends
--   flaky           1 if its last ten verdicts changed between good and not good more than once
--   place           of the resource on the page, from 0
--   page_id         the page's newest version
WITH bad (url, verdict, cause, end_url, flaky) AS MATERIALIZED (
    SELECT url, verdict, cause, end_url, flaky FROM checked_urls
    WHERE verdict IN ('gone', 'failed', 'unreachable', 'loop')
)
SELECT
    r.page_url, r.kind, r.url, r.alt, coalesce(b.verdict, t.status) AS status,
    CASE WHEN b.url IS NOT NULL THEN b.cause || coalesce(', redirected to ' || b.end_url, '')
        ELSE coalesce(t.reason, 'http 404 or 410') END AS cause,
    coalesce(b.flaky, 0) AS flaky, r.place, r.page_id
FROM resources AS r LEFT JOIN bad AS b ON b.url = r.url
    LEFT JOIN urls AS t ON b.url IS NULL AND t.url = r.url AND t.status IN ('gone', 'failed')
WHERE EXISTS (SELECT 1 FROM checks WHERE resource_run IS NOT NULL) AND (b.url IS NOT NULL OR t.id IS NOT NULL);

CREATE VIEW broken_links AS
-- Links of current pages to URLs that are gone or failed, also through redirects, and to redirect loops. With `--check`
-- also links that leave the scope, and resources. Reads all links.
--   page_url        the page with the link
--   anchor          the link's text; else its aria-label, title or image's alt
--   target_url      the URL it leads to
--   status          gone, failed or loop; of a URL that was only checked also unreachable
--   cause           such as http 404, http 403, dns or timeout; after a redirect also where it ends; 'http 404 or 410' if
--                   `crawler prune` has removed the attempt
--   kind            link, external (it leaves the scope) or resource (what the page loads; its anchor is its alt)
WITH external (url, verdict, cause, end_url) AS MATERIALIZED (
    SELECT url, verdict, cause, end_url FROM checked_urls
    WHERE kind <> 'resource' AND verdict IN ('gone', 'failed', 'unreachable', 'loop')
)
SELECT
    s.url AS page_url, l.anchor, t.url AS target_url,
    coalesce(x.verdict, c.end_status, t.status) AS status,
    CASE WHEN x.url IS NOT NULL THEN x.cause || coalesce(
            ', redirected to ' || coalesce(x.end_url, iif(x.url = t.url, NULL, x.url)), ''
        )
        WHEN c.end_status = 'loop' THEN 'redirect loop: ' || c.chain
        ELSE coalesce(
            CASE WHEN c.end_status IS NULL THEN t.reason ELSE c.end_reason END,
            'http ' || (
                SELECT f.status_code FROM fetches AS f
                WHERE f.url_id = CASE WHEN c.end_status IS NULL THEN t.id
                        ELSE (SELECT e.id FROM urls AS e WHERE e.url = c.end_url) END
                    AND f.status_code IN (404, 410) ORDER BY f.id DESC LIMIT 1
            ),
            'http 404 or 410'
        ) || CASE WHEN c.end_status IS NULL THEN '' ELSE ', redirected to ' || c.end_url END END AS cause,
    iif(x.url IS NULL, 'link', 'external') AS kind
FROM urls AS s CROSS JOIN links AS l ON l.page_id = s.page_id JOIN urls AS t ON t.id = l.target_id
    LEFT JOIN redirect_chains AS c ON t.status = 'redirected' AND c.url_id = t.id
    LEFT JOIN external AS x ON x.url = CASE WHEN t.status = 'excluded' THEN t.url
        WHEN c.end_status = 'excluded' THEN c.end_url END
WHERE s.status IN ('fetched', 'failed', 'pending')
    AND (t.status IN ('gone', 'failed') OR c.end_status IN ('gone', 'failed', 'loop') OR x.url IS NOT NULL)
UNION ALL
SELECT page_url, coalesce(alt, ''), url, status, cause, 'resource' FROM broken_resources;

CREATE VIEW all_urls AS
-- Every URL ever seen, with what became of it and how it was found.
--   url             the URL
--   host            its host
--   kind            page, robots, sitemap or feed
--   status          pending, fetched, redirected, excluded, gone or failed
--   reason          why it was excluded or failed; NULL otherwise
--   depth           links from the nearest seed
--   seed            0 unless the URL is a seed or a seed redirects to it
--   found_by        how it was found first: seed, link, redirect, refresh, canonical, sitemap, robots, feed or guess
--   found_on_url    what named it first; NULL for a seed, or if that is not known
--   discovered_at   when it was found (Unix seconds)
--   fetched_at      its latest response (Unix seconds); NULL if it never responded
--   next_fetch_at   when it is due (Unix seconds); NULL if nothing is planned
--   revisit_at      when a run with `--max-age auto` looks at it again (Unix seconds)
--   attempts        failed attempts since the last success
--   failing_since   its first failed attempt since the last response (Unix seconds); NULL if it does not fail
--   failing_reason  why its latest visit failed, such as http 503 or timeout; NULL if it did not
--   has_page        1 if a version of it is stored
--   unread_type     the Content-Type of a document that was no page; NULL if it was one, or if that is not known
--   url_id          its row in urls
SELECT
    u.url, h.name AS host, u.kind, u.status, u.reason, u.depth, u.seed, u.found_by, s.url AS found_on_url,
    u.discovered_at, u.fetched_at, u.next_fetch_at, u.revisit_at, u.attempts, u.failing_since, u.failing_reason,
    u.page_id IS NOT NULL AS has_page, u.unread_type, u.id AS url_id
FROM urls AS u LEFT JOIN hosts AS h ON h.id = u.host_id LEFT JOIN urls AS s ON s.id = u.found_on;

CREATE VIEW pending_urls AS
-- URLs that are still to be fetched.
--   url             the URL
--   host            its host
--   next_fetch_at   when it is due (Unix seconds); its host may have it wait longer
--   reason          why an attempt failed; NULL if there was none
--   attempts        failed attempts so far
--   depth           links from the nearest seed
--   discovered_at   when it was found (Unix seconds)
--   url_id          its row in urls
SELECT
    u.url, h.name AS host, u.next_fetch_at, coalesce(u.reason, u.failing_reason) AS reason, u.attempts, u.depth,
    u.discovered_at, u.id AS url_id
FROM urls AS u LEFT JOIN hosts AS h ON h.id = u.host_id WHERE u.status = 'pending' AND u.next_fetch_at IS NOT NULL;

CREATE VIEW failed_urls AS
-- URLs that failed, and why. Those that responded before are retried in a later run; they are here only after two
-- failed visits (see failing_urls).
--   url             the URL
--   host            its host
--   reason          such as http 403, or the kind of failure: dns, connect, tls, timeout ...
--   attempts        failed attempts since the last success
--   fetched_at      its latest response (Unix seconds); NULL if it never responded
--   next_fetch_at   when it is due again (Unix seconds); NULL if nothing is planned
--   depth           links from the nearest seed
--   has_page        1 if an earlier version is stored
--   url_id          its row in urls
--   failing_since   its first failed attempt since the last response, or ever (Unix seconds)
--   revisit_at      when a run with --max-age tries it again (Unix seconds); NULL if only --retry-failed does
SELECT
    u.url, h.name AS host, u.reason, u.attempts, u.fetched_at, u.next_fetch_at, u.depth,
    u.page_id IS NOT NULL AS has_page, u.id AS url_id, u.failing_since, coalesce(u.revisit_at, u.next_fetch_at) AS revisit_at
FROM urls AS u LEFT JOIN hosts AS h ON h.id = u.host_id WHERE u.status = 'failed' AND u.kind <> 'robots';

CREATE VIEW failing_urls AS
-- URLs that responded before, but not to their latest visit. They keep the status of their last response, and become
-- failed after failures on two visits: at least a day apart, or, if their host answered other URLs in between, at any
-- distance.
--   url             the URL
--   host            its host
--   status          as of its last response: fetched, redirected or gone
--   failing_since   its first failed attempt since then (Unix seconds)
--   failing_reason  why its latest visit failed: http 503, dns, timeout ...
--   attempts        failed attempts since then
--   fetched_at      its last response (Unix seconds)
--   next_fetch_at   when it is due again (Unix seconds)
--   depth           links from the nearest seed
--   has_page        1 if a version is stored
--   url_id          its row in urls
SELECT
    u.url, h.name AS host, u.status, u.failing_since, u.failing_reason, u.attempts, u.fetched_at, u.next_fetch_at,
    u.depth, u.page_id IS NOT NULL AS has_page, u.id AS url_id
FROM urls AS u LEFT JOIN hosts AS h ON h.id = u.host_id
WHERE u.failing_reason IS NOT NULL AND u.status IN ('fetched', 'redirected', 'gone');

CREATE VIEW gone_urls AS
-- URLs that returned 404 or 410.
--   url             the URL
--   host            its host
--   fetched_at      the latest such response (Unix seconds)
--   depth           links from the nearest seed
--   had_page        1 if a version is stored: it used to exist
--   url_id          its row in urls
--   status_code     404 or 410; NULL if `crawler prune` has removed the attempt
SELECT
    u.url, h.name AS host, u.fetched_at, u.depth, u.page_id IS NOT NULL AS had_page, u.id AS url_id, (
        SELECT f.status_code FROM fetches AS f
        WHERE f.url_id = u.id AND f.status_code IN (404, 410) ORDER BY f.id DESC LIMIT 1
    ) AS status_code
FROM urls AS u LEFT JOIN hosts AS h ON h.id = u.host_id WHERE u.status = 'gone' AND u.kind <> 'robots';

CREATE VIEW excluded_urls AS
-- URLs that were found but not wanted, and why.
--   url             the URL
--   host            its host
--   rule            what excluded it: scope, include, exclude, depth, hops, length, port, nofollow, robots, trap
--   reason          the rule with its details, such as robots: line 12: Disallow: /private
--   depth           links from the nearest seed
--   discovered_at   when it was found (Unix seconds)
--   url_id          its row in urls
SELECT
    u.url, h.name AS host, substr(u.cause, 1, instr(u.cause || ':', ':') - 1) AS rule, u.reason, u.depth,
    u.discovered_at, u.id AS url_id
FROM urls AS u LEFT JOIN hosts AS h ON h.id = u.host_id WHERE u.status = 'excluded';

CREATE VIEW exclusions AS
-- What was excluded, counted: one row per reason.
--   rule            what excluded it: scope, include, exclude, depth, hops, length, port, nofollow, robots, trap
--   reason          the rule with its details, such as robots: line 12: Disallow: /private
--   urls            how many URLs
--   example_url     one of them
SELECT g.rule, g.reason, g.urls, e.url AS example_url FROM (
    SELECT substr(cause, 1, instr(cause || ':', ':') - 1) AS rule, reason, count(*) AS urls, min(id) AS first_id
    FROM urls WHERE status = 'excluded' GROUP BY 1, 2
) AS g JOIN urls AS e ON e.id = g.first_id;

CREATE VIEW robots_blocked AS
-- URLs that robots.txt disallows, and the line that does.
--   url             the URL
--   host            its host
--   line            line number in robots.txt
--   rule            that line, such as Disallow: /private
--   depth           links from the nearest seed
--   url_id          its row in urls
SELECT
    u.url, h.name AS host, CAST(substr(u.detail, 6) AS INTEGER) AS line,
    substr(u.detail, 2 + instr(u.detail, ':')) AS rule, u.depth, u.id AS url_id
FROM urls AS u LEFT JOIN hosts AS h ON h.id = u.host_id
WHERE u.status = 'excluded' AND u.cause = 'robots';

CREATE VIEW traps AS
-- Places that looked endless and were excluded: one row per host and rule.
--   host            the host; the registrable domain if that has too many hosts
--   rule            such as repeated path segments, session ids, pages alike in /calendar/#/, hosts of the domain
--   urls            how many URLs were excluded
--   example_url     one of them
SELECT h.name AS host, substr(g.reason, 7) AS rule, g.urls, e.url AS example_url
FROM (
    SELECT host_id, reason, count(*) AS urls, min(id) AS first_id FROM urls
    WHERE status = 'excluded' AND cause GLOB 'trap: *' AND cause <> 'trap: hosts of the domain'
    GROUP BY host_id, cause, reason
) AS g JOIN hosts AS h ON h.id = g.host_id JOIN urls AS e ON e.id = g.first_id
UNION ALL
SELECT g.detail, 'hosts of the domain', g.urls, e.url
FROM (
    SELECT detail, count(*) AS urls, min(id) AS first_id FROM urls
    WHERE status = 'excluded' AND cause = 'trap: hosts of the domain'
    GROUP BY detail
) AS g JOIN urls AS e ON e.id = g.first_id;

CREATE VIEW duplicate_pages AS
-- Current pages with the same text and links as another one. Reads every page.
--   url             the page
--   first_url       the one of them that was found first
--   copies          how many of them there are
--   canonical_url   as the page declares it; if that is first_url, all is well
--   title           its title
--   content_hash    of their text and links
SELECT s.url, e.url AS first_url, g.copies, p.canonical_url, p.title, g.content_hash
FROM (
    SELECT
        u.id AS url_id, p.content_hash, count(*) OVER same AS copies, min(u.id) OVER same AS first_id
    FROM urls AS u JOIN pages AS p ON p.id = u.page_id WHERE u.status IN ('fetched', 'failed', 'pending')
    WINDOW same AS (PARTITION BY p.content_hash)
) AS g JOIN urls AS s ON s.id = g.url_id JOIN pages AS p ON p.id = s.page_id JOIN urls AS e ON e.id = g.first_id
WHERE g.copies > 1;

CREATE VIEW orphan_pages AS
-- Current pages that no other current page links to, not even through redirects: known from a sitemap, or from a link
-- that has gone since. Seeds are not listed. Reads all links.
--   url             the page
--   host            its host
--   depth           links from the nearest seed when it was found
--   title           its title
--   fetched_at      its latest response (Unix seconds)
--   url_id          its row in urls
WITH
    linked (id) AS MATERIALIZED (
        SELECT DISTINCT l.target_id FROM urls AS s CROSS JOIN links AS l ON l.page_id = s.page_id
        WHERE s.status IN ('fetched', 'failed', 'pending') AND l.target_id <> s.id
    ),
    reached (id) AS MATERIALIZED (
        SELECT e.id FROM redirect_chains AS c JOIN urls AS s ON s.id = c.url_id JOIN urls AS e ON e.url = c.end_url
        WHERE s.seed > 0 OR s.id IN (SELECT id FROM linked)
    )
SELECT u.url, h.name AS host, u.depth, p.title, u.fetched_at, u.id AS url_id
FROM urls AS u JOIN pages AS p ON p.id = u.page_id LEFT JOIN hosts AS h ON h.id = u.host_id
WHERE u.status IN ('fetched', 'failed', 'pending') AND u.seed = 0
    AND u.id NOT IN (SELECT id FROM linked) AND u.id NOT IN (SELECT id FROM reached);

CREATE VIEW missing_titles AS
-- Current pages without a title, or with an empty one. Plain text has none, and is not listed.
--   url             the page
--   host            its host
--   depth           links from the nearest seed
--   url_id          its row in urls
SELECT url, host, depth, url_id FROM current_pages
WHERE (title IS NULL OR trim(title) = '') AND coalesce(content_type, '') NOT LIKE 'text/plain%';

CREATE VIEW duplicate_titles AS
-- Current pages that have the title of another one on their host. Pages that ask not to be listed, or that name
-- another page as their canonical one, do not count. Reads every page.
--   url             the page
--   host            its host
--   title           its title
--   copies          how many pages of the host have it
--   url_id          its row in urls
WITH
    counted (url, host, title, url_id) AS MATERIALIZED (
        SELECT url, host, title, url_id FROM current_pages
        WHERE trim(title) <> '' AND NOT noindex AND coalesce(canonical_url, url) = url
    ),
    shared (host, title, copies) AS MATERIALIZED (
        SELECT host, title, count(*) FROM counted GROUP BY host, title HAVING count(*) > 1
    )
SELECT c.url, c.host, c.title, s.copies, c.url_id
FROM counted AS c JOIN shared AS s ON s.host = c.host AND s.title = c.title;

CREATE VIEW missing_descriptions AS
-- Current pages without a meta description, or with an empty one. Pages that ask not to be listed, or that name another
-- page as their canonical one, need none; plain text and PDF have none.
--   url             the page
--   host            its host
--   title           its title
--   depth           links from the nearest seed
--   url_id          its row in urls
SELECT url, host, title, depth, url_id FROM current_pages
WHERE (description IS NULL OR trim(description) = '') AND NOT noindex AND coalesce(canonical_url, url) = url
    AND coalesce(content_type, '') NOT LIKE 'text/plain%' AND coalesce(content_type, '') NOT LIKE 'application/pdf%';

CREATE VIEW duplicate_descriptions AS
-- Current pages that have the meta description of another one on their host. Pages that ask not to be listed, or that name
-- another page as their canonical one, do not count. Reads every page.
--   url             the page
--   host            its host
--   description     its meta description
--   copies          how many pages of the host have it
--   url_id          its row in urls
WITH
    counted (url, host, description, url_id) AS MATERIALIZED (
        SELECT url, host, description, url_id FROM current_pages
        WHERE trim(description) <> '' AND NOT noindex AND coalesce(canonical_url, url) = url
    ),
    shared (host, description, copies) AS MATERIALIZED (
        SELECT host, description, count(*) FROM counted GROUP BY host, description HAVING count(*) > 1
    )
SELECT c.url, c.host, c.description, s.copies, c.url_id
FROM counted AS c JOIN shared AS s ON s.host = c.host AND s.description = c.description;

CREATE VIEW long_titles AS
-- Current pages with a title of more than 60 characters, of which search engines cut the end.
--   url             the page
--   host            its host
--   title           its title
--   length          of the title (characters)
--   url_id          its row in urls
SELECT url, host, title, length(title) AS length, url_id FROM current_pages
WHERE length(title) > 60 AND NOT noindex;

CREATE VIEW long_descriptions AS
-- Current pages with a meta description of more than 160 characters, of which search engines cut the end.
--   url             the page
--   host            its host
--   description     its meta description
--   length          of the description (characters)
--   url_id          its row in urls
SELECT url, host, description, length(description) AS length, url_id FROM current_pages
WHERE length(description) > 160 AND NOT noindex;

CREATE VIEW invalid_json_ld AS
-- JSON-LD scripts of current pages that are not JSON, so that search engines ignore them. Reads every page.
--   url             the page
--   place           of the script among the JSON-LD scripts of the page, from 0
--   script          its text
--   url_id          its row in urls
SELECT u.url, e.key AS place, e.value AS script, u.id AS url_id
FROM pages AS p CROSS JOIN urls AS u ON u.id = p.url_id AND u.page_id = p.id CROSS JOIN json_each(p.json_ld) AS e
WHERE p.json_ld <> '[]' AND u.status IN ('fetched', 'failed', 'pending') AND NOT json_valid(e.value);

CREATE VIEW mixed_content AS
-- What current pages load over http though they themselves came over https: browsers block it, or warn. Reads
-- every page.
--   page_url        the page
--   kind            image, script, stylesheet, video, audio, embed or font
--   url             of the resource
--   url_id          the page's row in urls
SELECT DISTINCT
    u.url AS page_url, json_extract(e.value, '$[0]') AS kind, json_extract(e.value, '$[1]') AS url, u.id AS url_id
FROM pages AS p CROSS JOIN urls AS u ON u.id = p.url_id AND u.page_id = p.id CROSS JOIN json_each(p.resources) AS e
WHERE instr(p.resources, '"http:') AND u.status IN ('fetched', 'failed', 'pending') AND u.url GLOB 'https:*'
    AND json_extract(e.value, '$[1]') GLOB 'http:*';

CREATE VIEW missing_security_headers AS
-- Header fields that protect visitors and that current HTML pages came without: one row per host and field. Pages whose
-- header fields are not stored do not count.
--   host            the host
--   header          content-security-policy, referrer-policy, strict-transport-security (https alone),
--                   x-content-type-options or x-frame-options (unless Content-Security-Policy says frame-ancestors)
--   pages           how many pages lack it
--   example_url     one of them
WITH
    wanted (header) AS (
        VALUES ('content-security-policy'), ('referrer-policy'), ('strict-transport-security'),
            ('x-content-type-options'), ('x-frame-options')
    ),
    lacking (head_id, header, unless_framed) AS MATERIALIZED (  -- heads are few: pages share them
        SELECT h.id, w.header, w.header = 'x-frame-options' AND h.fields LIKE '%["content-security-policy",%'
        FROM heads AS h CROSS JOIN wanted AS w
        WHERE h.fields NOT LIKE '%["' || w.header || '",%' AND NOT (
            w.header = 'x-frame-options' AND h.fields LIKE '%["content-security-policy","%frame-ancestors%'
        )
    ),
    head (host_id, head_id, is_https, is_framed, pages, first_id) AS MATERIALIZED (
        SELECT u.host_id, f.head_id, u.url GLOB 'https:*', f.head_values LIKE '%frame-ancestors%', count(*), min(u.id)
        FROM urls AS u CROSS JOIN pages AS p ON p.id = u.page_id CROSS JOIN fetches AS f ON f.id = p.fetch_id
        WHERE u.status IN ('fetched', 'failed', 'pending') AND f.head_id IS NOT NULL AND f.content_type LIKE '%html%'
        GROUP BY 1, 2, 3, 4
    )
SELECT g.host, g.header, g.pages, e.url AS example_url FROM (
    SELECT n.name AS host, l.header, sum(h.pages) AS pages, min(h.first_id) AS first_id
    FROM head AS h JOIN lacking AS l ON l.head_id = h.head_id JOIN hosts AS n ON n.id = h.host_id
    WHERE (h.is_https OR l.header <> 'strict-transport-security')
        AND NOT (l.unless_framed AND coalesce(h.is_framed, 0))
    GROUP BY h.host_id, l.header
) AS g JOIN urls AS e ON e.id = g.first_id;

CREATE VIEW sitemap_problems AS
-- Pages that sitemaps name though search engines cannot list them.
--   url             the page
--   sitemap_url     the sitemap
--   problem         gone, failed, redirected, excluded, noindex, or canonical (it names another page as canonical)
--   reason          why it was excluded or failed; for canonical, that other page; NULL otherwise
--   url_id          the page's row in urls
SELECT url, sitemap_url, problem, reason, url_id FROM (
    SELECT
        u.url, s.url AS sitemap_url, u.id AS url_id,
        CASE WHEN u.status IN ('gone', 'failed', 'redirected', 'excluded') THEN u.status
            WHEN p.noindex THEN 'noindex' WHEN p.canonical_url <> u.url THEN 'canonical' END AS problem,
        CASE WHEN u.status IN ('failed', 'excluded') THEN u.reason
            WHEN u.status IN ('fetched', 'pending') AND NOT p.noindex AND p.canonical_url <> u.url
            THEN p.canonical_url END AS reason
    FROM sitemap_entries AS e JOIN urls AS s ON s.id = e.sitemap_id JOIN urls AS u ON u.id = e.url_id
        LEFT JOIN pages AS p ON p.id = u.page_id
    WHERE s.kind = 'sitemap' AND u.kind = 'page'
) WHERE problem IS NOT NULL;
CREATE VIEW slow_pages AS
-- Current pages that took one second or longer.
--   url             the page
--   host            its host
--   elapsed_s       from the request to the end of the body (seconds)
--   bytes           size of the body, decoded
--   seen_at         when that was (Unix seconds): when the newest version was fetched
--   url_id          its row in urls
SELECT url, host, elapsed_s, bytes, seen_at, url_id FROM current_pages WHERE elapsed_s >= 1;

CREATE VIEW large_pages AS
-- Current pages of 1 MiB (1,048,576 bytes) or more, decoded, and those cut at --max-bytes.
--   url             the page
--   host            its host
--   bytes           size of the body, decoded; if it was cut, of what was read
--   truncated       1 if it was cut
--   url_id          its row in urls
SELECT url, host, bytes, truncated, url_id FROM current_pages WHERE bytes >= 1048576 OR truncated;

CREATE VIEW noindex AS
-- Current pages that ask search engines not to list them.
--   url             the page
--   host            its host
--   nofollow        1 if it also asks robots not to follow its links
--   title           its title
--   canonical_url   as the page declares it; NULL if it does not
--   url_id          its row in urls
SELECT url, host, nofollow, title, canonical_url, url_id FROM current_pages WHERE noindex;

CREATE VIEW canonical_problems AS
-- Current pages whose canonical URL is another one that does not work.
--   url             the page
--   canonical_url   as the page declares it
--   problem         unknown (no page links to it), gone, failed, redirected, excluded, noindex, or elsewhere (its own
--                   canonical URL is yet another one)
--   reason          why it was excluded or failed; for elsewhere, that other URL
--   url_id          the page's row in urls
SELECT url, canonical_url, problem, reason, url_id FROM (
    SELECT
        s.url, p.canonical_url, s.id AS url_id,
        CASE WHEN t.id IS NULL THEN 'unknown'
            WHEN t.status IN ('gone', 'failed', 'redirected', 'excluded') THEN t.status
            WHEN q.noindex THEN 'noindex'
            WHEN q.canonical_url <> t.url THEN 'elsewhere' END AS problem,
        CASE WHEN t.status IN ('failed', 'excluded') THEN t.reason
            WHEN t.status IN ('fetched', 'pending') AND q.canonical_url <> t.url AND NOT q.noindex
            THEN q.canonical_url END AS reason
    FROM urls AS s JOIN pages AS p ON p.id = s.page_id
        LEFT JOIN urls AS t ON t.url = p.canonical_url LEFT JOIN pages AS q ON q.id = t.page_id
    WHERE s.status IN ('fetched', 'failed', 'pending') AND p.canonical_url <> s.url
) WHERE problem IS NOT NULL;

CREATE VIEW hreflang_problems AS
-- Translations that current pages name by hreflang, and that search engines will not use.
--   url             the page
--   language        of the translation, lower case, such as de or x-default
--   alternate_url   the translation
--   problem         unknown (no page links to it), gone, failed, redirected, excluded, noindex, or one-sided (it does not
--                   name the page in turn)
--   reason          why it was excluded or failed; NULL otherwise
--   url_id          the page's row in urls
SELECT url, language, alternate_url, problem, iif(problem IN ('failed', 'excluded'), reason, NULL) AS reason, url_id
FROM (
    SELECT
        s.url, json_extract(a.value, '$[2]') AS language, json_extract(a.value, '$[0]') AS alternate_url, t.reason,
        s.id AS url_id,
        CASE WHEN t.id IS NULL THEN 'unknown'
            WHEN t.status IN ('gone', 'failed', 'redirected', 'excluded') THEN t.status
            WHEN q.noindex THEN 'noindex'
            WHEN q.alternates IS NOT NULL AND NOT EXISTS (
                SELECT 1 FROM json_each(q.alternates) AS b
                WHERE json_extract(b.value, '$[1]') = 'hreflang' AND json_extract(b.value, '$[0]') = s.url
            ) THEN 'one-sided' END AS problem
    FROM pages AS p CROSS JOIN urls AS s ON s.id = p.url_id AND s.page_id = p.id
        CROSS JOIN json_each(p.alternates) AS a
        LEFT JOIN urls AS t ON t.url = json_extract(a.value, '$[0]') LEFT JOIN pages AS q ON q.id = t.page_id
    WHERE instr(p.alternates, '"hreflang"') AND s.status IN ('fetched', 'failed', 'pending')
        AND json_extract(a.value, '$[1]') = 'hreflang' AND json_extract(a.value, '$[0]') <> s.url
) WHERE problem IS NOT NULL;

CREATE VIEW extraction_problems AS
-- Current pages on which an extraction rule that is for them has not found all that it asks for. What it finds is the
-- view extract_NAME.
--   rule            its name
--   url             the page
--   problem         lost (nothing is found, and on an earlier version something was), nothing, incomplete (an element
--                   lacks a required field, and so gives no row) or cut (there is more than is kept)
--   found           number of rows that it has found all the same
--   lacking         JSON array of the required fields that are missing
--   run_id          the run that noticed; NULL for `crawler extract`
--   page_id         the page's newest version
SELECT
    e.rule, u.url, CASE WHEN e.lost THEN 'lost' WHEN e.lacking <> '[]' THEN 'incomplete'
        WHEN e.cut THEN 'cut' ELSE 'nothing' END AS problem,
    e.found, e.lacking, e.run_id, e.page_id
FROM extract_misses AS e CROSS JOIN pages AS p ON p.id = e.page_id
    CROSS JOIN urls AS u ON u.id = p.url_id AND u.page_id = p.id
WHERE u.status IN ('fetched', 'failed', 'pending');

CREATE VIEW change_feed AS
-- Everything that has happened to URLs, in the order of change_id, as `crawler changes` prints it. `changes` has the
-- part that concerns pages alone. A visit may tell two things, such as back and changed.
--   change_id       its place in the order in which changes were stored; never used twice
--   url             the URL
--   change          those of changes, or broken (failed on two visits, or 404 or 410 where no page ever was) or healed
--                   (answered, or excluded, after it was broken)
--   run_id          the run that noticed
--   at              when it noticed (Unix seconds)
--   page_id         the version, for new, changed and metadata; NULL otherwise, and once `crawler prune` has removed it
--   detail          where it moved to; why it is gone, withdrawn or broken; NULL otherwise
--   url_id          the URL's row in urls
SELECT
    log.id AS change_id, u.url, log.change, log.run_id, log.at,
    (SELECT p.id FROM pages AS p WHERE p.id = log.page_id) AS page_id, log.detail, log.url_id
FROM change_log AS log JOIN urls AS u ON u.id = log.url_id;

CREATE VIEW changes AS
-- What happened to pages, run by run. Only responses count, and what the rules say; an outage changes nothing. Of what
-- is older than `crawler prune --older-than`, only new and the last of gone, moved, back and withdrawn are left. A
-- version that differs from one without a body, read by an earlier release, is not listed: nobody can tell whether the
-- page has changed.
--   url             the page
--   change          new, changed (text, links or robots directives), metadata (nothing but that), gone (404, 410), moved
--                   (redirects), back, or withdrawn (by a newer robots.txt or other options)
--   run_id          the run that noticed
--   at              when it noticed (Unix seconds)
--   page_id         the version, for new, changed and metadata; NULL otherwise, and once `crawler prune` has removed it
--   url_id          the page's row in urls
--   detail          where it moved to; why it is gone or withdrawn; NULL otherwise
--   change_id       its place in the order in which changes were stored
SELECT url, change, run_id, at, page_id, url_id, detail, change_id FROM change_feed
WHERE change NOT IN ('broken', 'healed');

CREATE VIEW attempts AS
-- Every stored attempt to fetch a URL. By url it reads them all; the library's `Archive.attempts` uses an index.
--   url             the URL that was requested
--   kind            page, robots, sitemap or feed
--   run_id          the run that tried
--   started_at      when (Unix seconds)
--   elapsed_s       how long it took (seconds)
--   status_code     HTTP status; NULL if there was no response
--   failure         why there was none: dns, connect, tls, timeout ...; NULL otherwise
--   message         the failure in words, or why not all of a sitemap was read
--   content_type    as the server sent it
--   bytes           size of the body, decoded; if it was not read, as the server declared it
--   redirect_url    where it redirected to; NULL if it did not
--   address         IP address of the server
--   url_id          the URL's row in urls
--   fetch_id        its own row in fetches
--   first_byte_s    from the request to the first byte of the response (seconds)
--   truncated       1 if the body was cut
SELECT
    u.url, u.kind, f.run_id, f.started_at, f.elapsed_s, f.status_code, f.failure, f.message, f.content_type, f.bytes,
    f.redirect_url, f.address, f.url_id, f.id AS fetch_id, f.first_byte_s, f.truncated
FROM fetches AS f JOIN urls AS u ON u.id = f.url_id;

CREATE VIEW response_headers AS
-- The header fields of responses, one row per field. Filtering by fetch_id, or by the url_id of few attempts, is quick.
--   url             the URL that was requested
--   name            of the field, as sent
--   value           as sent; without the value of a cookie
--   place           of the field in the response, from 0
--   started_at      when the response was requested (Unix seconds)
--   url_id          the URL's row in urls
--   fetch_id        the attempt's row in fetches
SELECT
    u.url, json_extract(e.value, '$[0]') AS name,
    CASE json_type(e.value, '$[1]')
        WHEN 'integer' THEN json_extract(f.head_values, '$[' || json_extract(e.value, '$[1]') || ']')
        ELSE json_extract(e.value, '$[1]') END AS value,
    e.key AS place, f.started_at, f.url_id, f.id AS fetch_id
FROM fetches AS f JOIN heads AS h ON h.id = f.head_id JOIN urls AS u ON u.id = f.url_id JOIN json_each(h.fields) AS e;

CREATE VIEW link_details AS
-- What outlinks leaves out, for current pages: links with a fragment, and further links to a URL that the page has
-- linked before, each distinct href once, at most 1,000 per page. Filtering by page_url is quick.
--   page_url        the page with the link
--   target_url      the URL it leads to, without the fragment
--   anchor          the link's text
--   fragment        as written, without the #; NULL if there is none
--   position        among all links of the page, from 0
--   page_id         the page's newest version
--   target_id       the target's row in urls
SELECT
    u.url AS page_url, t.url AS target_url, json_extract(e.value, '$[2]') AS anchor,
    json_extract(e.value, '$[3]') AS fragment, json_extract(e.value, '$[1]') AS position, u.page_id,
    t.id AS target_id
FROM urls AS u JOIN pages AS p ON p.id = u.page_id CROSS JOIN json_each(p.link_details) AS e
    CROSS JOIN urls AS t ON t.id = json_extract(e.value, '$[0]')
WHERE u.status IN ('fetched', 'failed', 'pending');

CREATE VIEW alternates AS
-- Other forms of current pages that they name: translations, feeds, AMP. Filtering by page_url is quick.
--   page_url        the page
--   kind            hreflang, feed, amphtml, or alternate for any other
--   url             of the other form
--   language        of hreflang, lower case, such as de or x-default; NULL if it is not given
--   media_type      as written, lower case; NULL if it is not given
--   title           as written; NULL if it is not given
--   place           on the page, from 0
--   page_id         the page's newest version
SELECT
    u.url AS page_url, json_extract(e.value, '$[1]') AS kind, json_extract(e.value, '$[0]') AS url,
    json_extract(e.value, '$[2]') AS language, json_extract(e.value, '$[3]') AS media_type,
    json_extract(e.value, '$[4]') AS title, e.key AS place, u.page_id
FROM urls AS u JOIN pages AS p ON p.id = u.page_id JOIN json_each(p.alternates) AS e
WHERE u.status IN ('fetched', 'failed', 'pending');

CREATE VIEW sitemap_urls AS
-- What sitemaps and feeds name, as they were read last, and what they say of it. One row per sitemap or feed and URL.
-- Filtering by url or sitemap_url is quick.
--   sitemap_url     the sitemap, index or feed
--   sitemap_kind    sitemap or feed
--   url             the URL that it names
--   lastmod         when it was last changed, as it says (Unix seconds); NULL if it says nothing of that
--   priority        as written; NULL likewise
--   changefreq      likewise
--   title           of a news article, or of a feed's item
--   alternates      translations: JSON array of arrays (language, URL); NULL if it names none
--   images          JSON array of URLs; NULL likewise
--   status          pending, fetched, redirected, excluded, gone or failed
--   reason          why it was excluded or failed; NULL otherwise
--   kind            page, sitemap or feed
--   sitemap_id      the sitemap's row in urls
--   url_id          the URL's row in urls
SELECT
    s.url AS sitemap_url, s.kind AS sitemap_kind, u.url, e.lastmod, json_extract(e.data, '$.priority') AS priority,
    json_extract(e.data, '$.changefreq') AS changefreq, json_extract(e.data, '$.title') AS title,
    json_extract(e.data, '$.alternates') AS alternates, json_extract(e.data, '$.images') AS images,
    u.status, u.reason, u.kind, e.sitemap_id, e.url_id
FROM sitemap_entries AS e JOIN urls AS s ON s.id = e.sitemap_id JOIN urls AS u ON u.id = e.url_id;

CREATE VIEW host_overview AS
-- Hosts, with their URLs by status (pages and sitemaps, not robots.txt). A host with nothing but excluded URLs was only
-- linked to.
--   host            the host
--   urls            all its URLs
--   pending         to be fetched
--   fetched         stored
--   redirected      to a URL with a row of its own
--   excluded        not to be fetched
--   gone            404 or 410
--   failed          without a usable response
--   next_due_at     when its next URL is due (Unix seconds); NULL if nothing is planned
--   back_off_until  no request before then (Unix seconds)
--   failures        failed look-ups and connections in a row
--   pace_s          seconds between two requests to which adaptive pacing has slowed it; NULL if it is not slowed
--   domain          its registrable domain; set with --scope domain or any
--   unstored_links  links to further URLs of it, which were not stored because of --max-urls-per-host
SELECT
    name AS host, pending + fetched + redirected + excluded + gone + failed AS urls, pending, fetched, redirected,
    excluded, gone, failed, next_due_at, back_off_until, failures, pace_s, domain, unstored_links
FROM hosts;

CREATE VIEW run_overview AS
-- The runs of the crawler.
--   run_id          number of the run
--   started_at      when it began (Unix seconds)
--   ended_at        when it ended (Unix seconds); NULL if it is still running or was killed
--   elapsed_s       how long it took (seconds); NULL likewise
--   end_reason      complete, waiting, max_pages, max_requests, max_runtime, interrupted, terminated, stopped, output_closed, failed, killed
--   pages           page versions stored
--   requests        requests sent
--   summary         its report (JSON); NULL until it has ended
SELECT id AS run_id, started_at, ended_at, ended_at - started_at AS elapsed_s, end_reason, pages, requests, summary
FROM runs;
