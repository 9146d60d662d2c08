-- One crawl, one PostgreSQL schema. Tables and columns are those of SQLite's schema.sql, where each is explained; what
-- is explained here is what differs. Times are Unix seconds (UTC), sizes bytes, durations seconds; flags are 0 or 1, and
-- JSON is text, as there. Leases alone go by the server's clock.
--
-- Every table of data leads with `part`, the partition of its host (of the document's host, for what a document says):
-- `part = host_id & (parts - 1)`. Ids of hosts and URLs are made from their texts, those of attempts, versions and
-- changes from their partition's epoch and a counter, so they differ over all partitions and grow within one (see
-- ids.py). No foreign keys, sequences or triggers: a statement touches the partitions that it names, and no others.

-- --- control: small tables that every worker reads and writes ---------------------------------------------------------

CREATE TABLE meta (
    id smallint PRIMARY KEY CHECK (id = 1),
    schema int NOT NULL,
    parts int NOT NULL,         -- a power of two, at most 4,096; can never change, since ids contain partitions
    program text NOT NULL,      -- the version of crawler that made it
    copied_from text,           -- while `crawler copy` fills it: what from; NULL: it is whole
    lease_s double precision NOT NULL DEFAULT 30    -- how long a worker owns its partitions unless it renews
);

CREATE TABLE runs (
    id int PRIMARY KEY,
    started_at double precision NOT NULL,
    ended_at double precision,
    end_reason text,
    pages bigint NOT NULL DEFAULT 0,        -- as of the end; while it runs, `parts` counts them
    requests bigint NOT NULL DEFAULT 0,
    options text NOT NULL,
    summary text,
    requests_noted bigint NOT NULL DEFAULT 0,
    is_open smallint NOT NULL DEFAULT 0,    -- 1: its beginning is done, workers may join
    stop text,                              -- why it is to end; NULL: nobody has said so
    max_pages bigint,                       -- NULL: any number
    granted bigint NOT NULL DEFAULT 0,      -- pages that workers may store, or have stored
    over_at timestamptz,                    -- nothing was left to any worker then; NULL: as far as is known, there is
    figures text                            -- JSON: those of the workers that have left it, added up
);

CREATE TABLE workers (
    id bigint PRIMARY KEY,      -- random, of one incarnation of a process
    name text NOT NULL,         -- for people: host:pid, or --name
    program text NOT NULL,      -- its version of crawler
    run_id int,
    process text NOT NULL,      -- which process of which machine: whoever is on the same one sees that it is dead
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    alive_until timestamptz NOT NULL,       -- from then on, others take it for dead
    alone smallint NOT NULL DEFAULT 0,      -- 1: nobody else may enter: it begins a run, or removes old versions
    leaves smallint NOT NULL DEFAULT 0,     -- 1: it drains
    idle_at timestamptz,                    -- of all that was known then, nothing is left to it; NULL: it has work
    granted bigint NOT NULL DEFAULT 0,      -- of runs.granted
    figures text                            -- JSON: what it has counted, for `status` and the run's summary
);

-- Who owns the hosts of a partition. `epoch` grows with each claim; the owner's results count only if it is the owner
-- in the transaction that stores them.
CREATE TABLE parts (
    part int PRIMARY KEY,
    owner bigint,               -- workers.id; NULL: nobody
    epoch bigint NOT NULL DEFAULT 0,
    lease_until timestamptz NOT NULL DEFAULT '-infinity',   -- from then on, others may claim it
    clean smallint NOT NULL DEFAULT 1,      -- 0: its last owner has not given it back, and may have just sent requests
    run_id int,                 -- the run that run_pages and run_requests count
    run_pages bigint NOT NULL DEFAULT 0,
    run_requests bigint NOT NULL DEFAULT 0,
    commit_id bigint            -- of its owner's last commit: one whose answer was lost is recognized by it
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01);

-- What a worker has stored in a partition, counted by the fence: what a dead one has not used of its grant is known.
CREATE TABLE tallies (
    part int NOT NULL,
    worker bigint NOT NULL,
    run_id int NOT NULL,
    pages bigint NOT NULL,
    requests bigint NOT NULL,
    PRIMARY KEY (part, worker)
) WITH (fillfactor = 50);

-- Seeds that somebody left for the crawl, and words to all workers (a new root, a full host), told by their order.
CREATE TABLE notes (
    id bigint PRIMARY KEY,      -- random
    left_at timestamptz NOT NULL DEFAULT now(),
    taken_until timestamptz NOT NULL DEFAULT '-infinity',   -- a worker is adding them; if it dies, another will
    seeds text NOT NULL         -- JSON: as people give them, [url, ...]
);
CREATE TABLE notices (
    id bigint PRIMARY KEY,      -- random
    run_id int NOT NULL,
    told_at timestamptz NOT NULL DEFAULT now(),
    kind text NOT NULL,
    data text NOT NULL          -- JSON
);
CREATE INDEX notices_told ON notices (run_id, told_at);

-- --- hosts and URLs ---------------------------------------------------------------------------------------------------

-- One writer a row: the owner of the partition, whose transactions also fold `arrivals` into the counts.
CREATE TABLE hosts (
    part int NOT NULL,
    id bigint NOT NULL,
    name text NOT NULL,
    next_due_at double precision,
    back_off_until double precision NOT NULL DEFAULT 0,
    failures int NOT NULL DEFAULT 0,
    run_id int,
    run_pages int NOT NULL DEFAULT 0,
    pending int NOT NULL DEFAULT 0,
    fetched int NOT NULL DEFAULT 0,
    redirected int NOT NULL DEFAULT 0,
    excluded int NOT NULL DEFAULT 0,
    gone int NOT NULL DEFAULT 0,
    failed int NOT NULL DEFAULT 0,
    hints_right int NOT NULL DEFAULT 0,
    hints_wrong int NOT NULL DEFAULT 0,
    domain text,
    pace_s double precision,
    back_off_reason text,
    unstored_links bigint NOT NULL DEFAULT 0,
    run_requests int NOT NULL DEFAULT 0,
    run_requests_noted int NOT NULL DEFAULT 0,
    redesigned_at double precision,
    PRIMARY KEY (part, id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01);
CREATE INDEX hosts_noted ON hosts (part) WHERE run_requests_noted > 0;     -- few: those with max-requests of their own
CREATE INDEX hosts_due ON hosts (part, next_due_at, id) WHERE next_due_at IS NOT NULL;

-- What was added to a host, or changed of it, by whoever is not its owner, or does not know: for its owner to fold. Were
-- the finder to set next_due_at itself, it could miss what the owner is about to set, and the URL would never be fetched.
-- A row of zeros says that something may be due: whoever folds it computes next_due_at anew.
CREATE TABLE arrivals (
    part int NOT NULL,
    host_id bigint NOT NULL,
    pending int NOT NULL,       -- to be added to the host's counts; negative where URLs have left them
    excluded int NOT NULL,
    fetched int NOT NULL DEFAULT 0,
    failed int NOT NULL DEFAULT 0,
    unstored_links int NOT NULL DEFAULT 0
) WITH (autovacuum_vacuum_scale_factor = 0.01);
CREATE INDEX arrivals_of_host ON arrivals (part, host_id);

-- Places of hosts within their domain (--max-hosts-per-domain); `part` by the domain's hash.
CREATE TABLE domains (
    part int NOT NULL,
    domain text NOT NULL,
    hosts int NOT NULL,
    PRIMARY KEY (part, domain)
);

CREATE TABLE origins (
    part int NOT NULL,
    host_id bigint NOT NULL,
    origin text NOT NULL,
    robots_status int,
    robots_body bytea,
    robots_fetched_at double precision,
    robots_expires_at double precision,
    robots_failures int NOT NULL DEFAULT 0,
    paused_until double precision NOT NULL DEFAULT 0,
    pause_reason text,
    PRIMARY KEY (part, host_id, origin)
);
CREATE INDEX origins_paused ON origins (part, paused_until) WHERE paused_until > 0;

CREATE TABLE urls (
    part int NOT NULL,
    host_id bigint NOT NULL,
    id bigint NOT NULL,
    url text NOT NULL,
    kind text NOT NULL,
    status text NOT NULL,
    reason text,
    depth int NOT NULL,
    hops smallint NOT NULL DEFAULT 0,
    seed smallint NOT NULL DEFAULT 0,
    attempts int NOT NULL DEFAULT 0,
    discovered_at double precision NOT NULL,
    fetched_at double precision,
    next_fetch_at double precision,
    page_id bigint,
    etag text,
    last_modified text,
    revisit_at double precision,
    changes double precision,
    watched_s double precision,
    promise_s double precision,
    new_links double precision NOT NULL DEFAULT 0,
    hinted smallint NOT NULL DEFAULT 0,
    cause text,
    detail text,
    failing_since double precision,
    failing_reason text,
    links_cut_at int,
    found_on_host bigint,       -- of found_on: its host, by which its partition is known
    found_on bigint,
    found_by text,
    unread_type text,
    PRIMARY KEY (part, host_id, id)
) WITH (fillfactor = 90);
CREATE INDEX urls_due ON urls (part, host_id, next_fetch_at) WHERE next_fetch_at IS NOT NULL;
CREATE INDEX urls_seeds ON urls (seed) WHERE seed > 0;
CREATE INDEX urls_excluded ON urls (part, host_id, cause, reason, id) WHERE status = 'excluded';
CREATE INDEX urls_failed ON urls (part, reason) WHERE status = 'failed' AND kind <> 'robots';
CREATE INDEX urls_answered ON urls (part, host_id, fetched_at)
    WHERE status IN ('fetched', 'redirected', 'gone') AND kind <> 'robots' AND next_fetch_at IS NULL;
CREATE INDEX urls_revisit ON urls (part, host_id, revisit_at) WHERE revisit_at IS NOT NULL;
CREATE INDEX urls_cut ON urls (part, links_cut_at) WHERE links_cut_at IS NOT NULL;
-- As SQLite has it: what has no plan comes first.
CREATE INDEX urls_hubs ON urls (part, host_id, revisit_at NULLS FIRST) WHERE seed > 0 OR new_links >= 0.25;
CREATE INDEX urls_hinted ON urls (part, host_id) WHERE hinted = 1;
CREATE INDEX urls_retried ON urls (part, host_id, revisit_at) WHERE status = 'failed' AND revisit_at IS NOT NULL;
CREATE INDEX urls_failing ON urls (part, failing_since)
    WHERE failing_reason IS NOT NULL AND status IN ('fetched', 'redirected', 'gone');

CREATE TABLE places (
    part int NOT NULL,
    host_id bigint NOT NULL,
    place text NOT NULL,
    run_id int NOT NULL,
    looks double precision NOT NULL,
    scores bytea NOT NULL,
    PRIMARY KEY (part, host_id, place)
);

-- --- attempts, versions, and what documents say -----------------------------------------------------------------------

CREATE TABLE fetches (
    part int NOT NULL,
    id bigint NOT NULL,
    host_id bigint NOT NULL,
    url_id bigint NOT NULL,
    run_id int NOT NULL,
    started_at double precision NOT NULL,
    elapsed_s double precision NOT NULL,
    status_code int,
    failure text,
    message text,
    content_type text,
    bytes bigint,
    truncated smallint NOT NULL DEFAULT 0,
    redirect_url text,
    address text,
    reused smallint NOT NULL DEFAULT 0,
    body_hash bytea,
    first_byte_s double precision,
    head_id bigint,             -- of the same partition
    head_values text,
    PRIMARY KEY (part, id)
);
CREATE INDEX fetches_unread ON fetches (part, url_id) WHERE body_hash IS NOT NULL;
CREATE INDEX fetches_gone ON fetches (part, url_id) WHERE status_code IN (404, 410);

-- Once for each partition. Its id is made from its hash, so nobody has to read it back.
CREATE TABLE heads (
    part int NOT NULL,
    id bigint NOT NULL,
    hash bytea NOT NULL,
    fields text NOT NULL,
    PRIMARY KEY (part, id)
);

CREATE TABLE pages (
    part int NOT NULL,
    id bigint NOT NULL,
    host_id bigint NOT NULL,
    url_id bigint NOT NULL,
    fetch_id bigint NOT NULL,
    title text,
    description text,
    language text,
    canonical_url text,
    text text NOT NULL,
    encoding text NOT NULL,
    headings text NOT NULL,
    open_graph text NOT NULL,
    json_ld text NOT NULL,
    noindex smallint NOT NULL DEFAULT 0,
    nofollow smallint NOT NULL DEFAULT 0,
    truncated smallint NOT NULL DEFAULT 0,
    links_total int NOT NULL DEFAULT 0,
    body_hash bytea,
    content_hash bytea NOT NULL,
    reader_version int,
    metadata_hash bytea,
    content_type text,
    encoding_source text,
    metas text,
    author text,
    published_at double precision,
    modified_at double precision,
    alternates text,
    next_url text,
    prev_url text,
    site_name text,
    icon_url text,
    resources text,
    link_details text,          -- JSON: [[target_id, position, anchor, fragment], ...], as in SQLite
    fields text,
    PRIMARY KEY (part, id)
);
CREATE INDEX pages_of_url ON pages (part, url_id, id);

-- The links of a version, in one row: a row a link costs 2.2 times the log, and half the pages a second. The view
-- `links` unfolds it. JSON: [[target_host_id, target_id, anchor, rel, nofollow], ...]
CREATE TABLE page_links (
    part int NOT NULL,
    page_id bigint NOT NULL,
    links text NOT NULL,
    PRIMARY KEY (part, page_id)
);
CREATE VIEW links AS
SELECT l.part, l.page_id, (e ->> 0)::bigint AS target_host_id, (e ->> 1)::bigint AS target_id, e ->> 2 AS anchor,
    e ->> 3 AS rel, (e ->> 4)::smallint AS nofollow
FROM page_links AS l CROSS JOIN LATERAL json_array_elements(l.links::json) AS e;

-- Equal bytes are kept once a partition.
CREATE TABLE bodies (
    part int NOT NULL,
    hash bytea NOT NULL,
    size int NOT NULL,
    zstd bytea NOT NULL,
    PRIMARY KEY (part, hash)
);
ALTER TABLE bodies ALTER zstd SET STORAGE EXTERNAL;

CREATE TABLE sitemap_entries (
    part int NOT NULL,          -- of the sitemap's host
    sitemap_id bigint NOT NULL,
    url_host_id bigint NOT NULL,
    url_id bigint NOT NULL,
    lastmod double precision,
    data text,
    PRIMARY KEY (part, sitemap_id, url_id)
);

CREATE TABLE change_log (
    part int NOT NULL,
    id bigint NOT NULL,
    host_id bigint NOT NULL,
    url_id bigint NOT NULL,
    run_id int NOT NULL,
    at double precision NOT NULL,
    change text NOT NULL,
    page_id bigint,
    detail text,
    PRIMARY KEY (part, id)
);
CREATE INDEX change_log_states ON change_log (part, url_id, id) WHERE page_id IS NULL;
CREATE TABLE change_log_pruned (
    part int PRIMARY KEY,
    upto bigint NOT NULL
);

-- --- extraction rules -------------------------------------------------------------------------------------------------

CREATE TABLE extraction_rules (
    name text PRIMARY KEY,
    definition text NOT NULL
);
-- How far a rule has read in each partition that had versions when the rule was new, or became another: those after
-- read_upto, up to unread_upto, were not read by the rule as it is.
CREATE TABLE extraction_reads (
    part int NOT NULL,
    rule text NOT NULL,
    read_upto bigint NOT NULL,
    unread_upto bigint NOT NULL,
    PRIMARY KEY (part, rule)
);
CREATE TABLE extracts (
    part int NOT NULL,
    page_id bigint NOT NULL,
    rule text NOT NULL,
    n int NOT NULL,
    data text NOT NULL,
    PRIMARY KEY (part, page_id, rule, n)
);
CREATE INDEX extracts_of_rule ON extracts (part, rule);
CREATE TABLE extract_misses (
    part int NOT NULL,
    page_id bigint NOT NULL,
    rule text NOT NULL,
    run_id int,
    found int NOT NULL,
    lacking text NOT NULL,
    cut smallint NOT NULL,
    lost smallint NOT NULL,
    PRIMARY KEY (part, page_id, rule)
);
