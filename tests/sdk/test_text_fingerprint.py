"""The evidence for `SAME_TEXT`: one text in every dress scores above it, other texts below."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.sdk.text import (
    SAME_TEXT,
    fingerprint,
    from_adf,
    from_html,
    from_mrkdwn,
    from_wiki,
    plain,
    shorten,
    similarity,
    to_adf,
    to_html,
    to_mrkdwn,
)

TEXTS = {
    "short": "Thanks, fixed in **2.4.1**.",
    "sentence": "We shipped the fix for the CSV export today, please update and try again.",
    "link": "Tracked as [ABC-42](https://acme.atlassian.net/browse/ABC-42), see there for progress.",
    "bare link": "Details: https://docs.acme.io/release_notes/2.4?from=hub&x=1#csv. Tell us how it goes!",
    "marks": "It is **really *very* important** that ~~nobody~~ `my_function(a, b)` is called_twice.",
    "list": "What changed:\n\n- exports keep *all* columns\n- dates use ISO 8601\n  1. in CSV\n  2. in XLSX\n- [x] tested\n- [ ] announced",
    "quote": "Jane Doe (Acme Inc.) asks:\n\n> The export drops the last column\n> when it has no header.\n\nHandled by the export team.",
    "code": "Run this once:\n\n```python\nfor row in rows:\n    print(row['id'], \"a < b && c > d\")\n```\n\nThen restart the worker.",
    "table": "| Plan | Seats |\n| --- | --- |\n| Team | 25 |\n| Business | 120 |\n\nBoth plans are affected.",
    "headings": "# New report\n\n## From the survey\n\nScore 3 of 10, *detractor*.\n\n---\n\nPlease call back.",
    "signs": "Is 3 < 5 & 7 > 2? Use <b>, [brackets], {braces}, a|b, #1 and 100% * 2 - don't escape \\_this\\_.",
    "unicode": "Grüße aus Zürich 👋 — l’été, “naïve” façade, ½ price…",
    "japanese": "エクスポート機能の不具合は**バージョン2.4**で修正されました。更新してからもう一度お試しください。",
    "lines": "Customer: Jane Doe\nPlan: Business\nMRR: 1,200 EUR\nSince: 2021-03-04",
}  # fmt: skip

CONVERSATION = [
    "The CSV export drops the last column when it has no header. Can you have a look?",
    "Thanks for the report! We can reproduce it and are working on a fix.",
    "Any news? Our month-end closing depends on the export.",
    "A fix is in review. We expect to release it on Thursday.",
    "We shipped the fix for the CSV export today, please update and try again.",
    "I updated but the export still drops the column, the fix does not work for me.",
    "Could you send us the file that you export, and the version that you see in the menu?",
    "It is version 2.4.0, and the file is attached.",
    "The fix is in 2.4.1, which reaches your region tomorrow.",
    "Works now, thank you very much!",
    "Great to hear. I close this conversation, just write here if you need anything else.",
    "One more thing: can the export be scheduled?",
    "ABC-42 is now in progress.",
    "Jane left a score of 3 of 10: too slow since the last update.",
]

# Sentences of one template, or a correction of a sentence: a person writes these on purpose.
NEAR = [
    ("This is fixed in version 2.4", "This is fixed in version 2.5"),
    ("This is fixed", "This is not fixed"),
    ("The export works for me now", "The export does not work for me now"),
    ("ABC-42 is now in progress", "ABC-43 is now in progress"),
    ("ABC-42 moved from To Do to In Progress", "ABC-42 moved from In Progress to Done"),
    ("We fixed the export in version 2.4.1, please update the app, try again and tell us how it goes",
     "We fixed the export in version 2.5.1, please update the app, try again and tell us how it goes"),
    ("See https://acme.io/tickets/1", "See https://acme.io/tickets/2"),
    ("Done", "Done with the first part, but the second part still fails"),
    ("We shipped the fix for the CSV export today",
     "> We shipped the fix for the CSV export today\n\nstill broken here"),
    ("👍", "🎉"),
]  # fmt: skip


def slack_habits(mrkdwn: str) -> str:
    """Name emoji, and link what looks like a domain or an address, as Slack does."""
    linked = re.sub(r"(?<![\w/.@<|])((?:[a-z]+\.)+(?:com|io))\b", r"<http://\1|\1>", mrkdwn)
    return linked.replace("\U0001f44b", ":wave:")


def jira_wiki(markdown: str) -> str:
    """Write the wiki markup that Jira's webhook carries for the hub's comment."""
    wiki: list[str] = []
    fence = False
    for line in markdown.split("\n"):
        indent = len(line) - len(line.lstrip())
        body = line.strip()
        if body.startswith("```"):
            wiki.append("{code}" if fence else f"{{code:{body[3:]}}}")
            fence = not fence
        elif fence:
            wiki.append(line)
        elif body.startswith("#") and body.lstrip("#").startswith(" "):
            level = len(body) - len(body.lstrip("#"))
            wiki.append(f"h{level}. {body.lstrip('# ')}")
        elif body.startswith("- "):
            wiki.append("*" * (indent // 2 + 1) + " " + body[2:])
        elif body[:2] in {"1.", "2."}:
            wiki.append("*" * (indent // 2) + "# " + body[3:])
        elif body.startswith("> "):
            wiki.append(f"{{quote}}{body[2:]}{{quote}}")
        elif body == "---":
            wiki.append("----")
        elif body.startswith("| ---"):
            pass
        else:
            wiki.append(body)
    text = "\n".join(wiki).replace("**", "*").replace("~~", "-")
    return text.replace("[ABC-42](https://acme.atlassian.net/browse/ABC-42)",
                        "[ABC-42|https://acme.atlassian.net/browse/ABC-42|smart-link]")  # fmt: skip


DRESSES: dict[str, Callable[[str], str]] = {
    "adf": lambda text: from_adf(to_adf(text)),
    "adf twice": lambda text: from_adf(to_adf(from_adf(to_adf(text)))),
    "html": lambda text: from_html(to_html(text)),
    "html as sent": to_html,
    "html of a mail": lambda text: from_html(
        f"<html><head><title>x</title><style>p{{}}</style></head><body>"
        f"<div class='a'><table><tr><td>{to_html(text)}</td></tr></table></div></body></html>"
    ),
    "mrkdwn": lambda text: from_mrkdwn(to_mrkdwn(text)),
    "mrkdwn as sent": to_mrkdwn,
    "slack": lambda text: from_mrkdwn(slack_habits(to_mrkdwn(text))),
    "wiki": lambda text: from_wiki(jira_wiki(text)),
    "wiki as received": jira_wiki,
    "adf to mrkdwn": lambda text: from_mrkdwn(to_mrkdwn(from_adf(to_adf(text)))),
    "html to adf": lambda text: from_adf(to_adf(from_html(to_html(text)))),
    "mrkdwn to html": lambda text: from_html(to_html(from_mrkdwn(to_mrkdwn(text)))),
    "shouted": str.upper,
    "curled quotes": lambda text: text.replace("'", "’").replace('"', "“"),
    "blanks": lambda text: "  " + text.replace("\n\n", "\n\n\n") + "\n",
    "crlf": lambda text: text.replace("\n", "\r\n"),
}


@pytest.mark.parametrize("dress", DRESSES)
@pytest.mark.parametrize("name", TEXTS)
def test_one_text_in_every_dress_is_recognised(name: str, dress: str) -> None:
    written = fingerprint(TEXTS[name])
    seen = fingerprint(DRESSES[dress](TEXTS[name]))
    assert similarity(written, seen) >= 0.9, (written, seen)


@pytest.mark.parametrize("name", [name for name, text in TEXTS.items() if len(text) > 60])
def test_a_truncated_text_is_recognised(name: str) -> None:
    text = TEXTS[name]
    for part in (0.95, 0.8, 0.6):
        seen = fingerprint(shorten(text, int(len(text) * part)))
        if len(seen) >= 8:
            assert similarity(fingerprint(text), seen) >= SAME_TEXT, seen


@pytest.mark.parametrize(
    "signature",
    [
        "-- \nJane, Support team",
        "Sent from my iPhone",
        "_via the hub, [open](https://hub.acme.io/e/1)_",
    ],
)
@pytest.mark.parametrize("name", ["sentence", "link", "list", "quote", "code", "headings"])
def test_a_signed_text_is_recognised(name: str, signature: str) -> None:
    text = TEXTS[name]
    assert similarity(fingerprint(text), fingerprint(f"{text}\n\n{signature}")) >= SAME_TEXT


def test_other_texts_of_a_conversation_are_far_away() -> None:
    worst = max(
        similarity(fingerprint(one), fingerprint(two))
        for one, two in combinations([*CONVERSATION, *TEXTS.values()], 2)
        if one != two
    )
    assert worst < 0.2


@pytest.mark.parametrize(("one", "two"), NEAR)
def test_a_small_difference_that_matters_is_another_text(one: str, two: str) -> None:
    a, b = fingerprint(one), fingerprint(two)
    assert similarity(a, b) < SAME_TEXT
    assert similarity(b, a) < SAME_TEXT


def test_the_limits_are_the_documented_ones() -> None:
    words = tuple(f"w{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(40))

    def exchanged(count: int, one: str, two: str) -> float:
        return similarity((*words[: count - 1], one), (*words[: count - 1], two))

    assert similarity(words[:7], (*words[:3], "not", *words[3:7])) < SAME_TEXT
    assert similarity(words[:8], (*words[:3], "not", *words[3:8])) >= SAME_TEXT
    assert exchanged(11, "now", "not") < SAME_TEXT <= exchanged(12, "now", "not")
    assert exchanged(33, "4", "5") < SAME_TEXT <= exchanged(34, "4", "5")


def test_a_reply_that_quotes_is_not_the_quoted_text() -> None:
    for text in CONVERSATION:
        for reply in (f"> {text}\n\nno", f"&gt; {text}\nno", f"{{quote}}{text}{{quote}}\nno",
                      f"<blockquote><p>{text}</p></blockquote><p>no</p>"):  # fmt: skip
            assert similarity(fingerprint(text), fingerprint(reply)) < 0.3, reply


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ()),
        ("👍 :tada: — …", ()),
        ("Über ﬁve ①", ("über", "five", "1")),
        ("**Bold** _it_ ~~s~~ `co_de` half**way**", ("bold", "it", "s", "code", "halfway")),
        ("&lt;b&gt; &amp; caf&eacute;", ("café",)),
        ("don't don’t", ("dont", "dont")),
        ("1. one\n2) two\n# three\n- [x] four", ("one", "two", "three", "four")),
        ("h2. Head\nbq. Quote", ("head", ">quote")),
        ("> one\n> > two\n\nthree", (">one", ">two", "three")),
        ("```python\nx = 1\n```", ("x", "1")),
        ("{code:java}x{code} {color:red}y{color}", ("x", "y")),
        ("[~accountid:5b10] hi", ("5b10", "hi")),
        ("<@U1|jane> <!here> <#C1|general>", ("jane", "here", "general")),
        ("[t](https://www.E.com/a%20b/?q=1)", ("t", "ecomabq1")),
        ("<https://e.com/a|t>", ("ecoma", "t")),
        ("[t|https://e.com/a|smart-link]", ("t", "ecoma")),
        ('<a href="https://e.com/a">t</a>', ("ecoma", "t")),
        ("<https://e.com/a> https://e.com/a.", ("ecoma",)),
        ("[https://e.com/a](https://e.com/a)", ("ecoma",)),
        ("<mailto:a@b.co|a@b.co>", ("a", "b", "co")),
        ("不具合です", ("不具", "具合", "合で", "です")),
    ],
)
def test_words_of_each_markup(text: str, words: tuple[str, ...]) -> None:
    assert fingerprint(text) == words


def test_nothing_to_compare_is_no_likeness() -> None:
    assert similarity((), ()) == 0.0
    assert similarity(("a",), ()) == 0.0


WORDS = st.text("abcdefghijklmnopqrstuvwxyzäéß", min_size=2, max_size=8)
PLAIN = st.lists(WORDS, min_size=1, max_size=6).map(" ".join)
INLINE = st.one_of(
    PLAIN,
    PLAIN.map("**{}**".format),
    PLAIN.map("*{}*".format),
    PLAIN.map("~~{}~~".format),
    PLAIN.map("`{}`".format),
    PLAIN.map("[{}](https://e.com/x_y)".format),
    st.just("https://e.com/a/b"),
)
LINE = st.lists(INLINE, min_size=1, max_size=4).map(" ".join)
ITEMS = st.lists(LINE, min_size=1, max_size=4)
BLOCK = st.one_of(
    LINE,
    st.lists(LINE, min_size=2, max_size=3).map("\n".join),
    LINE.map("## {}".format),
    ITEMS.map(lambda items: "\n".join(f"- {item}" for item in items)),
    ITEMS.map(lambda items: "\n".join(f"{n}. {item}" for n, item in enumerate(items, 1))),
    ITEMS.map(lambda items: "- " + "\n  - ".join(items)),
    ITEMS.map(lambda items: "\n".join(f"> {item}" for item in items)),
    PLAIN.map("```\n{}\n```".format),
    st.lists(PLAIN, min_size=2, max_size=2).map(
        lambda row: f"| {' | '.join(row)} |\n| --- | --- |\n| {' | '.join(reversed(row))} |"
    ),
    st.just("---"),
)
DOCUMENT = st.lists(BLOCK, min_size=1, max_size=6).map("\n\n".join)
TRIPS = ["adf", "html", "mrkdwn", "html as sent", "mrkdwn as sent", "html to adf", "mrkdwn to html"]


@pytest.mark.parametrize("trip", TRIPS)
@given(text=DOCUMENT)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_any_document_keeps_its_words(trip: str, text: str) -> None:
    written, seen = fingerprint(text), fingerprint(DRESSES[trip](text))
    if written:
        assert similarity(written, seen) >= 0.9, (written, seen)


@given(text=DOCUMENT)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_plain_text_keeps_the_words_but_the_links(text: str) -> None:
    kept = {word.removeprefix(">") for word in fingerprint(plain(text))}
    assert {word.removeprefix(">") for word in fingerprint(text)} - kept <= {"ecomxy"}
