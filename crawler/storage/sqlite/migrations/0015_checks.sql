-- URLs that are only checked (`--check external`, `--check resources`), and when each host has one due.

CREATE TABLE checks (
    id INTEGER PRIMARY KEY,
    url TEXT NOT NULL UNIQUE,
    host_id INTEGER NOT NULL REFERENCES hosts (id),
    link_run INTEGER,           -- the last run that found a link to it on a current page; NULL: there is none
    resource_run INTEGER,       -- the last run that found a current page that loads it; NULL: there is none
    hops INTEGER NOT NULL DEFAULT 0,        -- redirects in a row that led here
    attempts INTEGER NOT NULL DEFAULT 0,    -- failed ones of a check that is not over
    due_at REAL,                -- NULL: nothing is planned
    run_id INTEGER,             -- the run that checked it last; NULL: none has, and all that follows is unknown
    checked_at REAL,
    verdict TEXT,               -- good, gone, blocked, unreachable, failed, loop, not_asked, redirected
    cause TEXT,                 -- http 404, dns, robots: line 3: Disallow: /x ...; NULL: all is well
    status_code INTEGER,
    message TEXT,               -- a failure in words
    redirect_url TEXT,          -- whose row, here or in urls, has the verdict
    recent TEXT NOT NULL DEFAULT '',        -- the last ten verdicts, the newest last: + good, - not
    good_at REAL,               -- when it was good last
    broken_since REAL           -- the first verdict since then that was not; NULL: it is good
);
CREATE INDEX checks_due ON checks (host_id, due_at) WHERE due_at IS NOT NULL;

ALTER TABLE hosts ADD COLUMN next_check_at REAL;    -- the earliest due_at of its checks, but not before back_off_until
CREATE INDEX hosts_checks ON hosts (next_check_at) WHERE next_check_at IS NOT NULL;
