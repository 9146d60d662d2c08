"""Our `dataclass` does what the standard library's does, but for freezing at run time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from crawler import statically_frozen

_EITHER = pytest.mark.parametrize("decorator", [dataclasses.dataclass, statically_frozen.dataclass])


def _made(decorator: Callable[..., Any], **options: Any) -> Any:
    """A class `Host` of three fields."""
    default = {"port": 80, "secret": dataclasses.field(default="s", repr=False)}
    fields = {"name": str, "port": int, "secret": str, "seen": int}
    made = type("Host", (), {"__annotations__": fields, **default, "seen": dataclasses.field(default=0, compare=False)})
    return decorator(slots=True, **options)(made)


@_EITHER
def test_equal_fields_make_equal_records(decorator: Callable[..., Any]) -> None:
    host, other = _made(decorator, frozen=True), _made(decorator, frozen=True)

    assert host("a") == host("a", 80, "s", 1)
    assert hash(host("a")) == hash(host("a", 80, "s", 1))
    assert host("a") != host("b")
    assert host("a", secret="t") != host("a")
    assert host("a") != other("a")
    assert len({host("a"), host("a", seen=2), host("b")}) == 2


@_EITHER
def test_what_is_not_to_be_shown_is_not_shown(decorator: Callable[..., Any]) -> None:
    assert repr(_made(decorator, frozen=True)("a", 8080, "hush")).endswith("Host(name='a', port=8080, seen=0)")


@_EITHER
def test_one_that_changes_is_equal_by_its_fields_and_has_no_hash(decorator: Callable[..., Any]) -> None:
    host = _made(decorator)
    one = host("a")

    one.name = "b"

    assert one == host("b")
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)


@_EITHER
def test_without_equality_each_is_itself(decorator: Callable[..., Any]) -> None:
    host = _made(decorator, frozen=True, eq=False)
    one, other = host("a"), host("a")

    assert one != other
    assert len({one, other}) == 2


@_EITHER
def test_a_record_is_copied_with_a_change(decorator: Callable[..., Any]) -> None:
    host = _made(decorator, frozen=True, kw_only=True)

    assert dataclasses.replace(host(name="a"), port=443) == host(name="a", port=443)


@_EITHER
def test_one_that_holds_itself_is_shown(decorator: Callable[..., Any]) -> None:
    one = _made(decorator)("a")

    one.port = one

    assert "port=..." in repr(one)
