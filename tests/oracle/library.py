"""What a JavaScript library of the Encoding Standard says: the oracle that the committed hashes come from.

The library is npm's `@exodus/bytes`, unpacked anywhere: it has all decoders and encoders of the standard. It is asked
by Node.js, in a process of its own, and nothing of it is committed.
"""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

_PROGRAM = """
import fs from "node:fs";
const [folder, kind, encoding] = process.argv.slice(1);
const {TextDecoder} = await import(`${folder}/encoding.js`);
const {percentEncodeAfterEncoding} = await import(`${folder}/whatwg.js`);
const input = fs.readFileSync(0), found = [], utf8 = new TextDecoder("utf-8", {ignoreBOM: true});
for (let at = 0; at < input.length;) {
  const length = input.readUInt32LE(at), item = new Uint8Array(input.subarray(at + 4, at + 4 + length));
  found.push(kind == "decode" ? new TextDecoder(encoding).decode(item).replaceAll("\\0", "\\ufffd")
                              : percentEncodeAfterEncoding(encoding, utf8.decode(item), ` "#'<>`));
  at += 4 + length;
}
process.stdout.write(found.join("\\0"));
"""


def ask(folder: Path, kind: str, encoding: str, items: Sequence[bytes]) -> list[str]:
    """The library's answer for each item. `folder` is where the package lies: .../node_modules/@exodus/bytes.

    `decode` gives the text; `query` takes UTF-8 and gives the query of a URL in a document of that encoding. NUL is
    U+FFFD.
    """
    node = shutil.which("node")
    assert node is not None, "install Node.js"
    command = [node, "--input-type=module", "--eval", _PROGRAM, str(folder.resolve()), kind, encoding]
    packed = b"".join(struct.pack("<I", len(item)) + item for item in items)
    answers = subprocess.run(command, input=packed, stdout=subprocess.PIPE, check=True).stdout.decode().split("\0")
    assert len(answers) == len(items)
    return answers


def version_of(folder: Path) -> str:
    """As its package says."""
    return str(json.loads((folder / "package.json").read_bytes())["version"])
