"""`supple demo`: a first look, with nothing to prepare."""

from __future__ import annotations

import time
from itertools import groupby
from typing import TYPE_CHECKING

from supple.cli.extract import load

if TYPE_CHECKING:
    from rich.text import Text

    from supple.runtime import Triple

SENTENCES = [
    "《霸王别姬》是陈凯歌执导的剧情片，由张国荣、张丰毅、巩俐领衔主演，1993年1月1日在香港上映。",
    "这部影片改编自李碧华的同名小说，出品公司为汤臣电影有限公司。",
    "导演李安1954年10月23日出生于屏东县，毕业于伊利诺伊大学和纽约大学。",
    "《青花瓷》是周杰伦演唱的一首歌曲，由方文山作词、周杰伦作曲，收录于2007年发行的专辑《我很忙》中。",
    "华为技术有限公司由任正非创立，成立于1987年9月15日，总部位于广东省深圳市。",
    "《三体》是刘慈欣创作的长篇科幻小说，2008年由重庆出版社出版。",
    "冰心，原名谢婉莹，祖籍福建长乐，1900年10月5日出生于福州，丈夫是社会学家吴文藻。",
    "建筑学家梁思成是梁启超之子，他的妻子林徽因同样从事建筑研究。",
    "1986年版电视剧《西游记》由杨洁执导，六小龄童饰演孙悟空。",
    "《快乐大本营》是湖南卫视制作的综艺节目，曾由何炅、谢娜等人主持。",
    "法国的首都是巴黎，官方语言是法语。",
]
# By role: neither, subject, object, both. Where there is no colour, brackets mark a span.
STYLES = "", "cyan", "magenta", "yellow"
BRACKETS = "{}", "[{}]", "({})", "[({})]"

NEXT = """\
  supple extract --text "《青花瓷》由方文山作词" --format table
  supple extract articles.txt --out triples.jsonl
  supple extract articles.txt --format graphml --out graph.graphml
  supple extract --help"""


def demo() -> None:
    """Extract triples from a short text: a first look that needs no arguments and no data."""
    from rich.console import Console

    from supple.cli.formats import triple_table

    console, text = Console(highlight=False, markup=False), "\n".join(SENTENCES)
    start = time.perf_counter()
    extractor = load("zh", None)
    extractor(SENTENCES[0])  # the dictionary of words is read for the first text
    loaded = time.perf_counter()
    triples = extractor(text)
    seconds = time.perf_counter() - loaded

    coloured = console.is_terminal and console.color_system is not None and not console.no_color
    subject, object = mark("subjects", 1, coloured), mark("objects", 2, coloured)
    console.print("A text with the", subject, "and", object, "that were found in it:\n")
    console.print(marked_text(text, triples, coloured))
    console.print(triple_table(triples))
    console.print(
        f"{len(triples)} triples from {len(SENTENCES)} sentences in {seconds:.2f} s: "
        f"{len(text) / seconds:,.0f} characters a second, after {loaded - start:.2f} s to load the model."
        "\n\nNext:"
    )
    console.print(NEXT, style="bold", soft_wrap=True)


def marked_text(text: str, triples: list[Triple], coloured: bool) -> Text:
    """The text with its subjects and objects marked: by colours, or by brackets where there are none."""
    from rich.text import Text

    subjects = {place for triple in triples for place in range(triple.subject.start, triple.subject.end)}
    objects = {place for triple in triples for place in range(triple.object.start, triple.object.end)}
    shown = Text()
    for role, run in groupby(range(len(text)), lambda place: (place in subjects) + 2 * (place in objects)):
        places = [*run]
        shown.append_text(mark(text[places[0] : places[-1] + 1], role, coloured))
    return shown


def mark(piece: str, role: int, coloured: bool) -> Text:
    from rich.text import Text

    return Text(piece, STYLES[role]) if coloured else Text(BRACKETS[role].format(piece))
