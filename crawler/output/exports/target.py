"""Where an export goes: standard output, a file that takes its place when it is whole, or a folder."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from crawler.output.files import replacing
from crawler.statically_frozen import dataclass

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FLAG = "FILE"  # what messages call it


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """`path` None: standard output. `is_folder`: the path is that of a folder, which need not exist yet."""

    path: Path | None = None
    is_folder: bool = False

    @property
    def is_terminal(self) -> bool:
        """Whether a person looks at what is written."""
        return self.path is None and sys.stdout.isatty()

    @property
    def folder(self) -> Path:
        """The folder. Raises `ValueError` where it is none."""
        if self.path is None or not self.is_folder:
            raise ValueError("this export does not go to a folder")
        return self.path

    @contextmanager
    def stream(self, *, is_packed: bool = False) -> Iterator[BinaryIO]:
        """To write all of it to, once. A file whose name ends with .gz or .zst is compressed, unless what is written
        `is_packed` already.
        """
        if self.path is None:
            yield sys.stdout.buffer
            return
        with replacing(FLAG, self.path) as file, compressed(file, "" if is_packed else self.path.suffix) as stream:
            yield stream


@contextmanager
def compressed(file: BinaryIO, suffix: str) -> Iterator[BinaryIO]:
    """What is written reaches the file compressed, if its name ends so: .gz or .zst."""
    if suffix == ".gz":
        with gzip.GzipFile("", "wb", fileobj=file, compresslevel=6, mtime=0) as packed:
            yield cast(BinaryIO, packed)
    elif suffix == ".zst":
        with zstd.ZstdFile(file, "wb") as packed_by_zstd:
            yield cast(BinaryIO, packed_by_zstd)
    else:
        yield file


@contextmanager
def decompressed(file: BinaryIO, suffix: str) -> Iterator[BinaryIO]:
    """What `compressed` has written."""
    if suffix == ".gz":
        with gzip.GzipFile(fileobj=file) as unpacked:
            yield cast(BinaryIO, unpacked)
    elif suffix == ".zst":
        with zstd.ZstdFile(file) as unpacked_by_zstd:
            yield cast(BinaryIO, unpacked_by_zstd)
    else:
        yield file
