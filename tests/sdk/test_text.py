"""Each format by example, both ways."""

from __future__ import annotations

import pytest

from hub.sdk.text import (
    from_adf,
    from_html,
    from_mrkdwn,
    from_plain,
    from_wiki,
    plain,
    shorten,
    to_adf,
    to_html,
    to_mrkdwn,
)


def text(value: str, *marks: str, link: str = "") -> dict[str, object]:
    made: list[object] = [{"type": "link", "attrs": {"href": link}}] if link else []
    made += [{"type": mark} for mark in marks]
    return {"type": "text", "text": value} | ({"marks": made} if made else {})


def node(kind: str, *content: object, **attrs: object) -> dict[str, object]:
    made: dict[str, object] = {"type": kind}
    if content:
        made["content"] = list(content)
    return made | ({"attrs": attrs} if attrs else {})


def p(*content: object) -> dict[str, object]:
    return node("paragraph", *(text(c) if isinstance(c, str) else c for c in content))


BREAK = {"type": "hardBreak"}
URL = "https://e.com/a_b"

# Markdown and the ADF it gives; read back, each gives the same Markdown.
ADF = [
    ("", [p()]),
    ("Hello", [p("Hello")]),
    ("one\\\ntwo\n\nthree", [p("one", BREAK, "two"), p("three")]),
    (
        "**b** *i* ~~s~~ `c`",
        [p(text("b", "strong"), " ", text("i", "em"), " ", text("s", "strike"), " ", text("c", "code"))],
    ),
    ("**b *bi***", [p(text("b ", "strong"), text("bi", "strong", "em"))]),
    (f"[t]({URL})", [p(text("t", link=URL))]),
    (f"[`c`]({URL})", [p(text("c", "code", link=URL))]),
    (f"see <{URL}>.", [p("see ", text(URL, link=URL), ".")]),
    ("## H", [node("heading", text("H"), level=2)]),
    ("***", [node("rule")]),
    ("```py\nx = 1\n\ny\n```", [node("codeBlock", text("x = 1\n\ny"), language="py")]),
    ("> q\n>\n> - a", [node("blockquote", p("q"), node("bulletList", node("listItem", p("a"))))]),
    (
        "- a\n  1. b\n  2. c\n- d",
        [
            node(
                "bulletList",
                node(
                    "listItem",
                    p("a"),
                    node("orderedList", node("listItem", p("b")), node("listItem", p("c")), order=1),
                ),
                node("listItem", p("d")),
            )
        ],
    ),
    ("3. a\n4. b", [node("orderedList", node("listItem", p("a")), node("listItem", p("b")), order=3)]),
    ("- [x] a\n- [ ] b", [node("bulletList", node("listItem", p("☑ ", "a")), node("listItem", p("☐ ", "b")))]),
    (
        "| a | b |\n| --- | --- |\n| 1 |  |",
        [
            node(
                "table",
                node("tableRow", node("tableHeader", p("a")), node("tableHeader", p("b"))),
                node("tableRow", node("tableCell", p("1")), node("tableCell", p())),
            )
        ],
    ),
    ("a \\* b \\_c\\_ snake_case 1 < 2 & 3", [p("a * b _c_ snake_case 1 < 2 & 3")]),
    ("\\# no head", [p("# no head")]),
    ("1\\. no list", [p("1. no list")]),
    ("\\- no list", [p("- no list")]),
    ("\\> no quote", [p("> no quote")]),
    ("\\<!channel> @Jane", [p("<!channel> @Jane")]),
]  # fmt: skip


@pytest.mark.parametrize(("markdown", "content"), ADF)
def test_adf_both_ways(markdown: str, content: list[object]) -> None:
    document = {"version": 1, "type": "doc", "content": content}
    assert to_adf(markdown) == document
    assert from_adf(document) == markdown


@pytest.mark.parametrize(
    ("markdown", "content"),
    [
        # A list entry and a quote take no heading, quote, table or rule.
        ("- # H", [node("bulletList", node("listItem", p(text("H", "strong"))))]),
        ("- > q", [node("bulletList", node("listItem", p("q")))]),
        ("- - a", [node("bulletList", node("listItem", p(), node("bulletList", node("listItem", p("a")))))]),
        ("> > q", [node("blockquote", p("q"))]),
        ("> | a | b |\n> |---|---|\n> | 1 | 2 |",
         [node("blockquote", p("a", " | ", "b"), p("1", " | ", "2"))]),
        # `code` stands beside no other mark.
        ("**`c`**", [p(text("c", "code"))]),
        # An image is a link to it; an address that is none is dropped.
        ("![shot](https://e.com/i.png)", [p(text("shot", link="https://e.com/i.png"))]),
        ("![shot](cid:1)", [p("shot")]),
        ("[x](javascript:alert(1)) [y](data:text/html,z) [z](/rel)", [p("x y z")]),
        ("[x](JAVA&#10;SCRIPT:alert)", [p("x")]),
        ("[x](<https://e.com/a b|c>)", [p(text("x", link="https://e.com/a%20b%7Cc"))]),
        ("```\n```", [node("codeBlock")]),
        ("&amp; \\* &copy;", [p("& * ©")]),
    ],
)  # fmt: skip
def test_adf_is_what_jira_accepts(markdown: str, content: list[object]) -> None:
    assert to_adf(markdown)["content"] == content


@pytest.mark.parametrize(
    ("document", "markdown"),
    [
        (None, ""),
        (7, ""),
        ([], ""),
        ("plain *text*", "plain \\*text\\*"),
        (p(node("mention", id="5b", text="@Jane Doe"), " hi"), "@Jane Doe hi"),
        (p(node("mention", id="5b")), "@5b"),
        (p(node("emoji", shortName=":tada:", text="🎉"), node("emoji", shortName=":x:")), "🎉:x:"),
        (p(node("inlineCard", url=URL)), f"<{URL}>"),
        (node("blockCard", data={"url": URL}), f"<{URL}>"),
        (node("mediaSingle", node("media", id="1", type="file")), "[attachment]"),
        (node("mediaSingle", node("media", type="external", url=URL, alt="pic")), f"![pic]({URL})"),
        (p("a ", node("mediaInline", id="1")), "a [attachment]"),
        (node("panel", p("careful"), panelType="warning"), "> careful"),
        (
            node(
                "taskList",
                node("taskItem", text("a"), state="DONE"),
                node("taskItem", text("b"), state="TODO"),
                node("taskList", node("taskItem", text("c"), state="TODO")),
            ),
            "- [x] a\n- [ ] b\n  - [ ] c",
        ),
        (node("decisionList", node("decisionItem", text("yes"))), "- yes"),
        (node("expand", p("inside"), title="More"), "**More**\n\ninside"),
        (p(node("status", text="IN PROGRESS", color="blue")), "IN PROGRESS"),
        (p(node("date", timestamp="1767225600000")), "2026-01-01"),
        (p(node("date", timestamp="soon")), ""),
        (node("layoutSection", node("layoutColumn", p("l")), node("layoutColumn", p("r"))), "l\n\nr"),
        (node("table", node("tableRow", node("tableCell", p("a")), node("tableCell", p("b"), p("c"))),
              node("tableRow", node("tableCell", p("d|e")))), "| a | b c |\n| --- | --- |\n| d\\|e |  |"),
        (node("strange", p("inner"), node("stranger", text("deeper"))), "inner\n\ndeeper"),
        (node("bodiedExtension", p("x"), extensionKey="k"), "x"),
        (p(text("a", "underline", "subsup", "strong")), "**a**"),
        (p(text("x", link="javascript:alert(1)")), "x"),
        # Marks that Markdown cannot put where they are move or go; the text stays.
        (p(text("Note: ", "strong"), "x"), "**Note:** x"),
        (p(text("Note:", "strong"), "x"), "**Note**:x"),
        (p("a", text("(b)", "em"), "c"), "a(*b*)c"),
        (p(text("a", "em"), text("b", "strong")), "*a***b**"),
        (p(text("a`b", "code"), text("`", "code")), "``` a`b` ```".replace("``` ", "`` ").replace(" ```", " ``")),
        ({"type": "paragraph", "content": "bad", "marks": 3, "attrs": []}, ""),
        ({"type": ["x"], "text": {}}, ""),
    ],
)  # fmt: skip
def test_adf_is_read_whatever_it_holds(document: object, markdown: str) -> None:
    assert from_adf(document) == markdown


@pytest.mark.parametrize(
    ("wiki", "markdown"),
    [
        ("plain text, 2*3*4 and a - b - c, snake_case", "plain text, 2\\*3\\*4 and a - b - c, snake_case"),
        ("*b* _i_ -s- {{c}} +u+ x^2^ H~2~O ??cite??", "**b** *i* ~~s~~ `c` u x^2^ H~2~O *cite*"),
        ("*_both_* (*b*), *b*. no*t", "***both*** (**b**), **b**. no\\*t"),
        ("h1. One\nh3. *Three*", "# One\n\n### **Three**"),
        (f"[t|{URL}] [{URL}] {URL}.", f"[t]({URL}) <{URL}> <{URL}>."),
        (f"[{URL}|{URL}|smart-link]", f"<{URL}>"),
        ("[mail|mailto:a@b.co] [mailto:a@b.co]", "[mail](mailto:a@b.co) [a@b.co](mailto:a@b.co)"),
        ("[~accountid:5b:1-2] and [~jdoe]", "@5b:1-2 and @jdoe"),
        ("[^log.txt] !shot.png|thumbnail! !https://e.com/i.png!",
         "[attachment] [attachment] ![https://e.com/i.png](https://e.com/i.png)"),
        ("wow! and! [no link] [a|b]", "wow! and! [no link] [a|b]"),
        ("one\ntwo\\\\three\n\nfour", "one\\\ntwo\\\nthree\n\nfour"),
        ("* a\n** b\n*# c\n* d\n\n# e", "- a\n  - b\n  1. c\n- d\n\n1. e"),
        ("- a\ngoes on\n- b\n-- dash", "- a\\\n  goes on\n- b\\\n  -- dash"),
        ("{code:python}\nx = {1}\n*y*\n{code}", "```python\nx = {1}\n*y*\n```"),
        ("{code:title=A.java|borderStyle=solid|java}x{code}", "```java\nx\n```"),
        ("a {noformat}*x*{noformat} b", "a\n\n```\n*x*\n```\n\nb"),
        ("{code} never *closed*", "{code} never **closed**"),
        ("bq. said\nnot said", "> said\n\nnot said"),
        ("{quote}\none\n* two\n{quote}\nafter", "> one\n>\n> - two\n\nafter"),
        ("{panel:title=Title|bgColor=#fff}\nin\n{panel}", "> **Title**\n>\n> in"),
        ("||a||b||\n|1|[x|https://e.com]|\n|*2*| |",
         "| a | b |\n| --- | --- |\n| 1 | [x](https://e.com) |\n| **2** |  |"),
        ("{color:#ff0000}red{color} \\*no\\* \\{x}", "red \\*no\\* {x}"),
        ("----", "***"),
        ("# Markdown? no, a list", "1. Markdown? no, a list"),
        ("1. not wiki\n> nor this", "1\\. not wiki\\\n\\> nor this"),
    ],
)  # fmt: skip
def test_wiki_markup(wiki: str, markdown: str) -> None:
    assert from_wiki(wiki) == markdown


MRKDWN = [
    ("", ""),
    ("Hello", "Hello"),
    ("**b** *i* ~~s~~ `c`", "*b* _i_ ~s~ `c`"),
    ("**b** ***bi***", "*b* *_bi_*"),
    ("a**b**c", "a\u200b*b*\u200bc"),
    (f"[t]({URL}) <{URL}>", f"<{URL}|t> <{URL}>"),
    ("[t](https://e.com/?a=1&b=2)", "<https://e.com/?a=1&amp;b=2|t>"),
    ("one\\\ntwo\n\nthree", "one\ntwo\n\nthree"),
    ("- a\n  - b\n    1. c\n- d", "• a\n    • b\n        1. c\n• d"),
    ("3. a\n4. b", "3. a\n4. b"),
    ("- [x] a\n- [ ] b", "• ☑ a\n• ☐ b"),
    ("> q\\\n> r\n>\n> - s\n\nt", "> q\n> r\n>\n> • s\n\nt"),
    ("```\na < b && *c*\n```", "```\na &lt; b &amp;&amp; *c*\n```"),
    ("***", "———"),
    ("\\<!channel> <@U1> & `<!here>`", "&lt;!channel&gt; &lt;@U1&gt; &amp; `&lt;!here&gt;`"),
]


@pytest.mark.parametrize(("markdown", "mrkdwn"), MRKDWN)
def test_mrkdwn_both_ways(markdown: str, mrkdwn: str) -> None:
    assert to_mrkdwn(markdown) == mrkdwn
    assert from_mrkdwn(mrkdwn) == markdown


@pytest.mark.parametrize(
    ("markdown", "mrkdwn"),
    [
        ("# Head *x*", "*Head* *_x_*"),
        ("| a | bcd |\n|---|---|\n| 12 | **x** |", "```\na  | bcd\n12 | x\n```"),
        ("![alt](https://e.com/i.png)", "<https://e.com/i.png|alt>"),
        ("[x](javascript:alert(1))", "x"),
        ("[<!channel>](https://e.com)", "<https://e.com|&lt;!channel&gt;>"),
        ("[x](<https://e.com/|!channel>)", "<https://e.com/%7C!channel|x>"),
        ("[x](https://e.com/%3E%3C!channel%3E)", "<https://e.com/%3E%3C!channel%3E|x>"),
        ("<!channel>", "&lt;!channel&gt;"),
        ("<b>&lt;!here&gt;</b>", "&lt;b&gt;&lt;!here&gt;&lt;/b&gt;"),
        ("&lt;!subteam^S1&gt; &#60;@U1&#62;", "&lt;!subteam^S1&gt; &lt;@U1&gt;"),
        ("    <!everyone>", "```\n&lt;!everyone&gt;\n```"),
        ("> ```\n> <!here>\n> ```", "> &lt;!here&gt;"),
        ("````\n```\n<@U1>\n````", "```\n`\u200b`\u200b`\n&lt;@U1&gt;\n```"),
        ("`` a`b ``", "`a'b`"),
    ],
)
def test_mrkdwn_is_safe_and_readable(markdown: str, mrkdwn: str) -> None:
    assert to_mrkdwn(markdown) == mrkdwn


@pytest.mark.parametrize(
    ("mrkdwn", "markdown"),
    [
        ("<@U1> <@U2> <@U3|sam>", "@Jane @U2 @sam"),
        ("<#C1|general> <#C2>", "#general #C2"),
        ("<!here> <!channel> <!subteam^S1|@team> <!subteam^S2>", "@here @channel @team @subteam"),
        ("<!date^1767225600^{date}|1 January>", "1 January"),
        ("<mailto:a@b.co|a@b.co>", "[a@b.co](mailto:a@b.co)"),
        ("<http://e.com|e.com> <javascript:x|click>", "[e.com](http://e.com) click"),
        ("1 &lt; 2 &amp;&amp; 3 &gt; 2 &amp;lt;", "1 < 2 && 3 > 2 \\&lt;"),
        ("2*3*4 snake_case_x a ~ b *not\nbold*", "2\\*3\\*4 snake_case_x a ~ b \\*not\\\nbold\\*"),
        ("*a _b* c_ (_d_), _e_.", "**a *b*** *c* (*d*), *e*."),
        ("`*c*` ```*x*\ny``` z", "`*c*`\n\n```\n*x*\ny\n```\n\nz"),
        ("&gt; quoted\nreply", "> quoted\n\nreply"),
        ("&gt;&gt;&gt; all\nof it", "> all\\\n> of it"),
        ("- a\n  - b\n- c", "- a\n  - b\n- c"),
        ("1. a\n2. b\ntext", "1. a\n2. b\n\ntext"),
        ("a ``` b", "a \\`\\`\\` b"),
        (":tada: **x**", ":tada: \\***x**\\*"),
        ("# no head\n<", "\\# no head\\\n<"),
    ],
)
def test_mrkdwn_as_slack_sends_it(mrkdwn: str, markdown: str) -> None:
    assert from_mrkdwn(mrkdwn, users={"U1": "Jane"}) == markdown


HTML = [
    ("", ""),
    ("Hello", "<p>Hello</p>"),
    ("**b** *i* ~~s~~ `c`", "<p><strong>b</strong> <em>i</em> <s>s</s> <code>c</code></p>"),
    ("one\\\ntwo\n\nthree", "<p>one<br>two</p><p>three</p>"),
    (f"[t]({URL}) <{URL}>", f'<p><a href="{URL}">t</a> <a href="{URL}">{URL}</a></p>'),
    ("[t](https://e.com/?a=1&b=2)", '<p><a href="https://e.com/?a=1&amp;b=2">t</a></p>'),
    ("## H", "<h2>H</h2>"),
    ("- a\n  - b\n- c", "<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>"),
    ("3. a\n4. b", '<ol start="3"><li>a</li><li>b</li></ol>'),
    ("- [x] a\n- [ ] b", "<ul><li>☑ a</li><li>☐ b</li></ul>"),
    ("> q", "<blockquote><p>q</p></blockquote>"),
    ("```py\na < b\n\nc\n```", '<pre><code class="language-py">a &lt; b\n\nc</code></pre>'),
    ("***", "<hr>"),
    ("\\<b>x\\</b> & 1 < 2", "<p>&lt;b&gt;x&lt;/b&gt; &amp; 1 &lt; 2</p>"),
]


@pytest.mark.parametrize(("markdown", "html"), HTML)
def test_html_both_ways(markdown: str, html: str) -> None:
    assert to_html(markdown) == html
    assert from_html(html) == markdown


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("<script>alert(1)</script>", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>"),
        ("<div onclick=x>\n\n*y*", "<p>&lt;div onclick=x&gt;</p><p><em>y</em></p>"),
        ("[x](javascript:alert(1)) [y](JaVaScRiPt:z) [z](vbscript:z)", "<p>x y z</p>"),
        ('[x](https://e.com/"onmouseover="y)', '<p><a href="https://e.com/%22onmouseover=%22y">x</a></p>'),
        ("![a](https://e.com/i.png)", '<p><a href="https://e.com/i.png">a</a></p>'),
        ('```"><b>\nx\n```', "<pre><code>x</code></pre>"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "<p>a | b</p><p>1 | 2</p>"),
    ],
)  # fmt: skip
def test_html_is_safe(markdown: str, html: str) -> None:
    assert to_html(markdown) == html


@pytest.mark.parametrize(
    ("html", "markdown"),
    [
        ('<p class="no-margin">Hi&nbsp;there,</p>\n<p class="no-margin"></p><p>it <b>fails</b>!</p>',
         "Hi there,\n\nit **fails**!"),
        ("text only\n  with   blanks", "text only with blanks"),
        ("<p>a<script>x</script><style>y{}</style><!-- z -->b</p>", "ab"),
        ("<html><head><title>t</title></head><body>b</body></html>", "b"),
        ('<img src="https://e.com/i.png" alt="a [b]">', "![a \\[b\\]](https://e.com/i.png)"),
        ('<img src="https://e.com/i.png">', "![https://e.com/i.png](https://e.com/i.png)"),
        ('<div class="intercom-container"><img src="cid:1"></div>', "[attachment]"),
        ('<img src="data:image/png;base64,AAAA"> x', "[attachment] x"),
        ('<a href="https://e.com/f.pdf"></a>', "<https://e.com/f.pdf>"),
        ('<a href="https://e.com"><img src="https://e.com/i.png" alt="i"></a>', "![i](https://e.com/i.png)"),
        ("<a href='javascript:alert(1)'>x</a> <a href='/rel'>y</a> <a>z</a>", "x y z"),
        ("<b>bo<i>th</b>x</i>", "bothx"),
        ("<b>Name:</b>Jane<b> lead </b>x", "**Name**:Jane **lead** x"),
        ("one<br>two<br><br>three", "one\\\ntwo\n\nthree"),
        ("<div>a</div><div>b<div>c</div></div>d", "a\n\nb\n\nc\n\nd"),
        ("<ul><li>a</li><ul><li>b</li></ul><li><p>c</p><p>d</p></li></ul>", "- a\n\n  - b\n\n- c\n\n  d"),
        ("<li>alone</li>", "alone"),
        ("<ol start='x'><li>a<li>b</ol>", "1. a\n2. b"),
        ("<table><tr><th>a|b</th><th>c</th></tr><tr><td>1<br>2</td><td><b>x</b></td></tr></table>",
         "| a\\|b | c |\n| --- | --- |\n| 1 2 | **x** |"),
        ("<table><tr><td><p>laid</p><table><tr><td>out</td></tr></table></td></tr></table>", "laid\n\nout"),
        ("<pre>a\n  b<br>c</pre>", "```\na\n  b\nc\n```"),
        ("<code>a`b</code><kbd>c</kbd>", "``a`bc``"),
        ("# no &lt;b&gt; *x* 1. [y](z) &amp;amp;", "# no \\<b> \\*x\\* 1. [y\\](z) \\&amp;".replace("# no", "\\# no", 1)),
        ("<![if x]><p<<<>&#x0;&#xD800;&#99999999; ok", "\ufffd\ufffd\ufffd ok"),
        ("1 < 2 <3", "1 < 2 <3"),
        ("<blockquote>q<blockquote>r</blockquote></blockquote>", "> q\n>\n> > r"),
        ("<svg><text>s</text></svg><iframe src=x></iframe><form>f<input></form>", "f"),
    ],
)  # fmt: skip
def test_html_as_tools_send_it(html: str, markdown: str) -> None:
    assert from_html(html) == markdown


@pytest.mark.parametrize(
    ("markdown", "words"),
    [
        ("# H\n\n**b** *i* [t](https://e.com) ![alt](https://e.com/i.png)", "H\n\nb i t alt"),
        ("- a\n- [x] b\n  1. c\n\n> q\n\n---\n\n```py\nx = 1\n```", "a\nb\nc\n\nq\n\nx = 1"),
        ("| a | b |\n|---|---|\n| 1 |  |", "a b\n1"),
        ("one\ntwo\\\nthree\\*", "one\ntwo\nthree*"),
        ("<b>&amp;</b>", "<b>&</b>"),
    ],
)
def test_plain(markdown: str, words: str) -> None:
    assert plain(markdown) == words


def test_plain_text_is_escaped() -> None:
    typed = "*not bold* <b> [x](y)\n# no head\n\n1. no list"
    assert from_plain(typed) == "\\*not bold\\* \\<b> [x\\](y)\\\n\\# no head\n\n1\\. no list"
    assert plain(from_plain(typed)) == typed


@pytest.mark.parametrize(
    ("whole", "limit", "short"),
    [
        ("short", 5, "short"),
        ("one two three", 10, "one two…"),
        ("one two three", 8, "one two…"),
        ("one two three", 7, "one…"),
        ("abcdefgh", 4, "abc…"),
        ("abc", 1, "…"),
        ("abc", 0, ""),
        ("abc", -1, ""),
        ("x" * 100, 50, "x" * 49 + "…"),
        ("text\n\n```py\naaaa\nbbbb\ncccc\n```", 26, "text\n\n```py\naaaa\nbbb\n…\n```"),
        ("text\n\n```py\naaaa\n```\nmore words here", 30, "text\n\n```py\naaaa\n```\nmore…"),
        ("text\n\n```py\naaaaaaaaaaaaaaaaaaaaaaa\n```", 12, "text…"),
        ("~~~~\naaa bbb\n~~~\nccc ddd\n~~~~", 24, "~~~~\naaa bbb\n~~~\n…\n~~~~"),
        ("see [the page](https://e.com/a/b/c/d) now", 30, "see…"),
        ("👩\u200d💻👩\u200d💻", 5, "👩\u200d💻…"),
        ("cafe\u0301 x", 5, "caf…"),
    ],
)
def test_shorten(whole: str, limit: int, short: str) -> None:
    assert shorten(whole, limit) == short
    assert len(short) <= max(limit, 0)
