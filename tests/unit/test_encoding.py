"""The encoding of a document: what declares it, in which order, and what its bytes then say."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.charsets.encoder import encode
from crawler.content.encoding import PRESCAN_BYTES, UTF8_SAMPLE_BYTES, Sniffed, decode, scalar_text, sniff, sniffed
from crawler.content.encoding_guess import SAMPLE_BYTES, SEARCHED_BYTES
from tests.fuzz.documents import check_encoding

NOT_UTF8 = b"caf\xe9 au lait"
_SINGLE_BYTE = """
    ibm866 iso-8859-2 iso-8859-3 iso-8859-4 iso-8859-5 iso-8859-6 iso-8859-7 iso-8859-8 iso-8859-8-i iso-8859-10
    iso-8859-13 iso-8859-14 iso-8859-15 iso-8859-16 koi8-r koi8-u macintosh windows-874 windows-1250 windows-1251
    windows-1252 windows-1253 windows-1254 windows-1255 windows-1256 windows-1257 windows-1258 x-mac-cyrillic
    x-user-defined
"""
_OTHERS = "utf-8 gbk gb18030 big5 euc-jp iso-2022-jp shift_jis euc-kr replacement utf-16be utf-16le"
SINGLE_BYTE_NAMES = _SINGLE_BYTE.split()
NAMES = SINGLE_BYTE_NAMES + _OTHERS.split()


def has_only_scalars(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


@pytest.mark.parametrize(
    ("mark", "name"), [(b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16le"), (b"\xfe\xff", "utf-16be")]
)
def test_byte_order_mark_wins_over_every_declaration(mark: bytes, name: str) -> None:
    assert sniff(mark + b"<meta charset=koi8-r>", "text/html; charset=shift_jis") == name


@pytest.mark.parametrize(
    ("content_type", "name"),
    [
        ("text/html; charset=ISO-8859-2", "iso-8859-2"),
        ('text/html;charset="Shift_JIS"', "shift_jis"),
        ("text/html; charset='euc-kr'", "euc-kr"),
        ('text/html; charset="gbk', "gbk"),
        ("text/html;  CHARSET = GB2312 ; q=1", "gbk"),
        ("text/html;\tcharset=\tbig5", "big5"),
        ("text/html charset=koi8-r", "koi8-r"),
        ("text/html;boundary=x;charset=latin1", "windows-1252"),
        ("charset=l2", "iso-8859-2"),
        ('text/html; charset=" utf8 "', "utf-8"),
        ("text/html; charset=utf-16", "utf-16le"),
        ("text/html; charset=x-user-defined", "x-user-defined"),
        ("text/html; charset=hz-gb-2312", "replacement"),
        ("text/html; charset=big5; charset=gbk", "big5"),
    ],
)
def test_header_names_the_encoding(content_type: str, name: str) -> None:
    assert sniff(b"<meta charset=windows-1255>", content_type) == name


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/html",
        "text/html; charset=",
        "text/html; charset=nonsense",
        "text/html; xcharset=gbk",
        "\0;=\xff",
    ],
)
def test_header_without_a_known_charset(content_type: str | None) -> None:
    """A header without a known charset leaves the choice to the document."""
    assert sniff(b"<meta charset=windows-1255>", content_type) == "windows-1255"


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"<meta charset=koi8-u>", "koi8-u"),
        (b"<META CHARSET = 'Koi8-U' >", "koi8-u"),
        (b'<meta\ncharset\n=\n"koi8-u"/>', "koi8-u"),
        (b"<meta/charset=koi8-u/>", "windows-1252"),  # the slash belongs to the unquoted value: an unknown label
        (b"<meta/charset='koi8-u'/>", "koi8-u"),
        (b"<meta a b=c d='>' charset=koi8-u>", "koi8-u"),
        (b"<meta charset=koi8-u charset=gbk>", "koi8-u"),
        (b"<meta charset=unknown><meta charset=koi8-u>", "koi8-u"),
        (b'<meta http-equiv=Content-Type content="text/html; charset=koi8-u">', "koi8-u"),
        (b"<meta content='text/html;charset = \"koi8-u\"' http-equiv='content-type'>", "koi8-u"),
        (b"<meta http-equiv=content-type content='charset charset=koi8-u;x'>", "koi8-u"),
        (b"<meta http-equiv=content-type content='text/html; charset=gbk' charset=koi8-u>", "koi8-u"),
        (b"<meta content='text/html; charset=gbk'>", "windows-1252"),
        (b"<meta http-equiv=refresh content='text/html; charset=gbk'>", "windows-1252"),
        (b"<meta http-equiv=content-type content='text/html; charset=\"gbk'>", "windows-1252"),
        (b"<meta http-equiv=content-type content='text/html'>", "windows-1252"),
        (b"<meta charset=utf-16>", "utf-8"),
        (b"<meta charset=utf-16be>", "utf-8"),
        (b"<meta charset=x-user-defined>", "windows-1252"),
        (b"<!-- <meta charset=gbk> --><meta charset=koi8-u>", "koi8-u"),
        (b"<!--><meta charset=koi8-u>-->", "koi8-u"),
        (b"<!-- <meta charset=koi8-u>", "windows-1252"),
        (b"<a title='<meta charset=gbk>'><meta charset=koi8-u>", "koi8-u"),
        (b"<a title='><meta charset=gbk>'><meta charset=koi8-u>", "koi8-u"),
        (b"<a\"='><meta charset=koi8-u>", "koi8-u"),
        (b"</p x='<meta charset=gbk>'><meta charset=koi8-u>", "koi8-u"),
        (b"<!doctype <meta charset=gbk><meta charset=koi8-u>", "koi8-u"),
        (b"<?x <meta charset=gbk><meta charset=koi8-u>", "koi8-u"),
        (b"<metal charset=gbk><meta charset=koi8-u>", "koi8-u"),
        (b"1 < 2 <meta charset=koi8-u>", "koi8-u"),
        (b"<meta charset", "windows-1252"),
        (b"<meta charset=", "windows-1252"),
        (b"<!", "windows-1252"),
    ],
)
def test_meta_prescan(head: bytes, name: str) -> None:
    assert sniff(head + NOT_UTF8) == name


def test_meta_is_found_far_behind_the_first_1024_bytes() -> None:
    padding = b"<script>" + b"x" * (PRESCAN_BYTES - 200) + b"</script>"
    assert sniff(padding + b"<meta charset=koi8-r>" + NOT_UTF8) == "koi8-r"


def test_meta_is_not_looked_for_without_end() -> None:
    assert sniff(b"x" * PRESCAN_BYTES + b"<meta charset=koi8-r>" + NOT_UTF8) == "windows-1252"


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'<?xml version="1.0" encoding="koi8-r"?>' + NOT_UTF8, "koi8-r"),
        (b"\n<?xml version='1.0' encoding = 'EUC-JP'?>" + NOT_UTF8, "euc-jp"),
        (b'<?xml encoding="koi8-r"?><meta charset=gbk>', "gbk"),
        (b'<?xml version="1.0" encoding="UTF-16"?>' + NOT_UTF8, "utf-8"),
        (b'<?xml version="1.0" encoding="nonsense"?>' + NOT_UTF8, "windows-1252"),
        (b'<p><?xml version="1.0" encoding="koi8-r"?>' + NOT_UTF8, "windows-1252"),
        ("<?xml version='1.0'?>".encode("utf-16-le"), "utf-16le"),
        ("<?xml version='1.0'?>".encode("utf-16-be"), "utf-16be"),
    ],
)
def test_xml_declaration(body: bytes, name: str) -> None:
    assert sniff(body) == name


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b"", "utf-8"),
        (b"plain", "utf-8"),
        ("naïve 日本".encode(), "utf-8"),
        (NOT_UTF8, "windows-1252"),
        (b"caf\xe9", "windows-1252"),
        (NOT_UTF8 * UTF8_SAMPLE_BYTES, "windows-1252"),
        ("日本".encode()[:-1], "utf-8"),  # cut at a size limit
        (b"a" * (UTF8_SAMPLE_BYTES - 1) + "é".encode(), "utf-8"),
        (b"a" * (UTF8_SAMPLE_BYTES - 1) + b"\xe9\xe9", "utf-8"),  # the price of a bounded sample
    ],
)
def test_undeclared_bytes_are_utf8_where_they_can_be(body: bytes, name: str) -> None:
    assert sniff(body) == name


SENTENCES = {
    "ru": "Сегодня на рынке было много людей, а вечером мы вернулись домой и пили чай с вареньем.",
    "uk": "Сьогодні на ринку було багато людей, а ввечері ми повернулися додому і їли смачні вареники з ґанку.",
    "pl": "Dziś na targu było dużo ludzi, a wieczorem wróciliśmy do domu i piliśmy gorącą herbatę, jedząc bułki.",
    "cs": "Dnes bylo na trhu hodně lidí a večer jsme se vrátili domů, pili čaj a jedli čerstvé koláče s třešněmi.",
    "de": "Heute waren viele Leute auf dem Markt, und später fuhren wir müde nach Hause und aßen süße Äpfel mit Käse.",
    "fr": "Aujourd’hui le marché était très animé, et le soir à la maison ça sentait la crème brûlée.",
    "el": "Σήμερα η αγορά είχε πολύ κόσμο και το βράδυ γυρίσαμε στο σπίτι και ήπιαμε ζεστό τσάι.",
    "tr": "Bugün pazarda çok insan vardı, akşam eve döndük, sıcak çay içtik ve taze çörekler yedik, şarkı söyledik.",
    "he": "היום היו הרבה אנשים בשוק, ובערב חזרנו הביתה ושתינו תה חם עם עוגה טעימה.",
    "ar": "كان في السوق اليوم ناس كثيرون، وفي المساء عدنا إلى البيت وشربنا الشاي الساخن.",
    "lt": "Šiandien turguje buvo daug žmonių, vakare grįžome namo, gėrėme karštą arbatą ir valgėme šviežių bandelių.",
    "th": "วันนี้ที่ตลาดมีคนเยอะมาก ตอนเย็นเรากลับบ้านและดื่มชาร้อนกับขนมหวาน",
    "zh": "今天市场上人很多，晚上我们回到家里，喝了热茶，还吃了新鲜的面包和水果。",
    "tw": "今天市場上人很多，晚上我們回到家裡，喝了熱茶，還吃了新鮮的麵包和水果。",
    "ja": "今日は市場に人がたくさんいました。夜は家に帰って、温かいお茶を飲みながらパンを食べました。",
    "ko": "오늘은 시장에 사람이 많았고, 저녁에 우리는 집으로 돌아와 따뜻한 차를 마셨다.",
}


@pytest.mark.parametrize(
    ("language", "encoding"),
    [
        ("ru", "windows-1251"),
        ("ru", "koi8-r"),
        ("ru", "ibm866"),
        ("ru", "iso-8859-5"),
        ("uk", "windows-1251"),
        ("uk", "koi8-u"),
        ("pl", "iso-8859-2"),
        ("cs", "windows-1250"),
        ("de", "windows-1252"),
        ("fr", "windows-1252"),
        ("el", "windows-1253"),
        ("tr", "windows-1254"),
        ("he", "windows-1255"),
        ("ar", "windows-1256"),
        ("lt", "windows-1257"),
        ("th", "windows-874"),
        ("zh", "gbk"),
        ("tw", "big5"),
        ("ja", "euc-jp"),
        ("ja", "shift_jis"),
        ("ko", "euc-kr"),
    ],
)
@pytest.mark.parametrize("markup", [b"", b"<script>" + b"var x = '<p>';\n" * 9_000 + b"</script>"])
def test_what_says_nothing_is_guessed(markup: bytes, language: str, encoding: str) -> None:
    sentence = SENTENCES[language]
    body = markup[: len(markup) // 9] + b"<p>" + encode(sentence, encoding) + b"</p>" + markup
    name, source = sniffed(body)
    assert (decode(body, name), source) == (decode(body, encoding), "guess")


@pytest.mark.parametrize("body", [NOT_UTF8, NOT_UTF8 * 9_000, b"\xff" * 99, b"5 \x80", b"\x80\x81\xff\xfe\xfd" * 99])
def test_where_nothing_can_be_guessed_it_is_windows_1252(body: bytes) -> None:
    assert sniffed(body) == Sniffed("windows-1252", "default")


@pytest.mark.parametrize(
    ("language", "encoding"), [("zh", "gbk"), ("tw", "big5"), ("ja", "euc-jp"), ("ja", "shift_jis"), ("ko", "euc-kr")]
)
@pytest.mark.parametrize("damage", [b"\xa9", b"\xff", b"\x81"])
def test_a_wrong_byte_does_not_mislead(language: str, encoding: str, damage: bytes) -> None:
    """Such as a text that was cut within a character, or a sign from another encoding."""
    line = b"<p>" + encode(SENTENCES[language], encoding) + b"</p>\n"
    assert sniffed(line * 9 + line.replace(b"</p>", damage + b"</p>") + line * 9) == (encoding, "guess")


def test_a_guess_sees_a_bounded_part() -> None:
    """Neither what is far behind the first letter counts, nor what is too much."""
    russian, greek = encode(SENTENCES["ru"], "windows-1251"), encode(SENTENCES["el"], "windows-1253")
    assert sniff(russian + b"\n" * SEARCHED_BYTES + greek * 999) == "windows-1251"
    assert sniff(russian * (SAMPLE_BYTES // len(russian) + 1) + greek * 999) == "windows-1251"


@pytest.mark.parametrize(
    ("body", "content_type", "sniffing"),
    [
        (b"\xef\xbb\xbf<meta charset=gbk>", "text/html; charset=big5", ("utf-8", "bom")),
        (b"<meta charset=gbk>", "text/html; charset=big5", ("big5", "header")),
        (b"<meta charset=gbk>", "text/html; charset=nonsense", ("gbk", "meta")),
        (b"<?xml version='1.0' encoding='gbk'?>", None, ("gbk", "xml")),
        ("<?xml version='1.0'?>".encode("utf-16-le"), None, ("utf-16le", "xml")),
        (b"plain", None, ("utf-8", "utf-8")),
        ("日本".encode(), None, ("utf-8", "utf-8")),
        (NOT_UTF8, None, ("windows-1252", "default")),
        (encode(SENTENCES["ru"], "koi8-r"), None, ("koi8-r", "guess")),
        (encode(SENTENCES["ru"], "koi8-r"), "text/html; charset=gbk", ("gbk", "header")),
        (b"<meta charset=gbk>" + encode(SENTENCES["ru"], "koi8-r"), None, ("gbk", "meta")),
    ],
)
def test_what_says_so(body: bytes, content_type: str | None, sniffing: tuple[str, str]) -> None:
    assert sniffed(body, content_type) == sniffing


def test_the_detector_is_loaded_only_for_a_guess() -> None:
    """It takes 37 MB and a tenth of a second in each process."""
    script = (
        "import sys; from crawler.content.html import read_page; url = 'http://example.com/';"
        "read_page('naïve 日本'.encode(), url); read_page(b'<meta charset=koi8-r>\\xc4\\xc1\\xd7', url);"
        "read_page(b'caf\\xe9 au lait', url); read_page(b'\\xc4\\xc1\\xd7', url, 'text/html; charset=koi8-r');"
        "before = 'chardet' in sys.modules; read_page(bytes(range(192, 256)), url);"
        "print(before, 'chardet' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("ascii", "windows-1252"),
        ("iso-8859-1", "windows-1252"),
        ("iso-8859-9", "windows-1254"),
        ("tis-620", "windows-874"),
        ("iso-8859-11", "windows-874"),
        ("ks_c_5601-1987", "euc-kr"),
        ("windows-31j", "shift_jis"),
        ("x-x-big5", "big5"),
        ("logical", "iso-8859-8-i"),
        ("visual", "iso-8859-8"),
        ("koi8-ru", "koi8-u"),
        ("unicode11utf8", "utf-8"),
        ("unicodefffe", "utf-16be"),
        ("iso-10646-ucs-2", "utf-16le"),
        ("x-mac-ukrainian", "x-mac-cyrillic"),
        ("iso-2022-cn-ext", "replacement"),
    ],
)
def test_labels_are_those_of_the_standard(label: str, name: str) -> None:
    assert sniff(b"", f"text/html; charset={label.upper()}") == name


@pytest.mark.parametrize("name", NAMES)
def test_each_name_is_its_own_label(name: str) -> None:
    assert sniff(b"", f"text/html; charset={name}") == name


@pytest.mark.parametrize(
    ("body", "encoding", "text"),
    [
        ("naïve 日本".encode(), "utf-8", "naïve 日本"),
        (b"a\xffb\xe3\x81c", "utf-8", "a\ufffdb\ufffdc"),
        (b"\xed\xa0\x80", "utf-8", "\ufffd\ufffd\ufffd"),
        (b"\xef\xbb\xbfx", "utf-8", "x"),
        (b"\xef\xbb\xbfx", "windows-1252", "ï»¿x"),
        (b"\xff\xfea\0b\0", "utf-16le", "ab"),
        (b"\xfe\xff\0a\0b", "utf-16be", "ab"),
        (b"\0\xd8a\0", "utf-16le", "\ufffda"),
        (b"a\0b", "utf-16le", "a\ufffd"),
        (b"a\0b", "utf-8", "a\ufffdb"),
        (b"a\0b", "windows-1251", "a\ufffdb"),
        (b"a\0b", "shift_jis", "a\ufffdb"),
        (b"\x80\x81\x8d\x8f\x90\x9d\xe9", "windows-1252", "€\x81\x8d\x8f\x90\x9dé"),
        (b"\x80\x81\xa1\xdb", "windows-874", "€\x81ก\ufffd"),
        (b"\xaa\xe1", "windows-1253", "\ufffdα"),
        (b"\xae\xbe", "koi8-u", "ўЎ"),
        (b"\xe0\xff", "iso-8859-8-i", "א\ufffd"),
        (b"\x8e\xdb", "macintosh", "é€"),
        (b"\x80\xff", "x-mac-cyrillic", "А€"),
        (b"A\x80\xff", "x-user-defined", "A\uf780\uf7ff"),
        (b"\x7f", "x-user-defined", "\x7f"),
        (b"anything", "replacement", "\ufffd"),
        (b"", "replacement", ""),
        ("镕\U00020000".encode("gb18030"), "gbk", "镕\U00020000"),
        (b"\x87\x40\x81\x60", "shift_jis", "①～"),
        ("똠방".encode("cp949"), "euc-kr", "똠방"),
        (b"\xa4\xa4\x87\x40", "big5", "中䏰"),
        ("日本ｱ".encode("euc_jp"), "euc-jp", "日本ｱ"),
        (b"\xad\xa1\xad\xea", "euc-jp", "①㈱"),
        (b"\xad\xa1a\xad\xdf\xad\xe0\xf9\xa1\xfc\xfe", "euc-jp", "①a㍻〝纊＂"),
        (b"\xb2<b>", "euc-jp", "\ufffd<b>"),
        (b"\xff<a>\xa1", "euc-jp", "\ufffd<a>\ufffd"),
        (b"\xa9\xa1<", "euc-jp", "\ufffd<"),  # one character that does not exist
        ("日本".encode("iso2022_jp"), "iso-2022-jp", "日本"),
        (b"caf\xe9", "no-such-encoding", "café"),
    ],
)
def test_decoding(body: bytes, encoding: str, text: str) -> None:
    assert decode(body, encoding) == text


@pytest.mark.parametrize("encoding", ["utf-8", "gbk", "big5", "euc-jp", "shift_jis", "euc-kr"])
@pytest.mark.parametrize("stray", [b"\x81", b"\xe3\x81", b"\xff"])
def test_a_stray_byte_does_not_swallow_the_markup_behind_it(encoding: str, stray: bytes) -> None:
    assert decode(stray + b"<b>", encoding).endswith("<b>")


@pytest.mark.parametrize("encoding", SINGLE_BYTE_NAMES)
def test_single_byte_encodings_keep_ascii_and_controls(encoding: str) -> None:
    ascii_bytes = bytes(range(1, 128))
    assert decode(ascii_bytes, encoding) == ascii_bytes.decode()
    assert "\ufffd" not in decode(bytes(range(0x80, 0xA0)), encoding)


@settings(deadline=None)  # tables are made when they are first needed
@given(st.binary(max_size=200), st.none() | st.text(max_size=60), st.sampled_from([*NAMES, "no-such-encoding"]))
def test_whatever_the_bytes_their_text_can_be_stored(body: bytes, content_type: str | None, encoding: str) -> None:
    check_encoding(body, content_type, encoding)


@given(
    st.lists(
        st.sampled_from(
            [b"<meta", b" ", b"charset", b"=", b'"', b"'", b">", b"/", b"gbk", b"<!--", b"-->", b"<a", b"\xff"]
        )
    )
)
def test_no_markup_makes_the_prescan_fail(pieces: list[bytes]) -> None:
    assert sniff(b"".join(pieces))


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff")))
def test_what_is_undeclared_utf8_comes_back_as_it_was(text: str) -> None:
    body = text.encode()
    assert sniffed(body.replace(b"<", b"")) == ("utf-8", "utf-8")
    assert decode(body, "utf-8") == text


@given(st.text(alphabet=st.characters() | st.sampled_from("\0\ud800\udc00")))
def test_scalar_text_holds_nothing_that_cannot_be_stored(text: str) -> None:
    assert has_only_scalars(scalar_text(text))


def test_scalar_text_keeps_what_is_fine_without_a_copy() -> None:
    text = "fine 日本 \U0001f600"
    assert scalar_text(text) is text
    assert scalar_text("a\0b\ud800c") == "a\ufffdb\ufffdc"
