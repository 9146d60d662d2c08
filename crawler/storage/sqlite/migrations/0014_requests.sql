-- Limits of requests, for a run and for a host: how many were sent, and how many may have been, should the run be killed.

ALTER TABLE runs ADD COLUMN requests_noted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE hosts ADD COLUMN run_requests INTEGER NOT NULL DEFAULT 0;
ALTER TABLE hosts ADD COLUMN run_requests_noted INTEGER NOT NULL DEFAULT 0;
