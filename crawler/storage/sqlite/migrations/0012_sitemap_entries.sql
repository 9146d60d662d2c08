-- What sitemaps and feeds say of the URLs that they name. Of those read by older versions, nothing was kept.

CREATE TABLE sitemap_entries (
    sitemap_id INTEGER NOT NULL REFERENCES urls (id),
    url_id INTEGER NOT NULL REFERENCES urls (id),
    lastmod REAL,               -- NULL: it says nothing of that
    data TEXT,                  -- JSON object of what else it says: priority, changefreq, alternates, images, title
    PRIMARY KEY (sitemap_id, url_id)
) WITHOUT ROWID;
CREATE INDEX sitemap_entries_of_url ON sitemap_entries (url_id);
