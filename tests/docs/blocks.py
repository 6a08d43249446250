"""The pages, their fenced blocks, and the lines of a shell that stand in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *("README.md", "ARCHITECTURE.md", "SECURITY.md", "CHANGELOG.md"),
    *sorted(str(page.relative_to(ROOT)) for folder in ("docs", "design") for page in (ROOT / folder).rglob("*.md")),
]
FENCE = re.compile(r"^ *```([^\n`]*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
SHELL = {"", "sh", "bash"}
APART = {"·", "&&", ";", "|"}
VARIABLE = re.compile(r"[A-Z_]+=")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language and its words."""

    page: str
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}, ```{self.language} {self.text.splitlines()[0]:.60}"


def read(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


def blocks(page: str, *languages: str) -> list[Block]:
    """Those of a page in its order, of these languages or of all."""
    found = [Block(page, language.strip(), text) for language, text in FENCE.findall(read(page))]
    return [block for block in found if not languages or block.language in languages]


def spans(page: str) -> list[str]:
    """What stands in single backquotes."""
    return SPAN.findall(FENCE.sub("", read(page)))


def said(text: str) -> Iterator[list[str]]:
    """The commands of a shell, as words. Variables set for one command and what a redirection names are left out."""
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|<>")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word not in APART:
                words.append(word)
                continue
            while words and VARIABLE.match(words[0]):
                words.pop(0)
            if words:
                yield words[: words.index(">")] if ">" in words else words
            words = []
