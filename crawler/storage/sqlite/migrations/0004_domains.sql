-- How many hosts a registrable domain has: a wildcard in the DNS makes endlessly many.

ALTER TABLE hosts ADD COLUMN domain TEXT;   -- NULL: no URL of it was taken in, or no run has asked for domains since
CREATE INDEX hosts_of_domain ON hosts (domain) WHERE domain IS NOT NULL;
