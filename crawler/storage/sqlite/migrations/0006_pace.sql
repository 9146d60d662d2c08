-- Who is to blame, and for how long: a host for its name, an origin for its robots.txt and for the pauses it asks for.

ALTER TABLE hosts ADD COLUMN pace_s REAL;           -- the delay to which adaptive pacing has slowed it; NULL: not slowed
ALTER TABLE hosts ADD COLUMN back_off_reason TEXT;  -- why back_off_until; NULL: the delay between two requests

ALTER TABLE origins ADD COLUMN paused_until REAL NOT NULL DEFAULT 0;    -- nothing is asked of it before
ALTER TABLE origins ADD COLUMN pause_reason TEXT;
CREATE INDEX origins_paused ON origins (paused_until) WHERE paused_until > 0;

-- robots_fetched_at is when robots_body was read. Where that is NULL, no copy was ever read; while robots_failures > 0,
-- the copy of then is obeyed for 30 days.
UPDATE origins SET robots_body = NULL, robots_fetched_at = NULL WHERE robots_failures > 0 AND length(robots_body) = 0;
