"""Crawl files: the options of `crawler crawl` in TOML, under the same names; and the commented one that `init` writes.

Invariant: keys, defaults and texts are the command's own, so that what can be said on the command line can be said in a
file, and nothing else. What stands on the command line wins; relative paths are relative to the file.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from crawler.cli.options import parameter_of, read_options
from crawler.cli.usage import nearest
from crawler.config import DEFAULT_DB
from crawler.errors import UsageError
from crawler.host_settings import HostSettings
from crawler.kinds import File, Flag, Place, Several
from crawler.location import DatabaseUrl, location
from crawler.options import Option, options_of
from crawler.quantities import Count, Seconds
from crawler.seeds import names_scheme

CONFIG = Option(
    name="config_file",
    flag="--config",
    kind=File(),
    help="Read options that are not on the command line from a crawl file; `crawler init` writes one.",
    default=None,
)
SEEDS = Option(
    name="seeds",
    flag="--seeds",
    kind=Several("SEED"),
    help="A URL, a host name, a file with one URL per line, or - for standard input. Without seeds, resume --db.",
    default=(),
)
HOSTS, RULES = "hosts", "rules"  # in what `read_crawl_file` returns
_HOSTS = "host"
_EXTRACT = "extract"  # also the key of an option, which takes a list of texts
_HOST_PARAMETERS = [parameter_of(one) for one in options_of(HostSettings)]
_HOSTS_HELP = (
    "Each table sets some options for the hosts that it matches; of several that match, the first counts. Tables"
    " stand at the end of the file. Add more of them as you need."
)
_HOST_EXAMPLE = {
    "match": '"*.example.com"',
    "delay": "5",
    "per-host": "1",
    "max-pages": "1000",
    "max-requests": "5000",
    "header": '["X-Api-Key: VALUE"]',
}
_RULES_HELP = (
    "Each table says what is wanted of the pages whose path matches (or whose URL, where it begins with a scheme; *"
    " stands for any characters): fields, each with a CSS selector and ::text, ::attr(name) or ::html, or a path into"
    " json-ld:, microdata:, og:, meta: or page:. Types are text, number, price, date, url and json. What they find is"
    " the view extract_product. `crawler try URL --config FILE` shows what a rule gives; `crawler help extract` tells"
    " all."
)
_RULES_EXAMPLE = """\
# [[extract]]
# name = "product"
# match = "/products/*"           # also a list, such as ["/products/*", "https://shop.example.com/*"]
# # each = "div.product"          # a row for each such element; without it, one for the page
# [extract.fields]
# title = { from = "h1", required = true }
# price = { from = ".price", type = "price" }     # also decimal = ",", currency = "EUR"
# sku = { from = ".sku", re = 'SKU (\\w+)' }
# brand = "json-ld:Product.brand"
# image = { from = "img.main::attr(src)", type = "url" }
# tags = ["ul.tags li"]                           # all of them
# variants = { each = "tr.variant", fields = { size = ".size", stock = { from = ".stock", type = "number" } } }"""
_WIDTH = 100
_PLACE = re.compile(r"line (\d+), column (\d+)")
_RULES = "each line is a key, = and a value, text needs quotes, and no key appears twice"
_NAMES = {bool: "true or false", list: "a list", dict: "a table"}

_HEAD = """\
# A crawl file. Run it with `crawler crawl --config FILE`.
#
# Each key is `seeds` or an option of `crawler crawl`; the command line overrides this file. Ages are strings such as
# "90s", "12h" or "7d"; sizes are bytes or strings such as "500k", "10M" or "1G". Relative paths are relative to this
# file. The settings shown are the defaults: to change one, remove the # before it. Regular expressions are best put in
# 'single quotes', which leave \\ alone."""


def read_crawl_file(file: Path, options: Iterable[Option]) -> dict[str, Any]:
    """What the file says, as the command line would have it, by the names of parameters. Raises `UsageError`.

    Of its tables, which the command line does not have, `[[host]]` are `HostSettings` under `HOSTS`, and `[[extract]]`
    are `Rule`s under `RULES`.
    """
    settings = _read(file)
    hosts = settings.pop(_HOSTS, None)
    rules = settings.get(_EXTRACT)
    has_rules = isinstance(rules, list) and (not rules or any(isinstance(one, dict) for one in rules))
    if rules and has_rules:
        del settings[_EXTRACT]
    given = _given_options(str(file), {"db": str(DEFAULT_DB)} | settings, (SEEDS, *options), file.parent)
    if hosts is not None:
        given[HOSTS] = _hosts(str(file), hosts, file.parent)
    if has_rules:
        from crawler.rule_tables import read_rules  # few files have any

        given[RULES] = read_rules(rules, f"{file}: ")
    return given


def _given_options(where: str, settings: dict[str, Any], options: Iterable[Option], folder: Path) -> dict[str, Any]:
    known = {one.key: one for one in options}
    for key in settings:
        if key not in known:
            raise UsageError(f"{where}: there is no option {key!r}{_meant(key, list(known))}")
    return {
        parameter_of(known[key]): _given(f"{where}: {key}", known[key], value, folder)
        for key, value in settings.items()
    }


def _hosts(where: str, tables: Any, folder: Path) -> tuple[HostSettings, ...]:
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UsageError(f"{where}: host takes tables, each under a line [[{_HOSTS}]]")
    found = []
    for number, table in enumerate(tables, start=1):
        place = f"{where}: [[{_HOSTS}]] {number}"
        if "match" not in table:
            raise UsageError(f'{place} has no match; name its hosts, such as match = "*.example.com"')
        given = _given_options(place, table, options_of(HostSettings), folder)
        try:
            found.append(read_options(HostSettings, {name: given.get(name) for name in _HOST_PARAMETERS}))
        except UsageError as error:
            raise UsageError(f"{place}: {error}") from None
    return tuple(found)


def commented_file(options: Iterable[Option]) -> str:
    """A crawl file with every option, its text and its default, commented out."""
    lines, panel = [_HEAD], None
    for one in (SEEDS, *options):
        if one.panel != panel:
            panel = one.panel
            lines += ["", f"# {f' {panel} '.center(_WIDTH, '-')}"]
        lines += ["", *_commented(one)]
    return "\n".join([*lines, *_commented_hosts(), *_commented_rules()]) + "\n"


def _commented_hosts() -> Iterator[str]:
    """An example, since what these options are by default they are by the others."""
    yield from ("", f"# {' Some hosts '.center(_WIDTH, '-')}", "")
    yield from (f"# {line}" for line in textwrap.wrap(_HOSTS_HELP, width=_WIDTH - 2))
    yield f"# [[{_HOSTS}]]"
    for one in options_of(HostSettings):
        yield f"{f'# {one.key} = {_HOST_EXAMPLE[one.key]}':32}# {one.help}"


def _commented_rules() -> Iterator[str]:
    """An example, which can be used by taking the #s away."""
    yield from ("", f"# {' Extraction rules '.center(_WIDTH, '-')}", "")
    yield from (f"# {line}" for line in textwrap.wrap(_RULES_HELP, width=_WIDTH - 2))
    yield from _RULES_EXAMPLE.splitlines()


def _commented(option: Option) -> Iterator[str]:
    remarks = ("" if option is SEEDS else option.kind.metavar, "not set by default" if option.default is None else "")
    remark = ", ".join(filter(None, remarks))
    yield from textwrap.wrap(
        f"{option.help} ({remark})" if remark else option.help,
        width=_WIDTH,
        initial_indent="# ",
        subsequent_indent="# ",
    )
    setting = f"{option.key} = {_default(option)}".rstrip()
    yield setting if option is SEEDS else f"#{setting}"


def _default(option: Option) -> str:
    """As TOML has it."""
    if option.default is None:
        return ""
    if option.kind.repeatable:
        return "[]"
    is_plain = isinstance(option.kind, Flag | Count | Seconds)
    return json.dumps(option.default if is_plain else option.show(option.default))


def _read(file: Path) -> dict[str, Any]:
    import tomllib  # most starts name no file

    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"--config {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"--config {file} is not UTF-8; save the file as UTF-8") from error
    except (ValueError, RecursionError) as error:  # also a number of 5,000 digits, a thousand brackets
        raise UsageError(f"--config {file} is not TOML: {_flaw(error)}") from error


def _flaw(error: Exception) -> str:
    """Where it is, as far as is known: the rest of what the library says is its own language."""
    if place := _PLACE.search(str(error)):
        return f"look at line {place[1]}, column {place[2]}; {_RULES}"
    if "end of document" in str(error):
        return f"look at its end; {_RULES}"
    return "a number is too long, or brackets are nested too deeply"


def _meant(key: str, keys: list[str]) -> str:
    near = nearest(key.replace("_", "-").lower(), keys)
    return f"; did you mean {near}?" if near is not None else "; `crawler init` writes a file that lists them all"


def _given(where: str, option: Option, value: Any, folder: Path) -> Any:
    """As the command line would have it: a truth value for a flag, else a text, or a list of these."""
    if option.kind.repeatable:
        if not isinstance(value, list):
            raise UsageError(f"{where} takes a list, such as [{json.dumps(str(value))}]")
        return [_text(where, one, option, folder) for one in value]
    if isinstance(option.kind, Flag):
        if not isinstance(value, bool):
            raise UsageError(f"{where} takes true or false")
        return value
    return _text(where, value, option, folder)


def _text(where: str, value: Any, option: Option, folder: Path) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UsageError(f"{where} takes a text or a number, not {_NAMES.get(type(value), 'a date')}")
    if isinstance(value, str) and "\0" in value:
        raise UsageError(f"{where} contains a NUL")
    if isinstance(value, int) and value.bit_length() > 64:
        raise UsageError(f"{where} is too large")
    text = str(value)
    if option.kind.takes_dash and text == "-":
        return text
    is_list_of_seeds = option is SEEDS and not names_scheme(text) and (folder / text).is_file()
    is_path = is_list_of_seeds or (option.kind.is_path and not _is_url(option, text))
    return str(folder / text) if isinstance(value, str) and text and is_path else text


def _is_url(option: Option, text: str) -> bool:
    return isinstance(option.kind, Place) and isinstance(location(text), DatabaseUrl)
