"""Generated documents of real size: about 25 KB with 150 links, as a manual's page has them."""

from __future__ import annotations

_SENTENCE = (
    "the returned value is never null and the method throws an exception where its argument names no element that"
    " this collection holds or where the collection was changed while somebody went through it see also the guide"
)
_WORDS = _SENTENCE.split()
_METHODS = 40


def document(number: int) -> str:
    """A page of a manual; each number makes another one."""
    menu = "".join(
        f'<li><a href="../menu/{place}.html" title="Menu {place}">Menu &amp; {place}</a></li>\n' for place in range(30)
    )
    summary = "".join(
        f'<tr class="row-{place % 2}"><td><code><a href="type-{number}-{place}.html">Type{place}</a></code></td>\n'
        f'<td><a href="#method-{place}()">method{place}</a>({_text(number + place, 3)})</td>\n'
        f"<td>{_text(number * 7 + place, 9)}</td></tr>\n"
        for place in range(_METHODS)
    )
    details = "".join(
        f'<section id="method-{place}()"><h3>method{place}</h3>\n<pre>public Type{place} <b>method{place}</b>()</pre>\n'
        f"<p>{_text(number * 3 + place, 25)}; <em>{_text(place, 4)}</em>.</p>\n"
        f'<dl><dt>Since:</dt><dd>{place}</dd><dt>See:</dt><dd><a href="page-{number}.html#p{place}">{place}</a></dd>'
        "</dl></section>\n"
        for place in range(_METHODS)
    )
    return (
        '<!DOCTYPE HTML>\n<html lang="en">\n<head>\n<!-- generated -->\n'
        f"<title>Class {number} (Manual)</title>\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Type" content="text/html; charset=UTF-8">\n'
        f'<meta name="description" content="declaration of class {number}">\n'
        '<link rel="stylesheet" type="text/css" href="../style.css">\n<script src="../script.js"></script>\n'
        f'</head>\n<body class="page">\n<script>var path = "../";</script>\n<nav><ul>\n{menu}</ul></nav>\n'
        f"<main><h1>Class {number}</h1>\n<h2>Summary</h2>\n<table>\n{summary}</table>\n<h2>Details</h2>\n{details}"
        "</main>\n<footer><p>Copyright &copy; nobody.</p></footer>\n</body>\n</html>\n"
    )


def _text(start: int, words: int) -> str:
    return " ".join(_WORDS[(start + place) % len(_WORDS)] for place in range(words))
