"""The extension: see `accelerated`, which alone uses it."""

from collections.abc import Callable
from typing import Any

from selectolax.lexbor import LexborNode

INTERFACE: int

def load(
    library: str, tags_by_role: dict[str, list[int]], lines_of: Callable[..., str], collapse: Callable[..., str]
) -> None: ...
def neighbours(node: LexborNode, /) -> tuple[int, ...]: ...
def walk(root: LexborNode, /) -> tuple[Any, ...] | None: ...
