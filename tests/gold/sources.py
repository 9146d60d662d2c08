"""The text of a documentation page from its source, as a reader of the page sees it."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from docutils import nodes
from docutils.core import publish_doctree
from docutils.parsers.rst import Directive, directives, roles
from markdown_it import MarkdownIt

from tests.gold.scoring import text_of_html

_DIRECTIVES = re.compile(r"^ *\.\. +([\w:+.-]+)::", re.MULTILINE)
_ROLES = re.compile(r":([\w:+.-]+):`")
_TARGET = re.compile(r"^(.*?)\s*<[^<>]*>$", re.DOTALL)
_UNSEEN = {"index", "highlight", "module", "currentmodule", "py:module", "py:currentmodule", "only", "tags", "meta"}
_SETTINGS = {"report_level": 5, "halt_level": 6, "file_insertion_enabled": False, "raw_enabled": False}


def text_of_rst(source: str) -> str:
    """Of reStructuredText as Sphinx reads it: its own directives and roles give what stands in them."""
    for name in set(_DIRECTIVES.findall(source)):
        directives.register_directive(name, directives._directives.get(name) or _kind_of(name))
    for name in set(_ROLES.findall(source)):
        if name not in roles._roles:
            roles.register_local_role(name, _role)
    tree = publish_doctree(source, settings_overrides=_SETTINGS)
    for kind in (nodes.system_message, nodes.comment, nodes.problematic, nodes.substitution_definition):
        for node in list(tree.findall(kind)):
            node.parent.remove(node)
    return " ".join(node.astext() for node in tree.findall(nodes.Text))


def text_of_markdown(source: str) -> str:
    """Of CommonMark with tables."""
    without_comments = re.sub(r"<!--.*?-->", "", source, flags=re.DOTALL)
    return text_of_html(MarkdownIt("commonmark").enable("table").render(without_comments))


def text_of_asciidoc(source: str) -> str:
    """Of a manual page of git, with the few marks that those have."""
    for pattern, replacement in (
        (r"^//.*$", ""),
        (r"^(?:\[.*\]|[-=~^+._*]{1,})$", ""),
        (r"linkgit:([\w-]+)\[(\d)\]", r"\1(\2)"),
        (r"(?:link:|https?:)\S*?\[(.*?)\]", r"\1"),
        (r"<<[^,>]*,([^>]*)>>", r"\1"),
        (r"\{(?:empty|litdd|nbsp)\}", " "),
    ):
        source = re.sub(pattern, replacement, source, flags=re.MULTILINE)
    return source


class _Seen(Directive):  # type: ignore[misc]
    """What it is given, and what stands in it."""

    has_content = True
    optional_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[Any] = None
    shows_argument = True

    def run(self) -> list[nodes.Node]:
        box = nodes.container()
        if self.arguments and self.shows_argument:
            box += nodes.paragraph("", self.arguments[0])
        content = [line for line in self.content if not re.match(r":[\w-]+:", line)]
        self.content.data[:] = content if len(content) == len(self.content) else self.content.data
        self.state.nested_parse(self.content, self.content_offset, box)
        return [box]


class _Unseen(_Seen):
    shows_argument = False


def _kind_of(name: str) -> type[Directive]:
    return _Unseen if name in _UNSEEN else _Seen


def _role(name: str, _rawtext: str, text: str, *_more: Any, **_named: Any) -> tuple[list[nodes.Node], list[Any]]:
    """The text that it shows."""
    titled = _TARGET.match(text)
    shown = titled[1] if titled else text.removeprefix("!")
    if shown.startswith("~"):
        shown = shown.rpartition(".")[2]
    if name in {"doc", "ref"} and not titled:
        shown = ""  # the title of another page
    return [nodes.inline("", shown)], []
