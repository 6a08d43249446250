"""The page of a cube with many memories: how long until a view is there, in a real Chromium.

python -m bench.page [--memories 100000] [--rounds 7] [--vault FOLDER] [--write]
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from loci import MemOS, Message
from loci.bench.machine import machine
from loci.bench.served import served

RESULTS = Path(__file__).parent / "results" / "page.md"
TARGET_MS = 1000
BATCH = 1000
THINGS = ("kettle", "bicycle", "garden", "piano", "camera", "ladder", "boat", "lamp", "atlas", "violin")
PLACES = ("Porto", "Lisbon", "Oslo", "Riga", "Ghent", "Turin", "Leeds", "Bern")
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)


def build(folder: Path, count: int) -> None:
    """A vault of so many memories, of forty users, over three years. One that is there already is taken as it is."""
    chance = random.Random(7)
    with MemOS.open(folder, embedder="none", background=False) as memory:
        cube = memory.cube("main")
        for first in range(cube.count().total, count, BATCH):
            said = [
                Message(
                    "user", f"I saw the {chance.choice(THINGS)} number {n} in {chance.choice(PLACES)}.", BEGIN + timedelta(minutes=14 * n),
                    speaker=f"user{n % 40}",
                )
                for n in range(first, first + BATCH)
            ]  # fmt: skip
            cube.add(said, user=f"user{first // BATCH % 40}", session=f"s{first // BATCH}")


def visit(browser: Browser, act: Callable[[Page], None]) -> float:
    """Milliseconds of an act in a new tab with nothing cached."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    began = time.perf_counter()
    act(page)
    spent = (time.perf_counter() - began) * 1000
    context.close()
    return spent


def within(page: Page, act: Callable[[Page], None]) -> float:
    began = time.perf_counter()
    act(page)
    return (time.perf_counter() - began) * 1000


def measure(folder: Path, rounds: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}

    def note(what: str, milliseconds: float) -> None:
        found.setdefault(what, []).append(milliseconds)

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-background-networking"])
        browser.new_page().close()
        for _ in range(rounds):
            with served(folder, "--open", "--embedder", "none") as server:
                _look(browser, server.url, note)
        browser.close()
    return found


def _look(browser: Browser, url: str, note: Callable[[str, float], None]) -> None:
    """What a server that has just begun, and was asked nothing yet, shows how soon."""
    note("overview, the first thing that a server is asked as it begins", visit(browser, lambda page: _overview(page, url)))
    note("overview", visit(browser, lambda page: _overview(page, url)))
    note("timeline with its first rows", visit(browser, lambda page: _timeline(page, url)))
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    _timeline(page, url)
    note("from the first row to the last", within(page, _last))
    note("to another day by the slider", within(page, _earlier))
    context.close()


def _overview(page: Page, url: str) -> None:
    page.goto(url, wait_until="commit")
    page.wait_for_selector(".calendar rect")


def _timeline(page: Page, url: str) -> None:
    page.goto(f"{url}/#/timeline", wait_until="commit")
    page.wait_for_selector(".row .said")


def _last(page: Page) -> None:
    page.focus(".row a")
    page.keyboard.press("End")
    page.wait_for_selector(".row .said:has-text(' number 0 in ')")


def _earlier(page: Page) -> None:
    page.focus("input[type=range]")
    page.keyboard.press("PageDown")
    page.wait_for_selector(".held:has-text(' held on ')")
    page.wait_for_selector(".row .said")


def table(found: dict[str, list[float]], count: int, rounds: int) -> str:
    lines = [
        f"# The page of {count:,} memories", "",
        f"`python -m bench.page --memories {count} --rounds {rounds} --write`: milliseconds in Chromium on loopback, each in a new tab with nothing cached. Target for the first view: {TARGET_MS}.", "",
        "| what is waited for | median | slowest |", "|---|---|---|",
    ]  # fmt: skip
    lines += [f"| {what} | {statistics.median(spent):,.0f} | {max(spent):,.0f} |" for what, spent in found.items()]
    return "\n".join([*lines, "", f"Machine: {machine()}. Load average when it ended: {os.getloadavg()[0]:.0f}.", ""])


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--memories", type=int, default=100_000)
    asked.add_argument("--rounds", type=int, default=7)
    asked.add_argument("--vault", type=Path)
    asked.add_argument("--write", action="store_true")
    given = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="loci-page-") as folder:
        vault = given.vault or Path(folder) / "vault"
        build(vault, given.memories)
        told = table(measure(vault, given.rounds), given.memories, given.rounds)
    print(told)
    if given.write:
        RESULTS.write_text(told, "utf-8")


if __name__ == "__main__":
    main()
