"""Make the committed data of the legacy encodings anew from the standard's tables.

    python -m tests.oracle FOLDER     FOLDER: npm's @exodus/bytes, unpacked (npm install @exodus/bytes)

It writes `crawler/charsets/differences.py`, what Python's codecs lack or have otherwise, and
`tests/oracle/hashes.json`, a hash of each whole table, which the tests compare with our own without the library.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from tests.oracle import library
from tests.oracle.differences import source_of
from tests.oracle.tables import LEGACY, MULTI_BYTE, SINGLE_BYTE, characters, sequences, table_hash

ROOT = Path(__file__).parents[2]
HASHES = Path(__file__).with_name("hashes.json")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.oracle", description=__doc__)
    parser.add_argument("folder", type=Path, help="npm's @exodus/bytes, unpacked")
    folder: Path = parser.parse_args().folder
    decoders = {name: _decoder_table(folder, name) for name in SINGLE_BYTE + MULTI_BYTE}
    target = ROOT / "crawler/charsets/differences.py"
    target.write_text(source_of(decoders), encoding="utf-8")
    subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", str(target)], check=True)
    hashes = {
        "made_by": f"@exodus/bytes {library.version_of(folder)}",
        "decoders": {name: table_hash(table.values()) for name, table in decoders.items()},
        "encoders": {name: table_hash(_queries(folder, name)) for name in LEGACY},
    }
    HASHES.write_text(json.dumps(hashes, indent=2) + "\n", encoding="ascii")


def _decoder_table(folder: Path, encoding: str) -> dict[bytes, str]:
    items = sequences(encoding)
    return dict(zip(items, library.ask(folder, "decode", encoding, items), strict=True))


def _queries(folder: Path, encoding: str) -> list[str]:
    return library.ask(folder, "query", encoding, [text.encode() for text in characters(encoding)])


if __name__ == "__main__":
    main()
