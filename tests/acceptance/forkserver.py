"""A process that has imported the whole crawler and forks a child for each command line.

An exec of `python -m crawler` spends 0.3 s of processor time on imports, most of what a crawl of one page costs. A
forked command has its own folder, arguments and standard streams, but the server's environment, because much of that is
read by imports. Its parser processes are executed, as always.

Invariants: the server forks while it has one thread and no event loop. It is no child of the process that started it,
for some tests kill all of their children, and ends with it all the same.
"""

from __future__ import annotations

import atexit
import gc
import io
import json
import os
import pkgutil
import select
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from functools import cache
from importlib import import_module
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

_ROOT = Path(__file__).parents[2]
_HEADER = struct.Struct("<I")  # length of the JSON that follows; the files of the command come with it
_FILES = 4  # standard input, output and error; the report on the process
_HEAVY = {"crawler.web.mcp", "crawler.output.exports.parquet"}  # half of all memory, which each fork pays for


class ForkServer:
    """The server as the tests see it. Several threads may use it at the same time."""

    def __init__(self, *options: str) -> None:
        """Start it. `options` are the interpreter's, as in `python OPTIONS -m crawler`."""
        self._channel, its_end = socket.socketpair()
        self._sending = threading.Lock()
        with its_end:
            self._starter = subprocess.Popen(
                [sys.executable, *options, "-m", __name__, str(its_end.fileno())],
                # Pipes like those of a command: Python makes its stream objects before the fork.
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                pass_fds=[its_end.fileno()], cwd=_ROOT,
            )  # fmt: skip
        self._starter.wait()

    def start(self, arguments: Sequence[str], *, stdin: str = "", cwd: Path) -> ForkedCommand:
        """Run `crawler ARGUMENTS` in the environment in which the server was started, its output captured as text."""
        with ExitStack() as ours, ExitStack() as its:
            given, our_stdin = _pipe(its, ours)
            our_stdin.write(stdin.encode())  # less than the pipe holds
            our_stdin.close()
            ends = [_pipe(ours, its) for _ in range(_FILES - 1)]
            self._send({"arguments": list(arguments), "cwd": str(cwd)}, [given, *(write for _read, write in ends)])
            its.close()
            command = ForkedCommand(arguments, *(read for read, _write in ends))
            ours.pop_all()
        return command if command.pid else self._fail()

    def run(
        self, arguments: Sequence[str], *, stdin: str, timeout_s: float, cwd: Path
    ) -> subprocess.CompletedProcess[str]:
        """As `start`, until it ends.

        Raises `subprocess.TimeoutExpired` where that takes longer, and kills the command.
        """
        command = self.start(arguments, stdin=stdin, cwd=cwd)
        out, err = command.communicate(timeout=timeout_s)
        return subprocess.CompletedProcess(list(arguments), command.returncode, out, err)

    def close(self) -> None:
        """End the server."""
        self._channel.close()
        self._starter.communicate(timeout=20)

    def _send(self, command: dict[str, Any], files: Sequence[BinaryIO]) -> None:
        message = json.dumps(command).encode()
        try:
            with self._sending:
                socket.send_fds(self._channel, [_HEADER.pack(len(message))], [file.fileno() for file in files])
                self._channel.sendall(message)
        except BrokenPipeError:
            self._fail()

    def _fail(self) -> NoReturn:
        self._channel.close()
        raise RuntimeError(f"the fork server has ended: {self._starter.communicate()[1].decode()}")


class ForkedCommand(subprocess.Popen[str]):
    """What tests use of `subprocess.Popen`, for a command that is no child of theirs."""

    _child_created = False  # not to be looked for among the children of this process

    def __init__(self, arguments: Sequence[str], stdout: FileIO, stderr: FileIO, report: FileIO) -> None:
        """Waits until it is forked; `pid` is 0 where it is not."""
        self.args = list(arguments)
        self.stdin = None
        self.stdout, self.stderr = (io.TextIOWrapper(io.BufferedReader(file)) for file in (stdout, stderr))
        self.returncode = None
        self._report = report
        self._said: tuple[str, str] | None = None
        self.pid = int(b"".join(iter(lambda: report.read(1).strip(), b"")) or 0)

    def poll(self) -> int | None:
        """See `subprocess.Popen.poll`."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """See `subprocess.Popen.wait`."""
        status = self._ended(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return status

    def communicate(self, input: str | None = None, timeout: float | None = None) -> tuple[str, str]:  # noqa: A002
        """See `subprocess.Popen.communicate`; but what takes too long is killed."""
        assert input is None
        if self._said is None:
            with self, ThreadPoolExecutor(2) as readers:
                reading = [readers.submit(file.read) for file in (self.stdout, self.stderr) if file is not None]
                if wait(reading, timeout).not_done:
                    self.kill()
                    raise subprocess.TimeoutExpired(self.args, timeout or 0)
            out, err = (read.result() for read in reading)
            self._said = out, err
        return self._said

    def _ended(self, timeout_s: float | None) -> int | None:
        if self.returncode is None and _is_readable(self._report, timeout_s):
            self.returncode = os.waitstatus_to_exitcode(int(self._report.read()))
            self._report.close()
        return self.returncode


def _is_readable(file: FileIO, timeout_s: float | None) -> bool:
    """Whether it is, within that time. Not by select(), which knows the first 1,024 files of a process only."""
    poll = select.poll()
    poll.register(file, select.POLLIN)
    return bool(poll.poll(None if timeout_s is None else 1000 * timeout_s))


def _pipe(reader: ExitStack, writer: ExitStack) -> tuple[FileIO, FileIO]:
    read, write = os.pipe()
    return reader.enter_context(os.fdopen(read, "rb", 0)), writer.enter_context(os.fdopen(write, "wb", 0))


@cache
def fork_server(*options: str) -> ForkServer:
    """One server for all tests of this process."""
    server = ForkServer(*options)
    atexit.register(server.close)
    return server


# --- the server's own process -------------------------------------------------------------------------------------


def main() -> None:
    """Serve until the tests end. A forked child returns from `_serve`, too, and runs its command."""
    if os.fork():
        os._exit(0)
    _import_all()
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        is_command = _serve(channel)
    if is_command:
        _run_command()


def _import_all() -> None:
    """Import what a command may need, once for all of them."""
    gc.disable()  # no garbage, and so no holes in the pages of memory that the children share
    for module in pkgutil.walk_packages(import_module("crawler").__path__, "crawler."):
        if module.name in _HEAVY:
            continue
        with _without_extras():
            import_module(module.name)
    import_module("uvloop")
    with redirect_stdout(io.StringIO()):
        import_module("crawler.cli.commands").run(["--version"])  # Typer imports half of itself when it parses
    gc.freeze()


@contextmanager
def _without_extras() -> Iterator[None]:
    """A module may need what only an extra installs."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("crawler"):
            raise


def _serve(channel: socket.socket) -> bool:
    """Fork a child for each command. Returns whether this process is such a child, and not the server at its end."""
    assert threading.active_count() == 1
    while (received := socket.recv_fds(channel, _HEADER.size, _FILES))[0]:
        header, files, *_ = received
        (length,) = _HEADER.unpack(header)
        command = json.loads(channel.recv(length, socket.MSG_WAITALL))
        if os.fork() == 0:
            _fork_command(*files)
            _become(command)
            return True
        for file in files:
            os.close(file)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    return False


def _fork_command(stdin: int, stdout: int, stderr: int, report: int) -> None:
    """Fork once more, because only a parent learns how a process ended. Returns in the child."""
    pid = os.fork()
    if pid:
        for file in (stdin, stdout, stderr):
            os.close(file)
        os.write(report, b"%d " % pid)
        os.write(report, b"%d" % os.waitpid(pid, 0)[1])
        os._exit(0)
    os.close(report)
    for number, file in enumerate((stdin, stdout, stderr)):
        os.dup2(file, number)
        os.close(file)


def _become(command: dict[str, Any]) -> None:
    """Take over what `python -m crawler` has from its start on."""
    os.chdir(command["cwd"])
    program = sys.modules["__main__"] = import_module("crawler.__main__")
    sys.argv = [str(program.__file__), *command["arguments"]]
    sys.path[0] = command["cwd"]
    gc.enable()


def _run_command() -> None:
    """Run the command and end as an interpreter does, but for taking apart all that was imported: that takes as long as
    the crawl of a page. What the command left open is found, and said on standard error, where nothing refers to it.
    """
    try:
        import_module("crawler.__main__").main()
    except SystemExit as end:  # anything else is for the interpreter to report
        status = int(end.code or 0)
    threading._shutdown()  # type: ignore[attr-defined]  # joins the threads
    atexit._run_exitfuncs()
    gc.collect()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
