"""The extension: see `accelerated`, which alone uses it."""

from collections.abc import Callable
from typing import Any

from selectolax.lexbor import LexborNode

INTERFACE: int

def load(
    library: str,
    tags_by_role: dict[str, list[int]],
    lines_of: Callable[..., bytes],
    collapse: Callable[..., str],
    read_rel: Callable[[str], tuple[str, bool]],
    /,
) -> None: ...
def group(
    elements: list[Any],
    place_of: Callable[[str], int],
    places: dict[str, int],
    urls: list[str],
    places_of_urls: dict[str, int],
    folder: str,
    in_folder: dict[str, str | None],
    own: str | None,
    /,
) -> tuple[Any, ...]: ...
def neighbours(node: LexborNode, /) -> tuple[int, ...]: ...
def walk(root: LexborNode, /) -> tuple[Any, ...] | None: ...
