"""What a reader sees of an HTML page: its text, and the rows of its tables."""

import re
from html.parser import HTMLParser


class Text(HTMLParser):
    """The visible text, and the tags that made it."""

    def __init__(self, page: str):
        super().__init__()
        self.tags, self.pieces = [], []
        self.feed(page)
        self.text = " ".join(" ".join(self.pieces).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.pieces.append(data)


def rows(table: str) -> list[list[str]]:
    """The text of each cell, row by row."""
    lines = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
    return [[Text(cell).text for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line, re.DOTALL)] for line in lines]
