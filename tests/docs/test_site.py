"""The site builds without a warning, holds every page, links to what is there, and asks nobody for anything."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="what builds the site is not installed: pip install 'loci-memos[docs]'")
pytest.importorskip("myst_parser", reason="what builds the site is not installed: pip install 'loci-memos[docs]'")
pytest.importorskip("furo", reason="what builds the site is not installed: pip install 'loci-memos[docs]'")

from blocks import PAGES, ROOT

ASKED_FOR = {  # what a browser fetches without being told to
    **dict.fromkeys(("audio", "embed", "iframe", "img", "input", "script", "source", "track", "video"), ("src", "srcset", "poster")),
    "link": ("href",),
    "object": ("data",),
    "use": ("href", "xlink:href"),
    "image": ("href", "xlink:href"),
}
ELSEWHERE = re.compile(r"^\s*(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
FETCHED = re.compile(
    r"""(?:url\(\s*|@import\s+|\bimport\s*\(\s*|\bfetch\s*\(\s*|importScripts\s*\(\s*)["']?((?:https?:)?//[^"')\s]+)""", re.IGNORECASE
)


def build(source: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """As `make site` does."""
    flags = re.search(r"/sphinx-build (.*?) -c docs", (ROOT / "Makefile").read_text("utf-8"))
    assert flags
    command = [sys.executable, "-m", "sphinx", *flags[1].split(), "-c", "docs", "-d", str(site.parent / "doctrees"), ".", str(site)]
    return subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "site"
    done = build(ROOT, folder)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return folder


class Page(HTMLParser):
    """What a page fetches, where it links to, and which places it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.fetched += [given[name] for name in ASKED_FOR.get(tag, ()) if name in given]
        self.places |= {given["id"]} if "id" in given else set()
        if tag == "a" and "href" in given:
            self.links.append(given["href"])


def pages(site: Path) -> Iterator[tuple[Path, Page]]:
    for file in sorted(site.rglob("*.html")):
        yield file, Page(file.read_text("utf-8"))


def test_every_page_is_on_the_site_and_in_its_navigation(site: Path) -> None:
    assert all((site / page).with_suffix(".html").exists() for page in PAGES)
    home = site / "docs" / "index.html"
    side = home.read_text("utf-8").split('class="sidebar-tree"')[1].split("</aside>")[0]
    listed = {str((home.parent / link).resolve().relative_to(site.resolve())) for link in Page(side).links if link != "#"}
    assert {str(Path(page).with_suffix(".html")) for page in PAGES} <= listed | {"docs/index.html"}
    assert 'url=docs/index.html"' in (site / "index.html").read_text("utf-8")


def test_no_page_asks_anybody_for_anything(site: Path) -> None:
    for file, page in pages(site):
        assert not [one for one in page.fetched if ELSEWHERE.match(one)], file
        assert not FETCHED.findall(file.read_text("utf-8")), file
    for file in [*site.rglob("*.css"), *site.rglob("*.js")]:
        assert not FETCHED.findall(file.read_text("utf-8")), file


def test_what_a_page_fetches_and_links_to_is_there(site: Path) -> None:
    places = {file: page.places for file, page in pages(site)}
    for file, page in pages(site):
        for target in [*page.fetched, *page.links]:
            name, _, place = target.partition("#")
            if ELSEWHERE.match(target) or target.startswith(("data:", "mailto:")) or file.name == "search.html":
                continue
            there = (file.parent / name.partition("?")[0]).resolve() if name else file
            assert there.exists(), f"{file.relative_to(site)} -> {target}"
            assert not place or there.suffix != ".html" or place in places[there], f"{file.relative_to(site)} -> {target}"


@pytest.mark.parametrize("broken", ["[gone](gone.md)", "[gone](glossary.md#gone)", "```nonsense\nx\n```"])
def test_what_is_broken_fails_the_build(broken: str, tmp_path: Path) -> None:
    docs = tmp_path / "source" / "docs"
    docs.mkdir(parents=True)
    shutil.copy(ROOT / "docs" / "conf.py", docs)
    (docs / "glossary.md").write_text("# Glossary\n\nWords.\n")
    (docs / "index.md").write_text("# Index\n\n## All\n\n- [Glossary](glossary.md)\n")
    assert build(tmp_path / "source", tmp_path / "site").returncode == 0
    (docs / "index.md").write_text(f"# Index\n\n{broken}\n\n## All\n\n- [Glossary](glossary.md)\n")
    done = build(tmp_path / "source", tmp_path / "again")
    assert done.returncode == 1 and "WARNING" in done.stderr
