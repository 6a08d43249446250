"""The folder of a vault, while others make files in it and take them away."""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path

from loci import MemOS
from loci.infrastructure.vault import ABANDONED_SECONDS, UNFINISHED


def test_files_that_others_take_away_are_no_trouble(tmp_path: Path) -> None:
    """A download's folder is removed while the next request makes a cube."""
    is_over = threading.Event()

    def others() -> None:
        while not is_over.is_set():
            folders = [tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=tmp_path) for _ in range(20)]
            for folder in folders:
                folder.cleanup()

    thread = threading.Thread(target=others)
    with MemOS.open(tmp_path, embedder="none", background=False) as memory:
        thread.start()
        try:
            for number in range(60):
                memory.cube(f"cube{number}")
        finally:
            is_over.set()
            thread.join()
        assert len(memory.cubes()) == 60


def test_what_was_abandoned_is_removed(tmp_path: Path) -> None:
    old, young = tmp_path / f"{UNFINISHED}old", tmp_path / f"{UNFINISHED}young"
    for folder in (old, young):
        folder.mkdir()
        (folder / "words").write_text("mandragora")
    long_ago = old.stat().st_mtime - ABANDONED_SECONDS - 1
    os.utime(old, (long_ago, long_ago))
    with MemOS.open(tmp_path, embedder="none", background=False) as memory:
        memory.cube("main")
    assert not old.exists() and young.exists()
