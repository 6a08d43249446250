"""Working off the vectors that are queued, with a bar that moves."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from loci.cli import render
from loci.errors import Denied

if TYPE_CHECKING:
    from loci.system import Cube

LOOK_S = 0.2


def embed(cube: Cube) -> None:
    """Computes every queued vector of the cube. Raises what a job raised; the words are safe then, and found by text.

    The work is in this thread, so that an interrupt ends it; another one looks at the queue and moves the bar.
    """
    try:
        total = cube.pending()
    except Denied:  # how much others have in the queue is nothing to show
        cube.drain()
        return
    if not total:
        return
    is_over = threading.Event()
    with render.progress("embedding, jobs") as advance:

        def look() -> None:
            while not is_over.wait(LOOK_S):
                advance(total - min(cube.pending(), total), total)

        looker = threading.Thread(target=look, name="loci-progress", daemon=True)
        looker.start()
        try:
            cube.drain()
        finally:
            is_over.set()
            looker.join()
            left = cube.pending()
            advance(total - min(left, total), total)
    if left:
        render.note(f"{left} of {total} jobs are held by another process, or by one that was stopped; they go on by themselves.")
