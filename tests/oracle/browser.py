"""A headless Chromium that decodes, encodes and resolves for us, over a server on loopback that only it talks to.

The browser is started once for all questions, asks for one after another, and sends each answer back. A question runs
in a frame whose document has the encoding that the question is about: queries of its links are encoded in it.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

ANSWER_S = 120.0

# Items come as a 32-bit length (little endian) and the bytes. Answers go back joined by NUL, which none of them holds.
_PAGE = """<!doctype html><meta charset=utf-8><script>
const items = (buffer) => {
  const view = new DataView(buffer), found = [];
  for (let at = 0; at < buffer.byteLength;) {
    const length = view.getUint32(at, true);
    found.push(new Uint8Array(buffer, at + 4, length));
    at += 4 + length;
  }
  return found;
};
const utf8 = new TextDecoder("utf-8", {ignoreBOM: true});
const answers = {
  decode(charset, bytes) {
    return bytes.map((each) => new TextDecoder(charset).decode(each));  // a used one remembers (Chromium 156)
  },
  async resolve(charset, bytes) {
    const frame = document.createElement("iframe");
    frame.src = `/frame?charset=${charset}`;
    document.body.append(frame);
    await new Promise((done) => { frame.onload = done; });
    const link = frame.contentDocument.createElement("a");
    return bytes.map((each) => { link.setAttribute("href", utf8.decode(each)); return link.href; });
  },
};
onload = async () => {
  for (let question; (question = await fetch("/question")).status == 200;) {
    const [kind, charset] = question.headers.get("X-Question").split(" ");
    let text;
    try {
      const found = await answers[kind](charset, items(await question.arrayBuffer()));
      text = found.map((each) => each.replaceAll("\\0", "\\ufffd")).join("\\0");
    } catch (error) { text = `${error}`; }
    await fetch("/answer", {method: "POST", body: text});
  }
};
</script><body>"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What to do with each item: `decode` its bytes, or `resolve` it, an href, in a document of that encoding."""

    kind: str
    encoding: str
    items: Sequence[bytes]


def chromium() -> str | None:
    """The program, where it is installed."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def ask(questions: Sequence[Question]) -> list[list[str]]:
    """The browser's answers, an equal number for each question; NUL in them is U+FFFD, as in all that we store.

    Hrefs are resolved against the frame's own URL, `http://127.0.0.1:PORT/frame?charset=...`.
    """
    program = chromium()
    assert program is not None
    server = _Server(questions)
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
        command += [f"--user-data-dir={profile}", "--disable-background-networking", "--remote-debugging-port=0"]
        process = subprocess.Popen([*command, server.url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            assert server.done.wait(ANSWER_S * len(questions)), "the browser did not answer in time"
        finally:
            process.terminate()
            process.wait(30)
            server.shutdown()
            server.server_close()
    for question, answer in zip(questions, server.answers, strict=True):
        assert len(answer) == len(question.items), f"{question.kind} {question.encoding}: {answer[0][:200]}"
    return server.answers


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, questions: Sequence[Question]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.questions = iter(questions)
        self.answers: list[list[str]] = []
        self.done = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        where = urlsplit(self.path)
        if where.path == "/":
            self._reply(_PAGE.encode(), {"Content-Type": "text/html"})
        elif where.path == "/frame":
            self._reply(b"<p>", {"Content-Type": f"text/html; charset={parse_qs(where.query)['charset'][0]}"})
        elif where.path == "/question" and (question := next(self.server.questions, None)) is not None:
            packed = b"".join(struct.pack("<I", len(item)) + item for item in question.items)
            self._reply(packed, {"X-Question": f"{question.kind} {question.encoding}"})
        elif where.path == "/question":
            self._reply(b"", {}, 204)
            self.server.done.set()
        else:
            self._reply(b"", {}, 404)

    def do_POST(self) -> None:
        answer = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.answers.append(answer.split("\0"))
        self._reply(b"", {}, 200)

    def _reply(self, body: bytes, headers: dict[str, str], status: int = 200) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
        """Nobody reads it."""
