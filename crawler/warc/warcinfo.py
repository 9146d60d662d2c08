"""The record with which each file begins: who wrote it, and how."""

from __future__ import annotations

import time
from uuid import uuid4

from crawler.release import VERSION
from crawler.statically_frozen import dataclass
from crawler.warc.record import CONFORMS_TO, WARC_FIELDS, Record, fields_block, warc_date


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a file says of the crawl that it is from. `robots` is a policy, as Heritrix names them."""

    user_agent: str
    robots: str

    def record(self, name: str) -> Record:
        """The record of the file `name`."""
        told = {
            "software": f"crawler/{VERSION}",
            "format": "WARC File Format 1.1",
            "conformsTo": CONFORMS_TO,
            "robots": self.robots,
            "http-header-user-agent": self.user_agent,
            "isPartOf": name.rpartition("-")[0],
        }
        fields = (
            ("WARC-Type", "warcinfo"),
            ("WARC-Record-ID", f"<{uuid4().urn}>"),
            ("WARC-Date", warc_date(time.time())),
            ("WARC-Filename", name),
            ("Content-Type", WARC_FIELDS),
        )
        return Record(fields=fields, block=fields_block(told.items()))
