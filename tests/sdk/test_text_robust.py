"""What holds for any input: nothing raises, no word is lost, nobody is pinged, time is short."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from html import unescape
from typing import Any

import nh3
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hub.sdk.text import (
    fingerprint,
    from_adf,
    from_html,
    from_mrkdwn,
    from_plain,
    from_wiki,
    plain,
    shorten,
    similarity,
    to_adf,
    to_html,
    to_mrkdwn,
)

CONVERTERS: dict[str, Callable[[str], object]] = {
    "to_adf": to_adf,
    "to_html": to_html,
    "to_mrkdwn": to_mrkdwn,
    "plain": plain,
    "from_adf": from_adf,
    "from_html": from_html,
    "from_mrkdwn": from_mrkdwn,
    "from_wiki": from_wiki,
    "from_plain": from_plain,
    "fingerprint": fingerprint,
}

# Markup of every kind in random order finds more than random letters do.
BITS = [
    "word", "wörd", "日本", "😀", "a", "1", " ", " ", "  ", "\n", "\n\n", "\t", "\\", "\\\\", "*", "**",
    "***", "_", "__", "~", "~~", "`", "``", "```", "\n```\n", "\n~~~", "#", "# ", "h1. ", "bq. ", "-",
    "- ", "+ ", "* ", "1. ", "2) ", "----", "===", "\n---\n", ">", "> ", ">>> ", "&gt; ", "&amp;",
    "&lt;", "&#0;", "&copy;", "<", "<b>", "</b>", "<p>", "<br>", "<ul><li>", "</li>", "</ul>", "<pre>",
    "</pre>", "<table><tr><td>", "</td>", "</tr></table>", "<blockquote>", "</blockquote>", "<a href='x'>",
    '<a href="https://e.com">', "</a>", "<img src=x alt=y>", "<script>", "</script>", "<!--", "-->",
    "<!channel>", "<@U1>", "<#C1|gen>", "<https://e.com|t>", "<", "[", "]", "(", ")", "![", "](", "[x](",
    "](https://e.com/a_b)", "[t|https://e.com]", "[~id]", "[^f.txt]", "!i.png!", "|", "||", "| a | b |",
    "|---|---|", "{", "}", "{{", "}}", "{code}", "{code:py}", "{noformat}", "{quote}", "{panel:title=x}",
    "{panel}", "{color:red}", "{color}", "https://e.com/a_b*c", "www.e.com", "mailto:a@b.c",
    "javascript:alert(1)", "\x00", "\x0b", "\x1f", "\u2028", "\u200b", "\ufeff", "\ud800", "\r", "\r\n",
    "[ ] ", "[x] ", "☐ ", "•", "• ", ":tada:", "\u00a0", "–", "“", "’", "\\*", "\\[", "!", "@", "$&",
]  # fmt: skip
MARKUP = st.lists(st.sampled_from(BITS), max_size=40).map("".join)
TEXT = st.one_of(MARKUP, st.text(max_size=200))
PEOPLE_TYPE = st.text(
    st.characters(exclude_categories=["Cc", "Cf", "Cs", "Co", "Cn"], include_characters="\n"),
    max_size=80,
)
FUZZ = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)

NODE_TYPES = [
    "doc", "paragraph", "heading", "text", "bulletList", "orderedList", "listItem", "taskList",
    "taskItem", "blockquote", "panel", "codeBlock", "rule", "table", "tableRow", "tableCell",
    "tableHeader", "mention", "emoji", "inlineCard", "blockCard", "mediaSingle", "media", "expand",
    "status", "date", "hardBreak", "extension", "nonsense", "layoutSection", "decisionList",
]  # fmt: skip
LEAVES = {"text", "mention", "emoji", "inlineCard", "blockCard", "media", "status", "date",
          "hardBreak", "rule"}  # fmt: skip
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT)
MARKS = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["strong", "em", "strike", "code", "link", "odd"])},
        optional={"attrs": st.dictionaries(st.sampled_from(["href"]), SCALARS)},
    ),
    max_size=3,
)
ATTRS = st.dictionaries(
    st.sampled_from(["level", "order", "url", "text", "id", "state", "language", "title", "alt",
                     "timestamp", "shortName", "data"]),
    SCALARS,
    max_size=3,
)  # fmt: skip
NODES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        SCALARS,
        st.fixed_dictionaries({"type": st.just("text"), "text": TEXT}, optional={"marks": MARKS}),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.fixed_dictionaries(
            {"type": st.sampled_from(NODE_TYPES)},
            optional={"content": st.one_of(inner, st.lists(inner, max_size=4)), "attrs": ATTRS},
        ),
    ),
    max_leaves=20,
)


def texts(node: object) -> list[str]:
    """Return the text of every text node of a document."""
    if isinstance(node, list):
        return [text for child in node for text in texts(child)]
    if not isinstance(node, dict):
        return []
    own = [str(node["text"])] if node.get("type") == "text" else []
    return own + texts(node.get("content"))


@pytest.mark.parametrize("name", CONVERTERS)
@given(text=TEXT)
@FUZZ
def test_any_text_converts_and_twice_the_same(name: str, text: str) -> None:
    first = CONVERTERS[name](text)
    assert first == CONVERTERS[name](text)
    json.dumps(first, ensure_ascii=False).encode()


@given(document=NODES)
@FUZZ
def test_any_json_reads_as_adf(document: object) -> None:
    read = from_adf(document)
    assert read == from_adf(document)
    to_adf(read)


@given(text=PEOPLE_TYPE)
@example("1. one\n- two\n# three\n> four\n    five\n---\na | b\n--|--")
@example("[a]: http://x\n[a]\n![a][a] <b> &copy; *x* _y_ `z` ~~w~~ \\* http://e.com/_a_*b*")
@settings(FUZZ, max_examples=400)
def test_escaped_text_is_shown_as_it_was_typed(text: str) -> None:
    shown = plain(from_plain(text))
    assert shown.split() == text.split()


@given(text=MARKUP)
@settings(FUZZ, max_examples=300)
def test_escaped_markup_is_shown_as_it_was_typed(text: str) -> None:
    clean = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800\ufffd]", "", text)
    assert plain(from_plain(clean)).split() == clean.split()


@given(
    spans=st.lists(
        st.tuples(PEOPLE_TYPE, st.lists(st.sampled_from(["strong", "em", "strike", "code"]))),
        max_size=8,
    )
)
@settings(FUZZ, max_examples=400)
def test_marks_never_change_the_words(spans: list[tuple[str, list[str]]]) -> None:
    content = [
        {"type": "text", "text": text, "marks": [{"type": mark} for mark in marks]}
        for text, marks in spans
    ]
    markdown = from_adf({"type": "doc", "content": [{"type": "paragraph", "content": content}]})
    assert "".join(plain(markdown).split()) == "".join("".join(text for text, _ in spans).split())


HTML_TAGS = ["p", "div", "b", "em", "s", "h2", "ul", "ol", "li", "blockquote", "table", "tr", "td",
             "th", "span", "section", "code", "pre", "center", "dl", "dd", "nonsense"]  # fmt: skip
HTML: st.SearchStrategy[str] = st.recursive(
    st.one_of(
        st.sampled_from(["word", "two words", " ", "1 &lt; 2", "*x* # y", "<br>", "<hr>", "\n"]),
        st.sampled_from(HTML_TAGS).map("<{}>".format),
        st.sampled_from(HTML_TAGS).map("</{}>".format),
    ),
    lambda inner: st.tuples(st.sampled_from(HTML_TAGS), st.lists(inner, max_size=4)).map(
        lambda pair: f"<{pair[0]}>{''.join(pair[1])}</{pair[0]}>"
    ),
    max_leaves=30,
)


@given(html=HTML)
@example("<table><tr><td><hr>a</td></tr></table>")
@settings(FUZZ, max_examples=250)
def test_html_of_any_structure_keeps_its_words(html: str) -> None:
    shown = unescape(nh3.clean(html, tags=set()))
    assert "".join(plain(from_html(html)).split()) == "".join(shown.split())


STRUCTURE: st.SearchStrategy[Any] = st.recursive(
    st.fixed_dictionaries(
        {
            "type": st.just("text"),
            "text": st.sampled_from(["word", "two words", "*x*", "- y", "1. z"]),
        },
        optional={"marks": MARKS},
    ),
    lambda inner: st.fixed_dictionaries(
        {
            "type": st.sampled_from([kind for kind in NODE_TYPES if kind not in LEAVES]),
            "content": st.lists(inner, max_size=4),
        }
    ),
    max_leaves=30,
)


@given(document=STRUCTURE)
@settings(FUZZ, max_examples=250)
def test_adf_of_any_structure_keeps_its_words(document: object) -> None:
    shown = "".join(texts(document))
    assert "".join(plain(from_adf(document)).split()) == "".join(shown.split())


def letters(text: str) -> list[str]:
    return [character for character in text if character.isalpha()]


@given(text=PEOPLE_TYPE)
@settings(FUZZ, max_examples=250)
def test_mrkdwn_keeps_every_letter(text: str) -> None:
    sent = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert letters(plain(from_mrkdwn(sent))) == letters(text)


@given(text=st.text("xyz  \n\n**__--++~?|||[](){}{}\\##.,:1", max_size=80))
@settings(FUZZ, max_examples=400)
def test_wiki_markup_keeps_every_letter(text: str) -> None:
    assert letters(plain(from_wiki(text))) == letters(text)


@given(text=TEXT)
@FUZZ
def test_adf_holds_no_text_that_jira_refuses(text: str) -> None:
    document = to_adf(text)
    assert document["version"] == 1
    assert document["content"]
    assert all(texts(document["content"]))


# What may stand in what, from Atlassian's adf-schema; a list entry must not begin with a list.
INNER = {"paragraph", "bulletList", "orderedList", "codeBlock"}
ADF_GRAMMAR = {
    "doc": {*INNER, "heading", "blockquote", "rule", "table"},
    "blockquote": INNER,
    "listItem": INNER,
    "bulletList": {"listItem"},
    "orderedList": {"listItem"},
    "table": {"tableRow"},
    "tableRow": {"tableHeader", "tableCell"},
    "tableHeader": {"paragraph"},
    "tableCell": {"paragraph"},
    "paragraph": {"text", "hardBreak"},
    "heading": {"text", "hardBreak"},
    "codeBlock": {"text"},
}
MAY_BE_EMPTY = {"paragraph", "heading", "codeBlock"}


def check_adf(node: Any) -> None:
    kind, content = node["type"], node.get("content", [])
    if kind == "text":
        marks = {mark["type"] for mark in node.get("marks", [])}
        assert node["text"]
        assert marks <= {"strong", "em", "strike", "code", "link"}
        assert "code" not in marks or marks <= {"code", "link"}
        return
    assert content or kind in {*MAY_BE_EMPTY, "rule", "hardBreak"}, kind
    if kind == "listItem":
        assert content[0]["type"] in {"paragraph", "codeBlock"}
    for child in content:
        assert child["type"] in ADF_GRAMMAR[kind], (kind, child["type"])
        check_adf(child)


@given(text=st.one_of(TEXT, HTML.map(from_html), STRUCTURE.map(from_adf)))
@example("- ***\n  - a")
@example("- > - a")
@settings(FUZZ, max_examples=500)
def test_adf_holds_to_its_grammar(text: str) -> None:
    check_adf(to_adf(text))


@given(text=TEXT)
@settings(FUZZ, max_examples=300)
def test_mrkdwn_never_pings(text: str) -> None:
    # Slack acts on nothing but what stands between angle brackets.
    for inside in re.findall("<([^>]*)>", to_mrkdwn(text)):
        assert re.match(r"https?://|mailto:|tel:", inside), inside


@given(text=TEXT)
@settings(FUZZ, max_examples=300)
def test_html_holds_only_the_tags_it_promises(text: str) -> None:
    html = to_html(text)
    tags = set("p h1 h2 h3 h4 h5 h6 strong em s code pre a ul ol li blockquote br hr".split())  # noqa: SIM905
    assert set(re.findall(r"</?([a-z0-9]+)", html)) <= tags
    for href in re.findall(r'href="([^"]*)"', html):
        assert re.match(r"https?://|mailto:|tel:", href), href
    # A sanitizer that knows HTML finds nothing to take away.
    cleaned = nh3.clean(
        html,
        tags=tags,
        attributes={"a": {"href"}, "ol": {"start"}, "code": {"class"}},
        link_rel=None,
    )
    assert re.sub("<[^>]*>", "", cleaned) == re.sub(
        "<[^>]*>", "", html.replace("&quot;", '"').replace("&#x27;", "'")
    ).replace("\u00a0", "&nbsp;")


@given(text=TEXT, limit=st.integers(-1, 120))
@FUZZ
def test_shortened_text_fits_and_closes_its_fence(text: str, limit: int) -> None:
    short = shorten(text, limit)
    assert len(short) <= max(limit, 0)
    if len(text) <= limit:
        assert short == text
    elif "…" in short:
        assert to_html(f"{short}\n\nAFTER").endswith("<p>AFTER</p>")


@given(one=TEXT, two=TEXT)
@FUZZ
def test_similarity_stays_between_0_and_1(one: str, two: str) -> None:
    a, b = fingerprint(one), fingerprint(two)
    assert 0.0 <= similarity(a, b) <= 1.0
    assert similarity(a, a) == (1.0 if a else 0.0)
    assert all(re.fullmatch(r">?[^\W_]+", word) for word in a)


SIZE = 20_000
HOSTILE = {
    "prose": "The *quick* brown [fox](https://e.com) jumps. ",
    "lines": "a\n",
    "stars": "*a_ ",
    "strong": "**a ",
    "stars without blanks": "*a*b",
    "brackets": "[",
    "images": "![",
    "links": "[a](",
    "closing": "](",
    "angles": "<",
    "tags": "<a ",
    "quotes in tags": '<a href="',
    "comments": "<!--",
    "marked sections": "<![",
    "processing": "<?",
    "attributes": "<x y=z ",
    "bold": "<b>",
    "divs": "<div>",
    "lists": "<ul><li>",
    "table": "<table><tr><td>",
    "adoption": "<b><p>",
    "links in divs": "<a><div>",
    "closed": "<p>x</p>",
    "ampersands": "&",
    "quotes": ">",
    "quote lines": "> a\n",
    "bullets": "- ",
    "bullet lines": "* a\n",
    "deep bullet lines": "**** a\n",
    "wiki code": "{code}",
    "wiki code named": "{code:a",
    "wiki quote": "{quote}",
    "wiki panel": "{panel:title=a}",
    "wiki mono": "{{",
    "wiki color": "{color:red}",
    "wiki bang": "!a",
    "wiki bangs": "!a.png|",
    "wiki link": "[a|",
    "bars": "|",
    "bars and cells": "|a",
    "rows": "|a|b|\n",
    "chat links": "<https://e.com|",
    "fences": "```",
    "fence lines": "```\n",
    "tildes": "~~a ",
    "underscores": "_",
    "dashes": "-",
    "backslashes": "\\",
    "breaks": "a\\\n",
    "urls": "https://e.com/(",
    "url tails": "https://e.com/!!!!",
    "blanks": " ",
    "tabs": "\t",
    "newlines": "\n",
    "emoji codes": ":a",
    "numbers": "1. ",
    "kana": "\u3042",
}


# The others share the parser of Markdown with `to_mrkdwn`.
READERS = ["to_mrkdwn", "from_html", "from_mrkdwn", "from_wiki", "from_plain", "fingerprint"]


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("name", READERS)
def test_time_grows_with_the_size_and_not_its_square(name: str, kind: str) -> None:
    unit = HOSTILE[kind]
    text = unit * (SIZE // len(unit))
    start = time.process_time()
    CONVERTERS[name](text)
    # The slowest takes half a second of CPU; the square of the size takes 5 to 60 s.
    assert time.process_time() - start < 3


@pytest.mark.parametrize("name", CONVERTERS)
def test_100_kb_of_prose_takes_little_time(name: str) -> None:
    text = HOSTILE["prose"] * (100_000 // len(HOSTILE["prose"]))
    start = time.process_time()
    CONVERTERS[name](text)
    # About half a second of CPU here.
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    "kind", ["bulletList", "blockquote", "nonsense", "table", "expand", "panel"]
)
def test_deep_adf_keeps_its_words(kind: str) -> None:
    document: object = {"type": "text", "text": "bottom"}
    for _ in range(20_000):
        document = {"type": kind, "content": [document]}
    assert "bottom" in from_adf(document)


@pytest.mark.parametrize(
    "unit", [">", "> ", "- ", "1. ", "<b>", "<div>", "<ul><li>", "<blockquote>"]
)
def test_deep_nesting_keeps_its_words(unit: str) -> None:
    text = unit * 5_000 + "bottom"
    assert "bottom" in plain(text)
    assert "bottom" in plain(from_html(text))
    assert "bottom" in plain(from_mrkdwn(text))
    assert "bottom" in plain(from_wiki(text))
