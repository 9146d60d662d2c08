"""What the figures were measured on."""

from __future__ import annotations

import json
import os
import platform
import re
import sqlite3
import ssl
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from crawler.content.accelerated import fastest_walk
from tests.benchmarks.measure import ROOT
from tests.benchmarks.servers import program

# Debian leaves the flags of PGO and LTO, with which it builds, out of what its Python says of itself.
_BUILD = """
import platform, sys, sysconfig
flags = " ".join(str(sysconfig.get_config_var(name)) for name in ("CONFIG_ARGS", "PY_CORE_CFLAGS", "PY_CORE_LDFLAGS"))
if sys.base_prefix == "/usr" and platform.freedesktop_os_release().get("ID") == "debian":
    build = "Debian's, with PGO and LTO"
else:
    pgo = "--enable-optimizations" in flags or "-fprofile-use" in flags
    lto = "--with-lto" in flags or "-flto" in flags
    build = f"{'with' if pgo else 'without'} PGO, {'with' if lto else 'without'} LTO"
print(f"{platform.python_implementation()} {platform.python_version()} ({build})")
"""
_VERSION = re.compile(r"\d+(?:[.]\d+)+")
_PACKAGES = ("crawler", "aiohttp", "uvloop", "selectolax", "orjson")


def machine(peers_python: str, node_modules: Path | None, others: Mapping[str, str]) -> dict[str, Any]:
    """Cores, processor, memory, and the versions of all that takes part."""
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpu": _cpu(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": platform.platform(),
        "python": _python(sys.executable),
        "html": fastest_walk()[1],
        "other pythons": {name: _python(python) for name, python in others.items()},
        "openssl": ssl.OPENSSL_VERSION,
        "sqlite": sqlite3.sqlite_version,
        "versions": {name: version(name) for name in _PACKAGES} | _programs(peers_python, node_modules),
        "commit": _said(["git", "describe", "--always", "--dirty"]),
    }


def _programs(peers_python: str, node_modules: Path | None) -> dict[str, str]:
    ask = "from importlib.metadata import version; print(version('{}'))"
    commands = {
        "nginx": [program("nginx") or "nginx", "-v"],
        "wget2": ["wget2", "--version"],
        "node": ["node", "--version"],
        "spider": ["node", "-p", f"require({json.dumps(f'{node_modules}/@spider-rs/spider-rs/package.json')}).version"],
        "scrapy": [peers_python, "-c", ask.format("scrapy")],
        "crawlee": [peers_python, "-c", ask.format("crawlee")],
    }
    said = {name: _VERSION.search(_said(command)) for name, command in commands.items()}
    return {name: found[0] for name, found in said.items() if found}


def _python(python: str) -> str:
    """Its version, and how it was built: that is worth up to 15 %."""
    return _said([python, "-P", "-c", _BUILD])


def _said(command: Sequence[str]) -> str:
    """The first line of what a program prints."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return "not installed"
    return (done.stdout or done.stderr).partition("\n")[0].strip()


def _cpu() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
