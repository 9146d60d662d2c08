"""Code that a crawl is given by its user: hooks, and readers for further content types, by import name.

Invariant: no code is imported because a database names it. What a run used is recorded (`OwnCode.record`), so that a
later one without it is refused, or judges anew what it left out.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import field
from pathlib import Path
from typing import Any

from crawler.errors import UsageError
from crawler.hooks import Hooks
from crawler.statically_frozen import dataclass

HOOKS, READERS = "hooks", "readers"  # in the options that are stored of a run
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnCode:
    """`readers` are functions by media type, each as 'module:function'. Modules are also looked for in `folders`."""

    hooks: Hooks | None = None
    readers: Mapping[str, str] = field(default_factory=dict)
    folders: Sequence[str] = ()

    def record(self) -> dict[str, Any]:
        """What tells this code from other code: of hooks their name, and a hash of their module's text."""
        hooks = {} if self.hooks is None else {HOOKS: _identity(self.hooks)}
        return hooks | ({READERS: dict(self.readers)} if self.readers else {})


def check_own_code(earlier: Mapping[str, Any], code: OwnCode, given: Iterable[str]) -> None:
    """Raise `UsageError` where the last run used code that was not `given` again, nor said to be unwanted."""
    named = set(given)
    if earlier.get(HOOKS) and code.hooks is None and HOOKS not in named:
        name = earlier[HOOKS]["name"]
        raise UsageError(
            f"the last run used hooks; a run never starts code that only the database names, so give them again"
            f" (--hooks {name}), or --hooks none to go on without them"
        )
    missing = sorted(set(earlier.get(READERS, ())) - code.readers.keys())
    if missing and READERS not in named:
        again = " ".join(f"--reader {one}={earlier[READERS][one]}" for one in missing)
        raise UsageError(
            f"the last run used readers; a run never starts code that only the database names, so give them again"
            f" ({again}), or --reader none to go on without them"
        )


def load_hooks(name: str, folders: Sequence[str]) -> Hooks:
    """An instance of the class 'module:Class'. Raises `UsageError` where there is none, or it cannot be made."""
    kind = load(f"--hooks {name}", name, folders)
    if not (isinstance(kind, type) and issubclass(kind, Hooks)):
        raise UsageError(f"--hooks {name} is no subclass of crawler.Hooks")
    try:
        return kind()
    except Exception as error:
        raise UsageError(f"--hooks {name} cannot be created: {in_a_line(error)}") from error


def check_readers(code: OwnCode) -> None:
    """Raises `UsageError` where a reader is none that can be called."""
    for media_type, name in code.readers.items():
        where = f"--reader {media_type}={name}"
        if not callable(load(where, name, code.folders)):
            raise UsageError(f"{where} is no function")


def load(where: str, name: str, folders: Sequence[str]) -> Any:
    """What 'module:name' is. Raises `UsageError`, which begins with `where`, if there is no such thing."""
    module_name, _, path = name.partition(":")
    found = _module(where, module_name, folders)
    for part in path.split("."):
        if not hasattr(found, part):
            names = [one for one, value in vars(found).items() if callable(value) and not one.startswith("_")]
            raise UsageError(f"{where}: {module_name} has no {path}; it has {', '.join(names[:_SHOWN]) or 'nothing'}")
        found = getattr(found, part)
    return found


def in_a_line(error: BaseException, but: str = __file__) -> str:
    """'ValueError: bad price (shop.py, line 12)': the place is the last one that is not in the file `but`."""
    frames = [
        one for one in traceback.extract_tb(error.__traceback__) if one.filename != but and "<" not in one.filename
    ]
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}{': ' if text else ''}{text}{where}"


def _module(where: str, name: str, folders: Sequence[str]) -> Any:
    """The folders come last, so that no file in them stands in for a module of ours or of Python's."""
    more = [folder for folder in folders if folder not in sys.path]
    sys.path += more
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            places = " or ".join(folders) or "the current folder"
            raise UsageError(f"{where}: there is no module {error.name} in {places}, nor on Python's path") from None
        raise UsageError(f"{where}: cannot be imported: {in_a_line(error)}") from error
    except Exception as error:
        raise UsageError(f"{where}: cannot be imported: {in_a_line(error)}") from error


def _identity(hooks: Hooks) -> dict[str, str | None]:
    kind = type(hooks)
    digest = None
    with suppress(OSError, TypeError):  # what was typed into an interpreter has no file
        source = Path(inspect.getsourcefile(kind) or "").read_bytes()
        digest = hashlib.blake2b(source, digest_size=8).hexdigest()
    return {"name": f"{kind.__module__}:{kind.__qualname__}", "digest": digest}
