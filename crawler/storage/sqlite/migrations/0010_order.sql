-- What is fetched again is chosen by plan, what a sitemap says has changed first: see due.py.

DROP INDEX urls_hubs;
CREATE INDEX urls_hubs ON urls (host_id, revisit_at) WHERE seed > 0 OR new_links >= 0.25;
CREATE INDEX urls_hinted ON urls (host_id) WHERE hinted = 1;
