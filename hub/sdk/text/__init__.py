"""Text in the hub is Markdown; these pure functions render it into each tool's form and read it.

Markdown here is CommonMark with tables and strikethrough, and a newline is a line break, as in
every comment box. No function raises for any string or JSON value, none needs more than linear
time or bounded depth, and the same input always gives the same output.
"""

from __future__ import annotations

from hub.sdk.text._fingerprint import SAME_TEXT, fingerprint, similarity
from hub.sdk.text._plain import from_plain, plain, shorten
from hub.sdk.text.adf import from_adf, to_adf
from hub.sdk.text.html import from_html, to_html
from hub.sdk.text.mrkdwn import from_mrkdwn, to_mrkdwn
from hub.sdk.text.wiki import from_wiki

__all__ = (
    "SAME_TEXT",
    "fingerprint",
    "from_adf",
    "from_html",
    "from_mrkdwn",
    "from_plain",
    "from_wiki",
    "plain",
    "shorten",
    "similarity",
    "to_adf",
    "to_html",
    "to_mrkdwn",
)
