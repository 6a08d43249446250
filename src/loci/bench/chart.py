"""What reports show: a picture of shares by sizes, a line an arm, and a table in Markdown."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

from loci.bench.report import free, label, line

WIDTH, HEIGHT, LEFT, BOTTOM, RIGHT = 640, 340, 48, 40, 210


def picture(title: str, sizes: Sequence[int], shares: Mapping[str, Sequence[float]], colours: Mapping[str, str]) -> str:
    """Shares from 0 to 1 over ``sizes``, ascending (logarithmic), each line with its name at its end, as SVG."""
    low, high = math.log(sizes[0]), math.log(max(sizes[-1], sizes[0] + 1))

    def across(size: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (math.log(size) - low) / (high - low)

    def up(share: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - 28) * share

    parts = [label(LEFT, 16, title)]
    parts += [line(LEFT, up(s), WIDTH - RIGHT, up(s), "#e5e7eb") + label(6, up(s) + 4, f"{100 * s:.0f} %") for s in (0, 0.25, 0.5, 0.75, 1)]
    parts += [label(across(n) - 8, HEIGHT - BOTTOM + 16, f"{n:,}") for n in sizes]
    ends: list[float] = []
    for name in sorted(shares, key=lambda name: -shares[name][-1]):
        points = " ".join(f"{across(n):.1f},{up(s):.1f}" for n, s in zip(sizes, shares[name], strict=True))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colours[name]}" stroke-width="2"/>')
        at = free(up(shares[name][-1]) + 4, ends)
        ends.append(at)
        parts.append(label(WIDTH - RIGHT + 8, at, name, colours[name]))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="11">'
        f'<title>{html.escape(title)}</title><rect width="100%" height="100%" fill="#ffffff"/>{"".join(parts)}</svg>\n'
    )


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    return ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns), *("| " + " | ".join(row) + " |" for row in rows)]
