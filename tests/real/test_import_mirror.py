"""A folder of Markdown and a cube say the same, whichever of them was changed; where both were, neither is."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loci import Message
from loci.errors import Conflict, Denied, Invalid, Malformed, MirrorConflict, Missing, TooLarge
from loci.infrastructure import markdown
from loci.system import Cube
from loci.types import Memory, Part, Role, State
from loci.wire import MemOS

MAY = datetime(2025, 5, 2, tzinfo=UTC)


@pytest.fixture
def cube(open_vault: Callable[..., MemOS]) -> Cube:
    cube = open_vault().cube("main")
    cube.add(Message("user", "I live in Lisbon.", MAY, "Ana"), user="ana", session="s1")
    cube.add(Message("user", "I paint boats.\n\nMostly blue ones.", MAY, "Ana"), user="ana", session="s1")
    cube.add(Message("user", "The shop opens at nine.", MAY))
    return cube


def turns(cube: Cube, **whose: str) -> dict[str, Memory]:
    return {m.text: m for m in cube.list(**whose) if m.part is Part.TURN}  # type: ignore[arg-type]


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), "utf-8")


def paragraph(path: Path, words: str) -> str:
    """The paragraph that says this, with its comment."""
    return next(p for p in path.read_text("utf-8").split("\n\n") if words in p)


@pytest.fixture
def home(cube: Cube, tmp_path: Path) -> Path:
    cube.mirror(tmp_path / "mirror")
    return tmp_path / "mirror"


def test_a_mirror_is_a_file_a_session_and_a_paragraph_a_memory(cube: Cube, tmp_path: Path) -> None:
    done = cube.mirror(tmp_path / "mirror")
    assert (done.files, done.written, done.memories, done.added) == (2, 2, 3, 0)
    assert sorted(p.relative_to(tmp_path / "mirror").as_posix() for p in (tmp_path / "mirror").rglob("*.md")) == ["ana/s1.md", "notes.md"]
    ids = [turns(cube)[text].id for text in ("I live in Lisbon.", "I paint boats.\n\nMostly blue ones.")]
    assert (tmp_path / "mirror" / "ana" / "s1.md").read_text() == (
        f'<!-- loci {{"user": "ana", "session": "s1"}} -->\n\n<!-- loci {ids[0]} 1 (Ana, 2025-05-02) -->\nI live in Lisbon.\n\n'
        f"<!-- loci {ids[1]} 1 (Ana, 2025-05-02) -->\nI paint boats.\n\\\nMostly blue ones.\n"
    )
    before = cube.log()
    again = cube.mirror(tmp_path / "mirror")
    assert (again.written, again.added, again.updated, again.forgotten) == (0, 0, 0, 0) and cube.log() == before


def test_an_edit_is_a_version_by_the_author_file(cube: Cube, home: Path) -> None:
    id = turns(cube)["I live in Lisbon."].id
    edit(home / "ana" / "s1.md", "I live in Lisbon.", "I live in Braga.")
    assert cube.mirror(home, dry_run=True).updated == 1 and "I live in Lisbon." in turns(cube)
    done = cube.mirror(home)
    old, new = cube.history(id)
    assert (done.updated, done.written) == (1, 1) and (old.text, new.text) == ("I live in Lisbon.", "I live in Braga.")
    assert (new.author, new.reason, new.speaker, new.scope.user) == ("file", "edited in the mirror", "Ana", "ana")
    assert f"{id} 2 " in paragraph(home / "ana" / "s1.md", "Braga") and cube.verify().is_clean
    assert cube.mirror(home).written == 0


def test_a_new_paragraph_is_a_memory_and_a_deleted_one_is_forgotten(cube: Cube, home: Path) -> None:
    file = home / "ana" / "s1.md"
    gone = turns(cube)["I live in Lisbon."].id
    edit(file, paragraph(file, "Lisbon") + "\n\n", "# Where\n\nI live by the sea.\n\n")
    (home / "trip.md").write_text("---\ntitle: a trip\n---\n\nWe go to Rome in June.\n")
    done = cube.mirror(home)
    assert (done.added, done.forgotten, done.updated) == (2, 1, 0)
    known = turns(cube)
    assert set(known) == {"I paint boats.\n\nMostly blue ones.", "The shop opens at nine.", "I live by the sea.", "We go to Rome in June."}
    assert (known["I live by the sea."].scope.user, known["I live by the sea."].scope.session) == ("ana", "s1")
    assert (known["We go to Rome in June."].scope.session, known["We go to Rome in June."].origin.name) == ("trip", "trip.md")
    assert cube.history(gone)[-1].state is State.EXPIRED and cube.history(gone)[-1].ending == "deleted in the mirror"
    assert "# Where\n\n<!-- loci" in file.read_text() and "---\ntitle: a trip\n---" in (home / "trip.md").read_text(), (
        "what is nobody's stays"
    )
    assert cube.mirror(home).written == 0
    cube.restore(gone)
    cube.mirror(home)
    assert "I live in Lisbon." in file.read_text()


def test_what_changed_in_the_cube_comes_to_the_folder(cube: Cube, home: Path) -> None:
    known = turns(cube)
    cube.update(known["I live in Lisbon."].id, "I live in Faro.")
    cube.forget(known["The shop opens at nine."].id)
    cube.add(Message("user", "I also sing.", MAY, "Ana"), user="ana", session="s1")
    done = cube.mirror(home)
    assert (done.added, done.updated, done.forgotten, done.written) == (0, 0, 0, 2)
    assert "I live in Faro." in (home / "ana" / "s1.md").read_text() and "I also sing." in (home / "ana" / "s1.md").read_text()
    assert "nine" not in (home / "notes.md").read_text()


@pytest.mark.parametrize("keep", ["file", "cube"])
def test_where_both_were_changed_neither_is_until_somebody_says(cube: Cube, home: Path, keep: str) -> None:
    id = turns(cube)["I live in Lisbon."].id
    file = home / "ana" / "s1.md"
    cube.update(id, "I live in Faro.")
    edit(file, "I live in Lisbon.", "I live in Braga.")
    edit(file, "Mostly blue ones.", "Mostly red ones.")
    before, log = file.read_text(), cube.log()
    with pytest.raises(MirrorConflict, match="changed on both sides") as caught:
        cube.mirror(home)
    assert caught.value.details() == {
        "places": [{"memory": id, "file": "ana/s1.md", "line": 3, "why": "edited in the folder, changed in the cube"}]
    }
    assert file.read_text() == before and cube.log() == log, "not even what was clear"
    done = cube.mirror(home, keep=keep)
    assert (done.settled, done.updated) == (1, 1)
    said = {"file": "I live in Braga.", "cube": "I live in Faro."}[keep]
    assert said in turns(cube) and said in file.read_text() and "Mostly red ones." in file.read_text()
    assert {"I live in Lisbon.", "I live in Faro.", "I live in Braga."} <= {m.text for m in cube.history(id)}, "nothing is lost"
    assert cube.mirror(home).written == 0 and cube.verify().is_clean


def test_edited_there_and_forgotten_here(cube: Cube, home: Path) -> None:
    id = turns(cube)["I live in Lisbon."].id
    cube.forget(id)
    edit(home / "ana" / "s1.md", "I live in Lisbon.", "I live in Braga.")
    with pytest.raises(MirrorConflict, match="gone from the cube"):
        cube.mirror(home)
    cube.mirror(home, keep="cube")
    assert "I live in Braga." not in turns(cube) and "I live in Braga." in {m.text for m in cube.history(id)}
    assert "Braga" not in (home / "ana" / "s1.md").read_text()


def test_deleted_there_and_changed_here(cube: Cube, home: Path) -> None:
    id = turns(cube)["I live in Lisbon."].id
    cube.update(id, "I live in Faro.")
    file = home / "ana" / "s1.md"
    edit(file, paragraph(file, "Lisbon") + "\n\n", "")
    with pytest.raises(MirrorConflict, match="deleted in the folder, changed in the cube"):
        cube.mirror(home)
    cube.mirror(home, keep="cube")
    assert "I live in Faro." in file.read_text()


def test_a_folder_that_lost_everything_forgets_nothing_by_itself(cube: Cube, home: Path) -> None:
    for file in list(home.rglob("*.md")):
        file.unlink()
    with pytest.raises(Conflict, match="All 3 memories are gone"):
        cube.mirror(home)
    assert len(turns(cube)) == 3
    (home / markdown.MANIFEST).unlink()
    cube.mirror(home)
    assert "Lisbon" in (home / "ana" / "s1.md").read_text()


def test_a_mirror_that_was_cut_off_before_the_files_adds_nothing_twice(cube: Cube, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (home / "notes.md").open("a") as file:
        file.write("\nThe door sticks.\n")
    edit(home / "ana" / "s1.md", "I live in Lisbon.", "I live in Braga.")

    def cut_off(*_: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(markdown, "write", cut_off)
        with pytest.raises(KeyboardInterrupt):
            cube.mirror(home)
    assert len(turns(cube)) == 4
    cube.mirror(home)
    assert len(turns(cube)) == 4 and len(cube.history(turns(cube)["I live in Braga."].id)) == 2
    assert "<!-- loci" in paragraph(home / "notes.md", "The door sticks.")


def test_part_of_a_cube_has_a_folder_of_its_own(cube: Cube, tmp_path: Path) -> None:
    cube.mirror(tmp_path / "ana", user="ana")
    assert [p.name for p in (tmp_path / "ana").rglob("*.md")] == ["s1.md"]
    with pytest.raises(Invalid, match="mirrors another cube, or other people's part"):
        cube.mirror(tmp_path / "ana")


def test_a_comment_cannot_reach_what_is_not_mirrored(cube: Cube, tmp_path: Path) -> None:
    shop = turns(cube)["The shop opens at nine."].id
    cube.mirror(tmp_path / "ana", user="ana")
    (tmp_path / "ana" / "ana" / "more.md").write_text(f"<!-- loci {shop} 1 -->\nThe shop is shut.\n")
    with pytest.raises(Malformed, match="not yours to see"):
        cube.mirror(tmp_path / "ana", user="ana")
    assert "The shop opens at nine." in turns(cube)


def test_a_mirror_does_what_its_caller_may(open_vault: Callable[..., MemOS], tmp_path: Path) -> None:
    memory = open_vault()
    memory.cube("main").add(Message("user", "I live in Lisbon.", MAY), user="ann")
    memory.grant("ann", Role.READER, cube="main", user="ann")
    mine = memory.acting("ann").cube("main")
    mine.mirror(tmp_path / "m", user="ann")
    edit(tmp_path / "m" / "ann" / "notes.md", "Lisbon", "Braga")
    with pytest.raises(Denied):
        mine.mirror(tmp_path / "m", user="ann")
    assert "I live in Lisbon." in turns(memory.cube("main"))


@pytest.mark.parametrize(("words", "why"), [
    ("<!-- loci nobody 1 -->\nx", "no version 1 of a memory nobody"),
    ("<!-- loci x -->\nx", "the comment that names a memory is damaged"),
    ("<!-- loci {ID} 1 -->\nx", "is in notes.md, line 3 already"),
])  # fmt: skip
def test_a_comment_that_is_wrong_names_its_line(cube: Cube, home: Path, words: str, why: str) -> None:
    with (home / "notes.md").open("a") as file:
        file.write("\n" + words.replace("{ID}", turns(cube)["The shop opens at nine."].id) + "\n")
    with pytest.raises(Malformed) as caught:
        cube.mirror(home)
    assert why in str(caught.value) and caught.value.details() == {"line": 6} and len(turns(cube)) == 3


def test_what_no_mirror_can_be(cube: Cube, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(Invalid, match="is a file"):
        cube.mirror(tmp_path / "file")
    with pytest.raises(Missing, match="Make it first"):
        cube.mirror(tmp_path / "a" / "b")
    with pytest.raises(Invalid, match="keep is"):
        cube.mirror(tmp_path / "m", keep="both")
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / markdown.MANIFEST).write_text("{}")
    with pytest.raises(Malformed, match="is damaged"):
        cube.mirror(tmp_path / "m")
    (tmp_path / "m" / markdown.MANIFEST).unlink()
    (tmp_path / "m" / "x.md").write_bytes(b"ok\n\xff\n")
    with pytest.raises(Malformed, match=r"x\.md, line 2: byte 3 is not UTF-8"):
        cube.mirror(tmp_path / "m")
    monkeypatch.setattr(markdown, "MAX_FILE_BYTES", 2)
    with pytest.raises(TooLarge, match="larger than 2 bytes"):
        cube.mirror(tmp_path / "m")


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_are_neither_read_nor_written_through(cube: Cube, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.md").write_text("A secret of somebody else.")
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "link.md").symlink_to(outside / "secret.md")
    (tmp_path / "m" / "ana").symlink_to(outside)
    with pytest.raises(Invalid, match="is a link"):
        cube.mirror(tmp_path / "m")
    assert not any("secret" in text for text in turns(cube)) and [p.name for p in outside.iterdir()] == ["secret.md"]


@pytest.mark.parametrize("name", ["../up", "a/b", "..", ".", ".hidden", "x" * 300, "né/..\\x"], ids=repr)
def test_no_name_leads_out_of_the_folder(open_vault: Callable[..., MemOS], tmp_path: Path, name: str) -> None:
    cube = open_vault().cube("main")
    cube.add(Message("user", "Hello there.", MAY), user=name, session=name)
    (tmp_path / "deep").mkdir()
    cube.mirror(tmp_path / "deep")
    files = list(tmp_path.rglob("*.md"))
    assert len(files) == 1 and files[0].is_relative_to(tmp_path / "deep")
    edit(files[0], "Hello there.", "Hello again.")
    assert cube.mirror(tmp_path / "deep").updated == 1 and turns(cube)["Hello again."].scope.session == name


@given(
    st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\t\\#-<!>"), min_size=1, max_size=200).filter(
        lambda t: t.strip()
    )
)
def test_any_text_stays_what_it_is(text: str) -> None:
    """What is written is read as one paragraph that says the same."""
    lines = markdown.shown(text)
    page = markdown.parse("x.md", ("<!-- loci {} -->\n\n<!-- loci 01 1 -->\n" + "\n".join(lines) + "\n").encode(), (None, None, None))
    (only,) = page.paragraphs
    assert (only.id, only.lines) == ("01", lines) and markdown.shown(only.text) == lines
    assert [line.rstrip() for line in only.text.split("\n")] == [line.rstrip() for line in text.strip("\n").split("\n")]


def test_front_matter_stays_on_the_first_line(cube: Cube, tmp_path: Path) -> None:
    front = "---\ntags: [a]\n\ntitle: Shopping\n---\n"
    (tmp_path / "m").mkdir()
    file = tmp_path / "m" / "list.md"
    file.write_text(f"{front}Buy milk.\n\n---\n\nBuy bread.\n")
    cube.mirror(tmp_path / "m")
    text = file.read_text()
    assert text.startswith(f'{front}\n<!-- loci {{"session": "list"}} -->\n\n<!-- loci ') and "\n\n---\n\n" in text
    assert {m.text for m in cube.list(session="list") if m.part is Part.TURN} == {"Buy milk.", "Buy bread."}
    edit(file, "Buy milk.", "Buy oat milk.")
    assert cube.mirror(tmp_path / "m").updated == 1 and file.read_text().startswith(front)
    assert cube.mirror(tmp_path / "m").written == 0
    file.write_text(file.read_text().replace('<!-- loci {"session', "<!-- loci {session"))
    with pytest.raises(Malformed, match=r"list\.md, line 7: the comment"):
        cube.mirror(tmp_path / "m")


def test_words_between_two_rules_are_no_front_matter(cube: Cube, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "list.md").write_text("---\n\nBuy milk.\n\n---\n\nBuy bread.\n")
    cube.mirror(tmp_path / "m")
    assert {m.text for m in cube.list(session="list") if m.part is Part.TURN} == {"Buy milk.", "Buy bread."}


def test_words_right_below_the_scope_or_a_heading_are_words(cube: Cube, home: Path) -> None:
    (page,) = [file for file in home.rglob("*.md") if file.read_text("utf-8").startswith("<!-- loci {")][:1]
    head, _, rest = page.read_text("utf-8").partition("\n")
    page.write_text(f"{head}\nThe lamp is green.\n\n# Tea\n## At home\nThe cup is white.\n{rest}", "utf-8")
    cube.mirror(home)
    assert {"The lamp is green.", "The cup is white."} <= {memory.text for memory in cube.list()}
    assert "# Tea\n## At home\n\n" in page.read_text("utf-8") and "The lamp is green." in page.read_text("utf-8")


def test_from_the_command_line(tmp_path: Path) -> None:
    def loci(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "loci", "--vault", str(tmp_path / "v"), "--embedder", "none", *arguments],
            capture_output=True,
            text=True,
            timeout=120,
        )

    assert loci("add", "The shop opens at nine.").returncode == 0
    assert loci("mirror", str(tmp_path / "m")).returncode == 0
    edit(tmp_path / "m" / "notes.md", "nine", "ten")
    done = loci("mirror", str(tmp_path / "m"))
    assert done.returncode == 0 and "updated" in done.stdout and "update: notes.md" in done.stderr
    assert "ten" in loci("list").stdout


def test_an_empty_line_below_a_comment_changes_nothing(cube: Cube, home: Path) -> None:
    edit(home / "notes.md", "-->\nThe shop", "-->\n\nThe shop")
    done = cube.mirror(home)
    assert (done.added, done.updated, done.forgotten) == (0, 0, 0) and len(turns(cube)) == 3
