-- Why a URL is excluded, failed or waits, in parts; `reason` stays, as the text that people and their queries read.

ALTER TABLE urls ADD COLUMN cause TEXT;     -- scope, robots, 'trap: session ids' ...; timeout, dns ...; http
ALTER TABLE urls ADD COLUMN detail TEXT;    -- what the cause speaks of: a rule, a place, a domain, a status; or nothing

DROP INDEX urls_excluded;
UPDATE urls SET
    cause = CASE
        WHEN reason GLOB 'robots: *' THEN 'robots'
        WHEN reason GLOB 'http *' THEN 'http'
        WHEN reason GLOB 'trap: pages alike in *' THEN 'trap: pages alike in'
        WHEN reason GLOB 'trap: hosts of the domain *' THEN 'trap: hosts of the domain'
        ELSE reason
    END,
    detail = CASE
        WHEN reason GLOB 'robots: *' THEN substr(reason, 9)
        WHEN reason GLOB 'http *' THEN substr(reason, 6)
        WHEN reason GLOB 'trap: pages alike in *' THEN substr(reason, 22)
        WHEN reason GLOB 'trap: hosts of the domain *' THEN substr(reason, 27)
    END
WHERE reason IS NOT NULL;
CREATE INDEX urls_excluded ON urls (host_id, cause, reason) WHERE status = 'excluded';
