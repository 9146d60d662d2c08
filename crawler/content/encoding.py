"""Detects a document's character encoding and decodes it.

Invariant: nothing raises, whatever the bytes; decoded text holds Unicode scalar values only, and no NUL. SQLite and
JSON tools would cut it at a NUL and fail on a lone surrogate.
"""

from __future__ import annotations

import codecs
import re
from functools import cache

PRESCAN_BYTES = 16 * 1024  # the standard stops at 1,024; real pages declare later
UTF8_SAMPLE_BYTES = 64 * 1024

_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xfe\xff", "utf-16be"), (b"\xff\xfe", "utf-16le"))
_UTF16_XML_STARTS = ((b"<\0?\0x\0", "utf-16le"), (b"\0<\0?\0x", "utf-16be"))
_WHITESPACE = "\t\n\f\r "

# WHATWG Encoding Standard, 4.2 "Names and labels". A name is its own first label.
_LABELS_BY_NAME = {
    "utf-8": "utf-8 unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf8 x-unicode20utf8",
    "ibm866": "ibm866 866 cp866 csibm866",
    "iso-8859-2": "iso-8859-2 csisolatin2 iso-ir-101 iso8859-2 iso88592 iso_8859-2 iso_8859-2:1987 l2 latin2",
    "iso-8859-3": "iso-8859-3 csisolatin3 iso-ir-109 iso8859-3 iso88593 iso_8859-3 iso_8859-3:1988 l3 latin3",
    "iso-8859-4": "iso-8859-4 csisolatin4 iso-ir-110 iso8859-4 iso88594 iso_8859-4 iso_8859-4:1988 l4 latin4",
    "iso-8859-5": "iso-8859-5 csisolatincyrillic cyrillic iso-ir-144 iso8859-5 iso88595 iso_8859-5 iso_8859-5:1988",
    "iso-8859-6": "iso-8859-6 arabic asmo-708 csiso88596e csiso88596i csisolatinarabic ecma-114 iso-8859-6-e"
    " iso-8859-6-i iso-ir-127 iso8859-6 iso88596 iso_8859-6 iso_8859-6:1987",
    "iso-8859-7": "iso-8859-7 csisolatingreek ecma-118 elot_928 greek greek8 iso-ir-126 iso8859-7 iso88597 iso_8859-7"
    " iso_8859-7:1987 sun_eu_greek",
    "iso-8859-8": "iso-8859-8 csiso88598e csisolatinhebrew hebrew iso-8859-8-e iso-ir-138 iso8859-8 iso88598"
    " iso_8859-8 iso_8859-8:1988 visual",
    "iso-8859-8-i": "iso-8859-8-i csiso88598i logical",
    "iso-8859-10": "iso-8859-10 csisolatin6 iso-ir-157 iso8859-10 iso885910 l6 latin6",
    "iso-8859-13": "iso-8859-13 iso8859-13 iso885913",
    "iso-8859-14": "iso-8859-14 iso8859-14 iso885914",
    "iso-8859-15": "iso-8859-15 csisolatin9 iso8859-15 iso885915 iso_8859-15 l9",
    "iso-8859-16": "iso-8859-16",
    "koi8-r": "koi8-r cskoi8r koi koi8 koi8_r",
    "koi8-u": "koi8-u koi8-ru",
    "macintosh": "macintosh csmacintosh mac x-mac-roman",
    "windows-874": "windows-874 dos-874 iso-8859-11 iso8859-11 iso885911 tis-620",
    "windows-1250": "windows-1250 cp1250 x-cp1250",
    "windows-1251": "windows-1251 cp1251 x-cp1251",
    "windows-1252": "windows-1252 ansi_x3.4-1968 ascii cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1"
    " iso88591 iso_8859-1 iso_8859-1:1987 l1 latin1 us-ascii x-cp1252",
    "windows-1253": "windows-1253 cp1253 x-cp1253",
    "windows-1254": "windows-1254 cp1254 csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9"
    " iso_8859-9:1989 l5 latin5 x-cp1254",
    "windows-1255": "windows-1255 cp1255 x-cp1255",
    "windows-1256": "windows-1256 cp1256 x-cp1256",
    "windows-1257": "windows-1257 cp1257 x-cp1257",
    "windows-1258": "windows-1258 cp1258 x-cp1258",
    "x-mac-cyrillic": "x-mac-cyrillic x-mac-ukrainian",
    "gbk": "gbk chinese csgb2312 csiso58gb231280 gb2312 gb_2312 gb_2312-80 iso-ir-58 x-gbk",
    "gb18030": "gb18030",
    "big5": "big5 big5-hkscs cn-big5 csbig5 x-x-big5",
    "euc-jp": "euc-jp cseucpkdfmtjapanese x-euc-jp",
    "iso-2022-jp": "iso-2022-jp csiso2022jp",
    "shift_jis": "shift_jis csshiftjis ms932 ms_kanji shift-jis sjis windows-31j x-sjis",
    "euc-kr": "euc-kr cseuckr csksc56011987 iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601"
    " windows-949",
    "replacement": "replacement csiso2022kr hz-gb-2312 iso-2022-cn iso-2022-cn-ext iso-2022-kr",
    "utf-16be": "utf-16be unicodefffe",
    "utf-16le": "utf-16le csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16",
    "x-user-defined": "x-user-defined",
}
_NAME_BY_LABEL = {label: name for name, labels in _LABELS_BY_NAME.items() for label in labels.split()}

# Python's codec for each multi-byte encoding. Browsers use the vendors' supersets, and so do pages that declare the
# plain standard.
_MULTI_BYTE_CODECS = {
    "gbk": "gb18030",
    "gb18030": "gb18030",
    "big5": "big5hkscs",
    "euc-jp": "euc_jp",
    "iso-2022-jp": "iso2022_jp_ext",
    "shift_jis": "cp932",
    "euc-kr": "cp949",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
}
_SINGLE_BYTE_CODECS = {
    "ibm866": "cp866",
    "iso-8859-8-i": "iso8859-8",
    "macintosh": "mac_roman",
    "windows-874": "cp874",
    "x-mac-cyrillic": "mac_cyrillic",
}

_HTTP_CHARSET = re.compile(r"""(?:^|[;,\s])charset\s*=\s*(?:"([^"]*)"?|'([^']*)'?|([^\s;,"']+))""", re.IGNORECASE)
_META_CHARSET = re.compile(
    rb"""charset[\t\n\f\r ]*=[\t\n\f\r ]*(?:"([^"]*)"|'([^']*)'|([^\t\n\f\r ;"'][^\t\n\f\r ;]*))""", re.IGNORECASE
)
_XML_ENCODING = re.compile(rb"""[\t\n\f\r ]*<\?xml[^>]*?\sencoding\s*=\s*["']([^"'>]*)["']""")
_MARKUP = re.compile(rb"<(?:(?P<comment>!--)|(?P<meta>meta)(?=[\t\n\f\r /])|(?P<tag>/?[a-z])|[!/?])", re.IGNORECASE)
_REST_OF_TAG_NAME = re.compile(rb"[^\t\n\f\r >]*")
_ATTRIBUTE = re.compile(
    rb"""[\t\n\f\r /]*(?P<name>[^\t\n\f\r />][^\t\n\f\r />=]*)"""
    rb"""(?:[\t\n\f\r ]*=[\t\n\f\r ]*(?:"([^"]*)(?:"|\Z)|'([^']*)(?:'|\Z)|([^\t\n\f\r >"'][^\t\n\f\r >]*)|))?"""
)


def sniff(body: bytes, content_type: str | None = None) -> str:
    """The WHATWG name, lower case, of the encoding to read `body` with.

    In this order: a byte-order mark, the `charset` of the Content-Type header, the `<meta>` prescan, the XML
    declaration; then UTF-8 if the bytes are UTF-8, otherwise windows-1252. Labels unknown to the standard are ignored.
    Source: WHATWG HTML, "Determining the character encoding" and "prescan a byte stream".
    """
    return (
        _by_start(body, _BOMS)
        or _http_charset(content_type)
        or _by_start(body, _UTF16_XML_STARTS)
        or _prescan(body[:PRESCAN_BYTES])
        or _xml_encoding(body)
        or ("utf-8" if _looks_like_utf8(body) else "windows-1252")
    )


def decode(body: bytes, encoding: str) -> str:
    """The text of `body`; `encoding` is a name that `sniff` returned. What cannot be decoded becomes U+FFFD.

    A byte-order mark of that encoding is dropped. An unknown name is read as windows-1252.
    Source: WHATWG Encoding Standard, "The encodings"; multi-byte error recovery is that of Python's codecs.
    """
    for mark, name in _BOMS:
        if name == encoding and body.startswith(mark):
            body = body[len(mark) :]
    if encoding == "utf-8":
        return body.decode("utf-8", "replace").replace("\0", "\ufffd")
    if encoding == "replacement":
        return "\ufffd" if body else ""
    if codec := _MULTI_BYTE_CODECS.get(encoding):
        return scalar_text(body.decode(codec, _EUC_JP_ERRORS if encoding == "euc-jp" else "replace"))
    return codecs.charmap_decode(body, "replace", _single_byte_table(encoding))[0].replace("\0", "\ufffd")


def scalar_text(text: str) -> str:
    """`text` with each NUL and each lone surrogate replaced by U+FFFD; the same object where it has neither."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    try:
        text.encode()  # much faster than searching for surrogates
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _by_start(body: bytes, starts: tuple[tuple[bytes, str], ...]) -> str | None:
    return next((name for start, name in starts if body.startswith(start)), None)


def _http_charset(content_type: str | None) -> str | None:
    found = _HTTP_CHARSET.search(content_type or "")
    return _name(next(filter(None, found.groups()), "")) if found else None


def _name(label: str) -> str | None:
    return _NAME_BY_LABEL.get(label.strip(_WHITESPACE).lower())


def _declared_name(label: bytes) -> str | None:
    """The name for a label that was read as ASCII; the document cannot be UTF-16 then, whatever the label says."""
    name = _name(label.decode("latin-1"))
    return "utf-8" if name in ("utf-16le", "utf-16be") else name


def _prescan(head: bytes) -> str | None:
    """The first usable `<meta>` declaration, by the standard's prescan."""
    if b"charset" not in head.lower():
        return None
    position = 0
    while markup := _MARKUP.search(head, position):
        if markup["comment"]:
            end = head.find(b"-->", markup.start() + 2)  # '<!-->' is a whole comment
            position = end + 3 if end >= 0 else len(head)
        elif markup["meta"] or markup["tag"]:
            start = markup.end() if markup["meta"] else _end_of(_REST_OF_TAG_NAME, head, markup.end())
            attributes, position = _attributes(head, start)
            if markup["meta"] and (name := _meta_encoding(attributes)):
                return name
        else:
            end = head.find(b">", markup.end())
            position = end + 1 if end >= 0 else len(head)
    return None


def _attributes(head: bytes, position: int) -> tuple[dict[bytes, bytes], int]:
    """The attributes of the tag whose name ends at `position` (the first of equal names), and the tag's end."""
    attributes: dict[bytes, bytes] = {}
    while found := _ATTRIBUTE.match(head, position):
        value = next((group for group in found.groups()[1:] if group is not None), b"")
        attributes.setdefault(found["name"].lower(), value)
        position = found.end()
    return attributes, position


def _end_of(pattern: re.Pattern[bytes], head: bytes, position: int) -> int:
    found = pattern.match(head, position)
    return found.end() if found else position


def _meta_encoding(attributes: dict[bytes, bytes]) -> str | None:
    if b"charset" in attributes:
        name = _declared_name(attributes[b"charset"])
    elif attributes.get(b"http-equiv", b"").lower() == b"content-type":
        found = _META_CHARSET.search(attributes.get(b"content", b""))
        name = _declared_name(next(filter(None, found.groups()), b"")) if found else None
    else:
        return None
    return "windows-1252" if name == "x-user-defined" else name


def _xml_encoding(body: bytes) -> str | None:
    found = _XML_ENCODING.match(body[:PRESCAN_BYTES])
    return _declared_name(found[1]) if found else None


def _looks_like_utf8(body: bytes) -> bool:
    sample = body[:UTF8_SAMPLE_BYTES]
    try:
        sample.decode()
    except UnicodeDecodeError as error:
        # A sequence cut off by the end of the sample, or of a body that was cut at the size limit, proves nothing.
        cut_off = error.reason == "unexpected end of data"
        return cut_off and (len(sample) < len(body) or not sample[: error.start].isascii())
    return True


@cache
def _single_byte_table(encoding: str) -> str:
    """The character for each byte. Where Python's codec has none for 80-9F, the standard has the C1 control."""
    if encoding == "x-user-defined":
        return "".join(chr(byte if byte < 0x80 else 0xF700 + byte) for byte in range(256))
    if encoding not in _LABELS_BY_NAME:
        encoding = "windows-1252"
    codec = _SINGLE_BYTE_CODECS.get(encoding, encoding)
    table = bytes(range(256)).decode(codec, "replace")
    if encoding == "koi8-u":
        table = table.translate({0x255D: "ў", 0x256C: "Ў"})  # the standard's KOI8-U is KOI8-RU, which has these letters
    return "".join(chr(byte) if char == "\ufffd" and byte < 0xA0 else char for byte, char in enumerate(table))


def _recover_euc_jp(error: UnicodeError) -> tuple[str, int]:
    """Read a pair that Python's euc_jp lacks, the NEC and IBM extensions ('①', '㈱'), by its Shift_JIS equivalent."""
    assert isinstance(error, UnicodeDecodeError)  # noqa: S101 - registered for decoding only
    pair = error.object[error.start : error.start + 2]
    if len(pair) < 2 or not all(0xA1 <= byte <= 0xFE for byte in pair):
        return "\ufffd", error.end
    row, cell = divmod((pair[0] - 0xA1) * 94 + pair[1] - 0xA1, 188)  # Shift_JIS has two rows of 94 in one lead byte
    lead = row + (0x81 if row < 0x1F else 0xC1)
    trail = cell + (0x40 if cell < 0x3F else 0x41)
    try:
        return bytes((lead, trail)).decode("cp932"), error.start + 2
    except UnicodeDecodeError:
        return "\ufffd", error.end


_EUC_JP_ERRORS = "crawler.euc_jp"
codecs.register_error(_EUC_JP_ERRORS, _recover_euc_jp)
