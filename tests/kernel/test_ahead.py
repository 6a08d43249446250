"""A second process reads ahead for a long import. It saves time and changes nothing, whatever becomes of it."""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from threading import Thread

import pytest

from loci import Message
from loci.errors import Malformed
from loci.interface import ahead
from loci.interface.ahead import Ahead
from loci.interface.reader import MemReader
from loci.operation import importing
from loci.operation.intake import Heard
from loci.system import Cube
from loci.wire import MemOS

SAMPLE = Path(str(files("loci.samples"))) / "conversation.jsonl"
SAID = [Message("user", f"I moved to Town{n}.", speaker="Ann") for n in range(20)]


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file is long enough, and a batch is small."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(ahead, "SMALLEST", 0)
    monkeypatch.setattr(importing, "BATCH", 50)


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that were read in this process."""
    read: list[str] = []

    def counted(self: MemReader, message: Message, people: Collection[str]) -> Heard:
        read.append(message.text)
        return reading(self, message, people)

    reading = MemReader.read
    monkeypatch.setattr(MemReader, "read", counted)
    return read


def remembered(cube: Cube) -> list[tuple[object, ...]]:
    memories = cube.list(limit=1 << 40, archived=True)
    return [(m.text, m.type, m.entities, m.keywords, m.times, m.valid, [(c.value, c.closed_at) for c in m.claims]) for m in memories]


def test_an_import_read_ahead_is_the_same_and_nothing_is_read_here(memory: MemOS, request: pytest.FixtureRequest, count: list[str]) -> None:
    plain, other = memory.cube("plain"), memory.cube("other")
    plain.import_file(SAMPLE)
    assert len(count) == 369
    request.getfixturevalue("eager")
    other.import_file(SAMPLE)
    assert len(count) == 369, "all of it was read by the other process"
    assert remembered(other) == remembered(plain) and len(remembered(other)) > 369


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("batches", [0, 1, 3])
def test_a_helper_that_is_killed_costs_time_and_nothing_else(memory: MemOS, monkeypatch: pytest.MonkeyPatch, batches: int) -> None:
    started = []
    start = ahead._start

    def noted() -> object:
        started.append(start())
        return started[-1]

    monkeypatch.setattr(ahead, "_start", noted)

    def progress(done: int, total: int) -> None:
        if done == batches * 50:
            os.kill(started[0].pid, signal.SIGKILL)

    done = memory.cube("a").import_file(SAMPLE, progress=progress)
    assert done.added == 369 and done.pending == 0 and started[0].returncode is not None
    monkeypatch.setattr(ahead, "SMALLEST", 1 << 40)
    memory.cube("b").import_file(SAMPLE)
    assert remembered(memory.cube("a")) == remembered(memory.cube("b"))


@pytest.mark.usefixtures("eager")
def test_what_was_not_expected_or_among_other_people_is_read_here(count: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with Ahead(MemReader(), tmp_path / "file") as reader:
        reader.expect(SAID[:10], ("Ann",))
        reader.expect(SAID[10:], ("Ann", "Bo"))
        assert reader.read(SAID[3], ("Ann",)).facts[0] and not count
        assert reader.read(SAID[13], ("Ann", "Bo")).facts[0] and not count
        reader.read(SAID[13], ("Ann",))
        reader.read(SAID[0], ("Ann", "Bo"))
        assert len(count) == 2
        assert reader._helper is not None
        helper = reader._helper
    assert helper.poll() is not None, "it ends with the import"


@pytest.mark.usefixtures("eager")
def test_the_helper_ends_with_an_import_that_fails(cube: Cube, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    start = ahead._start
    monkeypatch.setattr(ahead, "_start", lambda: started.append(start()) or started[-1])
    (tmp_path / "bad.jsonl").write_text('{"role": "user", "text": "fine"}\n{"role": "user", "text":\n', "utf-8")
    with pytest.raises(Malformed):
        cube.import_file(tmp_path / "bad.jsonl")
    assert started[0].returncode is not None


class User(StrEnum):
    """A user that only this process knows."""

    ANN = "ann"


@pytest.mark.usefixtures("eager")
def test_what_cannot_pass_between_processes_is_read_here(cube: Cube, tmp_path: Path) -> None:
    (tmp_path / "said.jsonl").write_text('{"role": "user", "text": "I live in Porto.", "at": "2026-01-01"}\n' * 3, "utf-8")
    done: list[int] = []
    importing_it = Thread(target=lambda: done.append(cube.import_file(tmp_path / "said.jsonl", user=User.ANN).added), daemon=True)
    importing_it.start()
    importing_it.join(30)
    assert done == [3]


def test_a_helper_ends_when_its_input_breaks_off() -> None:
    helper = ahead._start()
    assert helper is not None and helper.stdin is not None
    helper.stdin.write(pickle.dumps((SAID, ("Ann",)))[:40])
    helper.stdin.close()
    assert helper.wait(30) is not None
    assert helper.stdout is not None
    helper.stdout.close()


@pytest.mark.usefixtures("eager")
def test_modules_in_the_folder_it_is_started_in_are_not_run(
    memory: MemOS, count: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pickle.py").write_text("raise SystemExit('run')", "utf-8")
    monkeypatch.chdir(tmp_path)
    assert memory.cube("a").import_file(SAMPLE).added == 369 and not count


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("executable", ["/gone/bin/python3", "/bin/python_echo"])
def test_a_python_that_cannot_be_started_costs_nothing(
    cube: Cube, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, executable: str
) -> None:
    if "echo" in executable:  # one that says something else than is expected of it
        executable = str(tmp_path / "python_echo")
        Path(executable).write_text("#!/bin/sh\necho Initialising\ncat > /dev/null\n", "utf-8")
        Path(executable).chmod(0o755)
    monkeypatch.setattr(sys, "executable", executable)
    assert cube.import_file(SAMPLE).added == 369


@pytest.mark.usefixtures("eager")
def test_equal_moments_on_different_clocks_are_read_apart(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    here = Message("user", "We met yesterday.", datetime(2024, 5, 2, 0, 30, tzinfo=timezone(timedelta(hours=9))), "Ann")
    there = replace(here, at=datetime(2024, 5, 1, 15, 30, tzinfo=UTC))
    assert here == there
    with Ahead(MemReader(), tmp_path / "file") as reader:
        reader.expect([here, there], ("Ann",))
        found = [reader.read(message, ("Ann",)).candidates[0].times[0].earliest.day for message in (here, there)]
    assert found == [MemReader().read(m, ("Ann",)).candidates[0].times[0].earliest.day for m in (here, there)] == [1, 30]


def test_a_short_file_another_reader_and_a_frozen_application_have_no_helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(MemReader):
        pass

    path = tmp_path / "file"
    path.write_bytes(b"x" * (ahead.SMALLEST - 1))
    assert Ahead(MemReader(), path)._helper is None
    path.write_bytes(b"x" * ahead.SMALLEST)
    assert Ahead(Other(), path)._helper is None
    monkeypatch.setattr(sys, "executable", "/opt/someones/app")
    assert Ahead(MemReader(), path)._helper is None
