"""Builds the walk in C (`crawler/content/_walk.c`) where it can be built, and goes on without it where it cannot.

It uses the limited API, so that one build serves every CPython from 3.11 on, and is put beside its source: there an
editable installation finds it, and from there a wheel takes it.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import sys_tags

_SOURCE = Path("crawler/content/_walk.c")
_BUILT = Path("crawler/content/_walk.abi3.so")
_OPTIONS = ["-std=c11", "-O2", "-fPIC", "-fno-strict-aliasing"]


class AcceleratorHook(BuildHookInterface[Any]):
    """Adds the extension to the wheel, whose tag then names the platform, if it could be built."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before each build of a wheel."""
        if problem := _build(Path(self.root)):
            self.app.display_warning(f"The crawler will read HTML in Python alone, which is slower: {problem}")
            return
        build_data["artifacts"].append(str(_BUILT))
        build_data["pure_python"] = False
        build_data["tag"] = f"cp311-abi3-{_platform()}"


def _build(root: Path) -> str | None:
    """Compile and link; what went wrong."""
    if sys.implementation.name != "cpython" or os.name != "posix" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "there is no extension for this Python"
    linker = shlex.split(os.environ.get("LDSHARED") or sysconfig.get_config_var("LDSHARED") or "cc -shared")
    if compiler := os.environ.get("CC"):
        linker[:1] = shlex.split(compiler)
    include = sysconfig.get_path("include")
    command = [*linker, *_OPTIONS, f"-I{include}", str(_SOURCE), "-o", str(_BUILT)]
    try:
        (root / _BUILT).unlink(missing_ok=True)  # of another machine, or of an older source
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, errors="replace")  # noqa: S603
    except OSError as error:
        return str(error)
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or ["the compiler failed"])[0]


def _platform() -> str:
    """This machine's, without what it promises of older systems: the extension was built for this one."""
    return next(tag.platform for tag in sys_tags() if not tag.platform.startswith(("manylinux", "musllinux")))
