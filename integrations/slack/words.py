"""What a Slack message says, as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hub.sdk import Payload
from hub.sdk.text import from_mrkdwn, from_plain, plain, shorten

_TITLE = 120
_PLAIN_URL = re.compile(r"https://[^\s()<>]+")
NOTHING = "A message without words"


def words(message: Payload) -> str:
    """Return the text of a message with links to its files.

    An app's message may have no text of its own: then its blocks and attachments speak.
    """
    text = message["text"].opt_str() or ""
    said = from_mrkdwn(text) if text.strip() else "\n\n".join(_parts(message))
    return "\n\n".join(part for part in (said, *_files(message)) if part)


def title(body: str) -> str:
    """Return the first line with words in it, in at most 120 characters."""
    lines = (line.strip() for line in plain(body).splitlines())
    return from_plain(shorten(next(filter(None, lines), NOTHING), _TITLE))


def _parts(message: Payload) -> Iterator[str]:
    for block in message["blocks"]:
        text = block["text"]["text"].raw
        if isinstance(text, str):
            yield from_mrkdwn(text)
    for attachment in message["attachments"]:
        for name in ("pretext", "title", "text", "fallback"):
            text = attachment[name].raw
            if isinstance(text, str) and text.strip():
                yield from_mrkdwn(text)
                if name == "text":
                    break  # the fallback repeats it


def _files(message: Payload) -> Iterator[str]:
    for file in message["files"]:
        name = file["title"].opt_str() or file["name"].opt_str() or ""
        address = file["permalink"].opt_str() or ""
        shown = from_plain(" ".join(name.split())) or "file"
        if _PLAIN_URL.fullmatch(address):
            yield f"[{shown}]({address})"
        elif name:
            yield shown
