"""Recognise a text that comes back from a tool in that tool's own dress."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from html import unescape
from itertools import pairwise
from typing import Final
from urllib.parse import unquote

from hub.sdk.text._tree import clean

SAME_TEXT: Final = 0.8
"""From this similarity on, two texts count as one text in two dresses.

Evidence (tests/sdk/test_text_fingerprint.py): the example texts and generated documents, sent
through every converter and back and through vendor habits (emoji renamed, quotes curled, domains
linked), score 0.9 or more, truncated and signed ones 0.8 or more; the different sentences of one
support conversation score under 0.2.

What it cannot tell apart: a text of eight words or more that differs by one added word (which may
be "not"), of twelve or more by one exchanged word, of 34 or more by one number. The words also say
nothing of who wrote them. So a caller that drops what it recognises asks for the author, the object
and the time as well.
"""

# Words with a digit tell the sentences of one template apart (keys, versions, amounts). With 5, one
# differing number parts texts of up to 33 words, with 1 of up to 11.
_NUMBER_WEIGHT: Final = 5
# A short text must match nearly exactly: in seven words, one more may be "not".
_SHORT: Final = 16
# Shorter texts are not taken for the beginning of a longer one, nor for a text with a signature.
_LEAST_WORDS: Final = 8
_LONGEST_SIGNATURE: Final = 12

_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe0e\ufe0f\ufeff]")
# Stands before the word of an address, so that an address shown as its own text counts once.
_URL_SIGN = "\ue000"
_QUOTE_TOGGLE, _QUOTE_OPEN, _QUOTE_CLOSE = "\ue001", "\ue002", "\ue003"
_OURS = re.compile("[\ue000-\ue003]")

_CHAT_LINK = re.compile(r"<((?:https?://|mailto:|tel:)[^|<>\s]*)\|([^<>\n]*)>")
_CHAT_MENTION = re.compile(r"<[@#!]([^|<>\n]*)(?:\|([^<>\n]*))?>")
_MARKDOWN_LINK = re.compile(r"\]\((?:<([^<>\n]*)>|([^()\s]*(?:\([^()\s]*\)[^()\s]*)*))\)")
_WIKI_LINK = re.compile(r"\[([^\[\]|\n]*)\|([^\[\]|\n]*)(?:\|[^\[\]\n]*)?\]")
_TAG = re.compile(r"<((?:https?://|mailto:)[^<>\s]*)>|<(/?)([a-z][a-z0-9]*)\b([^<>]*)>")
_ADDRESS = re.compile(r"\b(?:href|src)\s*=\s*[\"']?([^\"'\s<>]+)")
_INLINE_TAGS = frozenset(
    [
        "a",
        "b",
        "i",
        "em",
        "strong",
        "s",
        "del",
        "strike",
        "u",
        "code",
        "span",
        "sub",
        "sup",
        "mark",
        "font",
        "img",
    ]
)
_BARE_URL = re.compile(r"(?<![^\W_])(?:https?://|www\.)[^\s<>\"|\ue000]+")
_MACRO = re.compile(
    r"\{(code|noformat|quote|panel|info|note|tip|warning|expand|color|anchor)(?::([^{}\n]*))?\}"
)
_WIKI_MENTION = re.compile(r"\[~(?:accountid:)?")
_FENCE = re.compile(r"^([ \t>]*)(?:`{3,}|~{3,})[\w+#.-]*[ \t]*$", re.MULTILINE)
_EMOJI_CODE = re.compile(r"(?<![\w:]):[a-z][a-z0-9_+'-]{1,40}:(?![\w:])")
_LINE_SIGN = re.compile(
    r"[ \t]*(?:(?:h[1-6]\.|bq\.|[-*+#\u2022\u25e6\u25aa]+|\d{1,9}\\?[.)])(?:[ \t]+|$))*"
    r"(?:\\?\[[ x]\\?\](?=[ \t]))?"
)
# Emphasis within a word, and apostrophes, which tools curl, do not part words.
_BETWEEN_LETTERS = re.compile("[\\\\*_~`'\u2018\u2019]")
# One line of a plain sentence carries no markup: its words are found without looking for any.
_PLAIN = re.compile(r"(?:[A-Za-z][A-Za-z0-9 ,;?]{3}[A-Za-z0-9 ,;?.-]*)?")
_PLAIN_WORD = re.compile("[a-z0-9]+")
# Scripts without blanks between words are compared by pairs of characters.
_WORD = re.compile("\ue000?[^\\W_]+")
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\u0e00-\u0e7f]+")


def fingerprint(text: str) -> tuple[str, ...]:
    """Return the words of a text, whatever markup it carries, in reading order.

    Markdown, wiki markup, mrkdwn and HTML of the same text give nearly the same words: lower case,
    NFKC, letters and digits only. An address becomes one word without its scheme; numbers of lists,
    names of code languages and emoji codes go, since tools renumber and rename them. A quoted word
    begins with `>`, so that a reply which quotes a text is not taken for it. Chinese, Japanese and
    Thai give pairs of characters. A text without letters and digits gives ().
    """
    if _PLAIN.fullmatch(text) and "www." not in text:
        return tuple(_PLAIN_WORD.findall(text.lower()))
    source = _OURS.sub("", unicodedata.normalize("NFKC", unescape(clean(text)))).casefold()
    source = clean(_INVISIBLE.sub("", source))
    # Most texts carry little markup: what cannot be there is not looked for.
    if "<" in source:
        source = _CHAT_LINK.sub(lambda found: f"{_address(found[1])} {found[2]} ", source)
        source = _CHAT_MENTION.sub(lambda found: found[2] or found[1], source)
        source = _TAG.sub(_tag, source)
    if "[" in source:
        source = _MARKDOWN_LINK.sub(
            lambda found: f"] {_address(found[found.lastindex or 0])}", source
        )
        source = _WIKI_LINK.sub(lambda found: f"{found[1]} {_address(found[2])}", source)
    if "//" in source or "www." in source:
        source = _BARE_URL.sub(_bare, source)
    if "{" in source:
        source = _MACRO.sub(_macro, source)
    source = _WIKI_MENTION.sub("", source)
    if "``" in source or "~~" in source:
        source = _FENCE.sub(r"\1", source)
    if ":" in source:
        source = _EMOJI_CODE.sub(" ", source)
    words: list[str] = []
    open_quotes, toggled, lazy = 0, False, False
    for line in source.split("\n"):
        if line == _QUOTE_TOGGLE:
            toggled = not toggled
            continue
        if line in {_QUOTE_OPEN, _QUOTE_CLOSE}:
            open_quotes = max(0, open_quotes + (1 if line == _QUOTE_OPEN else -1))
            continue
        signed = line.lstrip()
        marked = signed.startswith((">", "bq. "))
        # A line right under a quoted one goes on with the quote.
        lazy = marked or (lazy and bool(signed))
        found = _words(signed.lstrip("> \t"))
        words.extend(f">{word}" if lazy or toggled or open_quotes else word for word in found)
    return tuple(words)


def _words(line: str) -> list[str]:
    sign = _LINE_SIGN.match(line)
    text = _BETWEEN_LETTERS.sub("", line[sign.end() :] if sign else line)
    if text.isascii():
        return _WORD.findall(text)
    words: list[str] = []
    last = ""
    for word in _WORD.findall(text):
        if word != last or not word.startswith(_URL_SIGN):
            words.extend(_split(word.removeprefix(_URL_SIGN)))
        last = word
    return words


def _split(word: str) -> list[str]:
    parts: list[str] = []
    end = 0
    for run in _UNSPACED.finditer(word):
        parts.append(word[end : run.start()])
        parts.extend([first + second for first, second in pairwise(run[0])] or [run[0]])
        end = run.end()
    parts.append(word[end:])
    return [part for part in parts if part]


def _address(url: str) -> str:
    """Reduce an address to one word; what a browser does not open leaves none."""
    if not url.startswith(("http://", "https://", "www.")):
        return " "
    bare = url.partition("://")[2] or url
    word = "".join(re.findall(r"[^\W_]+", unquote(bare.removeprefix("www.")).casefold()))
    return f" {_URL_SIGN}{word} " if word else " "


def _bare(found: re.Match[str]) -> str:
    url = found[0].rstrip(".,;:!?*_~`'])}\\")
    return f"{_address(url)}{found[0][len(url) :]}"


def _tag(found: re.Match[str]) -> str:
    if found[1]:
        return _address(found[1])
    address = _ADDRESS.search(found[4])
    if address:
        return _address(address[1])
    if found[3] == "blockquote":
        return f"\n{_QUOTE_CLOSE if found[2] else _QUOTE_OPEN}\n"
    return "" if found[3] in _INLINE_TAGS else "\n"


def _macro(found: re.Match[str]) -> str:
    if found[1] in {"color", "anchor"}:
        return ""
    title = re.search(r"title=([^|]*)", found[2] or "")
    shown = f"\n{title[1]}\n" if title else "\n"
    return shown if found[1] in {"code", "noformat"} else f"\n{_QUOTE_TOGGLE}{shown}"


def similarity(written: Sequence[str], seen: Sequence[str], /) -> float:
    """Return how surely `seen` is `written` come back, 0 to 1; see `SAME_TEXT`.

    Both are fingerprints. Counts the words both have, in any order; a word with a digit counts
    fivefold, and each difference weighs the more, the shorter the text. Two changes cost nothing
    when the text has eight words or more: `seen` breaks off early, or a signature of at most twelve
    words, and two thirds of the text, is appended. Two texts without words are not the same: there
    is nothing to recognise.
    """
    if not written or not seen:
        return 0.0
    score = _overlap(written, seen)
    extra = len(seen) - len(written)
    if extra < 0 and len(seen) >= _LEAST_WORDS:
        # The last word may be cut in its middle.
        score = max(score, _overlap(written[: len(seen) - 1], seen[:-1]))
    elif (
        0 < extra <= min(_LONGEST_SIGNATURE, len(written) * 2 // 3) and len(written) >= _LEAST_WORDS
    ):
        score = max(score, _overlap(written, seen[: len(written)]))
    return score


def _overlap(written: Sequence[str], seen: Sequence[str]) -> float:
    ours, theirs = Counter(written), Counter(seen)
    total = _weight(ours) + _weight(theirs)
    missing = total - 2 * _weight(ours & theirs)
    strictness = 1 + _SHORT / min(len(written), len(seen))
    return max(0.0, 1 - strictness * missing / total)


def _weight(words: Counter[str]) -> int:
    return sum(
        count * (_NUMBER_WEIGHT if any(map(str.isdigit, word)) else 1)
        for word, count in words.items()
    )
