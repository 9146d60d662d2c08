"""CDXJ: a line for each capture, as pywb writes and reads them, sorted once a file is complete."""

from __future__ import annotations

import os
from base64 import b32encode
from datetime import UTC, datetime
from pathlib import Path

import orjson

from crawler.temporary import temporary_file
from crawler.warc.capture import Indexed
from crawler.warc.surt import surt

_PREFIX = ".crawler."  # of a temporary file


def index_line(capture: Indexed, *, name: str, offset: int, length: int) -> bytes:
    """The line of a capture whose record is so many bytes of the file `name`, from `offset` on."""
    fields = {
        "url": capture.url,
        "mime": capture.mime,
        "status": capture.status,
        "digest": b32encode(capture.digest).decode(),
        "length": str(length),
        "offset": str(offset),
        "filename": name,
    }
    told = orjson.dumps({field: value for field, value in fields.items() if value is not None})
    return f"{surt(capture.url)} {datetime.fromtimestamp(capture.at, UTC):%Y%m%d%H%M%S} ".encode() + told + b"\n"


def write_index(lines: Path, index: Path) -> None:
    """Write the lines, sorted by their bytes, in the place of `index`. Raises `OSError`."""
    with lines.open("rb") as unsorted, temporary_file(index.parent, _PREFIX) as temporary:
        with temporary.open("wb") as file:
            file.writelines(sorted(unsorted))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(index)
