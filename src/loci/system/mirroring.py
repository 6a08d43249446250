"""A folder of Markdown beside a cube: what each says is brought to the other, through the verbs that any caller has."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from loci.errors import Conflict, Invalid, MirrorConflict, Missing
from loci.infrastructure import markdown
from loci.infrastructure.markdown import Manifest, Page, Paragraph, Whose, block
from loci.memories.plaintext import Header
from loci.operation.mirroring import Plan, Step, plan
from loci.policy.lifecycle import FINDABLE
from loci.ports import RowFilter
from loci.types import Channel, Memory, Message, Part, Scope

if TYPE_CHECKING:
    from loci.system.cube import Cube

FILE = "file"  # the author of what was edited in a mirror
DELETED = "deleted in the mirror"
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Mirrored:
    """What came of a mirror: files that it has, and of these written; memories that the folder brought to the cube, and ``settled`` conflicts.
    ``changes`` says it of each: (step, file, memory). After a dry run nothing of it is so."""

    files: int
    written: int
    memories: int
    added: int
    updated: int
    forgotten: int
    settled: int
    changes: tuple[tuple[str, str, str], ...] = ()
    is_dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Mirror:
    """A cube beside a folder that people edit, and the user, agent and session whose memories are in it."""

    cube: Cube
    folder: Path
    whose: Whose

    def bring(self, keep: str, progress: Progress | None, *, is_dry_run: bool) -> Mirrored:
        """Brings both to say the same: the cube in one transaction, then the files."""
        last = self._last()
        pages = markdown.read(self.folder, self.whose) if self.folder.is_dir() else []
        at = self._seen()
        present = self._present(at)
        plans = plan(pages, present, last, self._words(at))
        self._check(plans, last, keep)
        wanted = [one for one in plans if one.step is not Step.KEEP]
        if is_dry_run:
            return _told(len(pages), 0, len(present), [(one, one.memory or "") for one in wanted], is_dry_run=True)
        said = self._carry_out(wanted, {page.path: page for page in pages}, keep, progress)
        present = self._present(self._seen())
        files, written = self._write(pages, present, {(one.path, one.paragraph.line): id for one, id in said if one.paragraph})
        markdown.keep(self.folder, Manifest(self.cube._store.id, self.whose, {id: memory.version for id, memory in present.items()}))
        return _told(files, written, len(present), said)

    def _seen(self) -> RowFilter:
        """The rows that are mirrored, through the gate of `Cube.list`."""
        user, agent, session = self.whose
        return self.cube._allow("list", Scope(self.cube.name, user, agent, session)).rows

    def _last(self) -> Manifest | None:
        """What the folder mirrors. Raises `Invalid` if that is something else."""
        folder = self.folder
        if folder.exists() and not folder.is_dir():
            raise Invalid(f"{folder} is a file. A mirror is a folder.")
        if not folder.exists() and not folder.parent.is_dir():
            raise Missing(f"There is no folder {folder.parent} to make {folder.name} in. Make it first.")
        last = markdown.manifest(folder) if folder.is_dir() else None
        if last is not None and (last.cube, last.whose) != (self.cube._store.id, self.whose):
            raise Invalid(
                f"{folder} mirrors another cube, or other people's part of this one. Mirror into another folder; nothing was changed."
            )
        return last

    def _present(self, at: RowFilter) -> dict[str, Memory]:
        """What is mirrored: whole messages, as they hold now. What was cut from one is in it."""
        return {memory.id: memory for memory in self.cube._store.select(at, 1 << 40) if memory.part is Part.TURN}

    def _words(self, at: RowFilter) -> Callable[[str, int], str | None]:
        """The words of a version, if they are the caller's to see."""

        def words(id: str, version: int) -> str | None:
            try:
                history = self.cube._store.history(id)
            except Missing:
                return None
            scope = history[-1].scope
            is_seen = all(
                wanted in (None, has) for wanted, has in ((at.user, scope.user), (at.agent, scope.agent), (at.session, scope.session))
            )
            if not is_seen or not self.cube._parts.governance.admits(at, id, self.cube._store.scope_of):
                return None
            return next((memory.text for memory in history if memory.version == version), None)

        return words

    def _check(self, plans: Sequence[Plan], last: Manifest | None, keep: str) -> None:
        """Raises `MirrorConflict` where both sides were changed and nobody says whose words hold, and where all of a folder is gone."""
        conflicts = [p for p in plans if p.step is Step.CONFLICT]
        if conflicts and not keep:
            places = [
                {"memory": p.memory or "", "file": p.path, "line": p.paragraph.line if p.paragraph else 0, "why": p.why} for p in conflicts
            ]
            first = conflicts[0]
            raise MirrorConflict(
                f"{len(conflicts)} memories were changed on both sides; the first is {first.memory} ({first.path or self.folder.name}: {first.why}). Nothing was changed on "
                "either. keep='file' (--keep file) takes the folder's words, keep='cube' the cube's; the others stay in the memory's history.",
                places,
            )
        gone = sum(p.step is Step.FORGET for p in plans)
        if last is not None and len(last.versions) > 1 and gone == len(last.versions) and keep != "file":
            raise Conflict(
                f"All {gone} memories are gone from {self.folder}. If that is meant, say keep='file' (--keep file), and they are forgotten; else remove "
                f"{markdown.MANIFEST} in it, and they are written anew. Nothing was changed."
            )

    def _carry_out(self, wanted: Sequence[Plan], pages: Mapping[str, Page], keep: str, progress: Progress | None) -> list[tuple[Plan, str]]:
        """Does what the folder asks for, all of it or nothing, and returns with each plan the memory that its paragraph says then ("" for none)."""
        if not wanted:
            return []
        done = []
        with self.cube._store.write(self.cube._parts.clock.now()):
            for place, one in enumerate(wanted):
                if progress is not None:
                    progress(place, len(wanted))
                done.append((one, self._step(one, pages.get(one.path), keep)))
        if progress is not None:
            progress(len(wanted), len(wanted))
        return done

    def _step(self, one: Plan, page: Page | None, keep: str) -> str:
        if one.step is Step.ADD:
            assert page is not None and one.paragraph is not None
            return self._add(page, one.paragraph)
        assert one.memory is not None
        if one.step is Step.CONFLICT:
            self._settle(one.memory, one, keep)
        elif one.step is Step.UPDATE:
            self._update(one.memory, one)
        else:
            self.cube.forget(one.memory, reason=DELETED)
        return one.memory

    def _update(self, id: str, one: Plan) -> None:
        assert one.paragraph is not None
        self.cube._update(id, one.paragraph.text, reason="edited in the mirror", author=FILE, origin=one.path)

    def _settle(self, id: str, one: Plan, keep: str) -> None:
        """Puts the words of both sides into the history of a memory, those that hold last."""
        if one.paragraph is None or not one.paragraph.lines:
            if keep == "file":
                self.cube.forget(id, reason=DELETED)
            return
        latest = self.cube._store.history(id)[-1]
        is_gone = latest.state not in FINDABLE or latest.valid.end is not None
        if is_gone:
            self.cube.restore(id, reason="edited in the mirror")
        self._update(id, one)
        if keep == "cube" and is_gone:
            self.cube.forget(id, reason="gone from the cube when it was edited in the mirror")
        elif keep == "cube":
            self.cube.restore(id, to=latest.version, reason="the cube's words were kept, those of the mirror stay in history")

    def _add(self, page: Page, paragraph: Paragraph) -> str:
        """A paragraph as a memory. By its name there it is found again where a mirror was cut off before it wrote the file, or it is in quarantine."""
        cube, (user, agent, session) = self.cube, page.whose
        scope = Scope(cube.name, user, agent, session)
        named = f"{page.path}#{cube._store.hash(paragraph.text).hex()[:16]}"
        for known in cube._store.called([named], Channel.USER).get(named, []):
            if cube._store.history(known)[-1].state in FINDABLE:
                return known
        at = datetime.fromtimestamp(page.stamp[1] // 1_000_000_000, UTC)
        message = Message("user", paragraph.text, at, id=named, session=session)
        receipt = cube._add(
            cube._allow("add", scope), cube._intake, [message], scope, Channel.USER, Header(), origin=cube._origin(page.path)
        )
        return next((change.memory for change in receipt.changes if change.memory is not None and change.after == 1), "")

    def _write(self, pages: Sequence[Page], present: Mapping[str, Memory], said: Mapping[tuple[str, int], str]) -> tuple[int, int]:
        """Gives every file what the cube says, in the order that it has; what is in none yet comes after it. Returns (files, those that changed)."""
        self.folder.mkdir(exist_ok=True)
        left = dict(present)
        files = {page.path: page for page in pages}
        contents: dict[str, list[tuple[Paragraph, Memory | None]]] = {}
        for page in pages:
            markdown.check(self.folder, page.path, page.stamp)
            kept = contents.setdefault(page.path, [])
            for paragraph in page.paragraphs:
                memory = left.pop(said.get((page.path, paragraph.line)) or paragraph.id or "", None)
                if memory is not None or paragraph.id is None:
                    kept.append((paragraph, memory))
        homes = {page.whose: page.path for page in reversed(pages)}
        for memory in left.values():
            whose = (memory.scope.user, memory.scope.agent, memory.scope.session)
            path = homes.setdefault(whose, _free(markdown.path_of(whose), files))
            files.setdefault(path, Page(path, whose))
            contents.setdefault(path, []).append((block(memory), memory))
        changed = sum(
            markdown.write(self.folder, path, markdown.rendered(files[path], kept), files[path].stamp) for path, kept in contents.items()
        )
        return len(contents), changed


def _told(files: int, written: int, memories: int, said: Sequence[tuple[Plan, str]], *, is_dry_run: bool = False) -> Mirrored:
    count = {step: sum(one.step is step for one, _ in said) for step in Step}
    changes = tuple((one.step.value, one.path, id) for one, id in said)
    return Mirrored(
        files, written, memories, count[Step.ADD], count[Step.UPDATE], count[Step.FORGET], count[Step.CONFLICT], changes, is_dry_run
    )


def _free(path: str, taken: Collection[str]) -> str:
    """The path, or one beside it that nobody has."""
    found, number = path, 1
    while found in taken:
        number += 1
        found = f"{path.removesuffix('.md')} ({number}).md"
    return found
