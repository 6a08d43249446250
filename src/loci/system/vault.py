"""A vault of cubes, and the verbs that are about more than one of them: who may do what, keys, care."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from loci.errors import Conflict, Corrupt, Denied, Invalid, LociError, Missing, Unavailable
from loci.infrastructure import credentials
from loci.infrastructure.governance import Governance
from loci.infrastructure.vault import Shredded
from loci.interface import inputs
from loci.policy.trust import least
from loci.ports import Act, Secret
from loci.ports.adapters import LEARN, learn_key
from loci.system.cube import Cube
from loci.system.gated import Calls
from loci.system.parts import Parts
from loci.types import (
    NOBODY,
    Channel,
    Fault,
    Grant,
    Head,
    Key,
    Record,
    Report,
    Role,
    Scope,
    State,
    Trust,
)


class System(Calls):
    """A memory operating system over one vault. Use it as a context manager, or ``close`` it."""

    def __init__(self, parts: Parts, root: System | None = None) -> None:
        self._parts, self._root = parts, root
        self._cubes: dict[str, Cube] = {}
        self._opening = threading.RLock()  # two of one cube would work its queue twice

    def cube(self, name: str, *, create: bool = True) -> Cube:
        """The cube of that name, made on first use unless ``create`` is false. Raises `Invalid` for a name that is none, `Denied` for one
        that the principal has nothing to do with, whether it is there or not."""
        governance = self._parts.governance
        if not governance.knows(inputs.cube_of(name)):
            raise Denied(f"Cube {name} was refused: {governance.unknown(name)}")
        found = self._cubes.get(name)
        return found if found is not None else self._found(name, create)

    def _found(self, name: str, create: bool) -> Cube:
        """The cube, opened once however many ask for it at the same time."""
        governance = self._parts.governance
        is_creating = create and governance.may("branch", Scope(name))  # to make a cube is its owner's
        with self._opening:
            try:
                return self._cubes.get(name) or self._cubes.setdefault(name, self._opened(name, is_creating))
            except Missing:
                if create and governance.is_owner:
                    governance.check_writable("cube", f"a new cube {name!r}")
                if governance.is_owner:
                    raise
                raise Missing(
                    f"There is no cube {name!r} yet. Its owner makes it by adding to it (`loci add TEXT --cube {name}`); `cubes` shows those that "
                    f"{governance.principal!r} has to do with."
                ) from None

    def _opened(self, name: str, is_creating: bool) -> Cube:
        if self._root is not None:
            return self._root.cube(name, create=is_creating).acting(self._parts.governance)
        return Cube(self._parts, self._parts.vault.store(name, create=is_creating), partial(self.cube, create=False))

    def cubes(self) -> list[str]:
        """Names of the cubes in the vault, of those that the principal has to do with."""
        return [name for name in self._parts.vault.names() if self._parts.governance.knows(name)]

    def look(self) -> int:
        """How many cubes there are, the registry and the file of each having been looked at. Raises what is wrong."""
        self.grants()
        return self._parts.vault.look()

    # -- who may do what -----------------------------------------------------------------------------------------------

    def acting(self, principal: str) -> System:
        """The same open vault for somebody else, with no more rights than they were granted. Only its owner may hand it on."""
        if not self._parts.governance.is_owner:
            raise Denied("Only the owner of a vault may act for others; use `authenticate` with their key.")
        inputs.principal_of(principal)
        return self._for(replace(self._parts.governance, principal=principal))

    def authenticate(self, key: str) -> System:
        """The same open vault for the bearer of an API key. Raises `Denied`."""
        found = credentials.check(self._parts.registry, key, self._parts.clock.now())
        return self._for(replace(self._parts.governance, principal=found.principal, key=found))

    def within(
        self,
        *,
        cube: str | None = None,
        user: str | None = None,
        agent: str | None = None,
        session: str | None = None,
        trust: Trust = Trust.TRUSTED,
    ) -> System:
        """The same open vault for a door that opens on no more than a scope of it: what lies outside is not there, for its owner neither. The user
        `NOBODY` is the scope of what belongs to no user. Words that come in are trusted as far as ``trust`` at the most. What is handed on from it
        has the same bounds."""
        bounds = inputs.scope_of("*" if cube is None else inputs.cubes_of(cube), None if user == NOBODY else user, agent, session)
        bounds = replace(bounds, user=user)
        governance = self._parts.governance
        added = () if bounds == Scope("*") else (bounds,)
        return self._for(replace(governance, bounds=(*governance.bounds, *added), trust=least((governance.trust, trust))))

    @property
    def is_live(self) -> bool:
        """Whether the key that it was opened by is still good; true where there was none."""
        return self._parts.governance.is_live

    def _for(self, governance: Governance) -> System:
        return System(replace(self._parts, governance=governance), self._root or self)

    @property
    def is_writable(self) -> bool:
        """Whether anything in it may be changed, by whoever has a grant for that; false where it was opened for reading only."""
        return self._parts.governance.is_writable

    @property
    def is_reader(self) -> bool:
        """Whether whoever it is open for may search any memory of it at all."""
        return self._parts.governance.is_reader

    @property
    def user(self) -> str | None:
        """The user that the key it was opened by is narrowed to; None where it is not, or there was none."""
        key = self._parts.governance.key
        return None if key is None else key.user

    @property
    def principal(self) -> str:
        """Whom this vault is open for."""
        return self._parts.governance.principal

    def grant(
        self,
        principal: str,
        role: Role | str,
        *,
        cube: str,
        user: str | None = None,
        agent: str | None = None,
        session: str | None = None,
        memory: str | None = None,
        channel: Channel | None = None,
        expires: datetime | None = None,
        uses: int | None = None,
    ) -> Grant:
        """Lets somebody ("*": everybody) do what a role may, on a cube, on the cubes below a path ("team.*", "*" for all), or on a scope or one
        memory of it; until it expires or its uses are spent. Words that come in by it count as of ``channel``, if that is given. What is granted already, to the very
        same limits, is not granted twice: returned is the grant that is in force, with its id and time. Counted ones add up."""
        scope = inputs.scope_of(inputs.cubes_of(cube), user, agent, session)
        self._parts.governance.allow("grant", scope)
        now = self._parts.clock.now()
        made = Grant(
            id=self._parts.ids.new(now), principal=inputs.principal_of(principal), role=inputs.role_of(role), cube=cube, user=user,
            agent=agent, session=session, memory=None if memory is None else inputs.id_of(memory),
            channel=None if channel is None else inputs.channel_named(channel),
            expires=inputs.ahead(expires, "expires", now), uses=None if uses is None else inputs.number(uses, "uses", 1, inputs.MAX_USES),
            by=self.principal, at=now,
        )  # fmt: skip
        return self._parts.registry.add_grant(made, self._act("grant", made.id, principal=made.principal, role=made.role.value, cube=cube))

    def revoke(self, id: str) -> None:
        """Takes a grant back, or ends a key, from the next call on. Raises `Missing`. On which cube a grant is, only who has to do with that cube is told."""
        governance = self._parts.governance
        grant = next((g for g in self._parts.registry.grants() if g.id == id and governance.knows(g.cube)), None)
        governance.allow("revoke", Scope("*" if grant is None else grant.cube))
        if grant is None:
            self._parts.registry.end_key(inputs.id_of(id), self._act("revoke", id))
        else:
            self._parts.registry.end_grant(id, self._act("revoke", id))

    def grants(self) -> list[Grant]:
        """Every grant of the vault; for who does not own it, their own, and for the owner of a cube those of others as far as they are about that
        cube."""
        return self._parts.governance.seen()

    def issue_key(
        self,
        principal: str,
        *,
        role: Role | str | None = None,
        cube: str | None = None,
        user: str | None = None,
        expires: datetime | None = None,
    ) -> tuple[Key, str]:
        """A new API key, shown this once: only a hash of it is kept. ``role``, ``cube`` and ``user`` narrow what its bearer may do of what
        the principal may."""
        self._parts.governance.allow("grant", Scope("*"))
        inputs.scope_of("", user)
        id, text, secret = credentials.make()
        now = self._parts.clock.now()
        key = Key(
            id, inputs.principal_of(principal), now, inputs.ahead(expires, "expires", now), None,
            None if role is None else inputs.role_of(role), None if cube is None else inputs.cubes_of(cube), user,
        )  # fmt: skip
        self._parts.registry.add_key(key, secret, self._act("key", id, principal=key.principal))
        return key, text

    def keys(self) -> list[Key]:
        """The keys that were issued, without their secrets."""
        self._parts.governance.allow("grants", Scope("*"))
        return [key for key, _ in self._parts.registry.issued()]

    def log(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        verb: str | None = None,
        object: str | None = None,
        principal: str | None = None,
        before: int | None = None,
        changes: bool = False,
        limit: int = 100,
    ) -> Sequence[Record]:
        """The newest records of the vault's own log, oldest first: grants, keys, and what was refused to whom. Each cube has its own.
        ``before`` and ``changes`` as in `Cube.log`."""
        self._parts.governance.allow("log", Scope("*"))
        number = inputs.number(limit, "limit", 0, inputs.MAX_PAGE)
        verb, object, principal = inputs.word_of(verb, "verb"), inputs.word_of(object, "object"), inputs.word_of(principal, "principal")
        before = None if before is None else inputs.number(before, "before", 1, inputs.MAX_PAGE)
        return self._parts.registry.records(*inputs.between(since, until), verb, object, number, principal, before, changes)

    def heads(self) -> list[Head]:
        """The last record of each cube's audit log and of the vault's own, for somebody else to keep."""
        self._parts.governance.allow("head", Scope("*"))
        return [self._parts.registry.head(), *(self.cube(name, create=False).head() for name in self.cubes())]

    def _act(self, verb: str, object: str, **detail: object) -> Act:
        return Act(self._parts.clock.now(), self.principal, verb, object, detail)

    # -- care ----------------------------------------------------------------------------------------------------------

    def verify(self, *, kept: Sequence[Head] = ()) -> Report:
        """Checks every cube: words against hashes, spans against sources, indexes against contents, the audit chain; and every log
        against the head of it that somebody kept, if one is handed in. The report names what `Cube.verify` let go of too."""
        self._parts.governance.allow("verify", Scope("*"))
        checked, gone, names = {"cubes": 0}, list[str](), self.cubes()
        try:
            vaults = self._own_of(kept, names)
            held = {head.cube: head for head in kept if head is not vaults}
        except Unavailable:  # the registry is not in its place, which is the first of the faults
            vaults, held = None, {head.cube: head for head in kept if head.cube in names}
        faults = self._parts.registry.faults(vaults)
        faults += [Fault(name, "file", "its head was kept, and it is not there") for name in held if name not in names]
        for name in names:
            checked["cubes"] += 1
            try:
                cube = self.cube(name, create=False)
            except LociError as error:
                faults.append(Fault(name, "file", f"it cannot be opened: {error}"))
                continue
            try:
                report = cube.verify(kept=held.get(name))
            except Corrupt as error:
                faults.append(Fault(name, "file", str(error)))
                continue
            faults.extend(report.faults)
            gone.extend(report.let_go)
            for what, count in report.checked.items():
                checked[what] = checked.get(what, 0) + count
        return Report(checked, tuple(faults), tuple(gone))

    def _own_of(self, kept: Sequence[Head], cubes: Sequence[str]) -> Head | None:
        """The head of the vault's own log among those that were kept: by its id, since a cube may have the name that the log goes by. Where the
        log is another one now, the first of that name, as `heads` has them, unless it is that cube's."""
        own = self._parts.registry.head()
        named = [head for head in kept if head.cube == own.cube]
        return next((head for head in named if head.id == own.id), named[0] if len(named) > (own.cube in cubes) else None)

    def encrypt(self, cube: str) -> int:
        """Encrypts a plain cube in place, under a data key of its own that the vault's passphrase or key file opens. It ends with the
        old file or the new one, also when it is killed, and no plain copy stays. Objects of the cube end: ask for it anew.
        Returns how many activation memories were let go of: their files are plain."""
        self._alone(cube, "encrypt")
        gone = self._parts.vault.encrypt(cube, lambda: self._clear_pages(cube))
        self._noted(cube, "encrypt")
        return gone

    def decrypt(self, cube: str) -> None:
        """Makes an encrypted cube a plain one again, in place, and destroys its key. Objects of the cube end: ask for it anew."""
        self._alone(cube, "decrypt")
        self._parts.vault.decrypt(cube, lambda: self._clear_pages(cube))
        self._noted(cube, "decrypt")

    def rekey(self, cube: str, *, passphrase: str | None = None, key_file: str | Path | None = None) -> None:
        """Gives an encrypted cube another passphrase, or another key file. Its data key stays, and so do its files: a copy of the old
        key file still opens with the old secret."""
        self._parts.governance.allow("rekey", Scope(cube))
        if (passphrase is None) == (key_file is None):
            raise Invalid("rekey needs exactly one of: a passphrase, a key file.")
        self._parts.vault.store(cube, create=False)  # which the old secret opens
        self._parts.vault.rekey(cube, Secret(passphrase or "", None if key_file is None else Path(key_file)))
        self._noted(cube, "rekey")

    def shred(self, cube: str) -> Shredded:
        """Destroys the key of an encrypted cube: its file, and every copy of it that the key file did not go along with, is noise from
        then on, for everybody and for good. Needs no passphrase. Objects of the cube end."""
        self._alone(cube, "shred")
        kin = self._parts.vault.branches(cube)
        return Shredded(cube, tuple(str(path) for path in self._parts.vault.shred(cube)), tuple(kin))

    def _alone(self, cube: str, verb: str) -> None:
        """Ends what this system has open of a cube."""
        self._parts.governance.allow(verb, Scope(cube))
        for system in (self, self._root or self):
            if found := system._cubes.pop(cube, None):
                found.close()

    def _clear_pages(self, cube: str) -> int:
        """Lets go of activation memories, and says of how many: their files are under the key that the cube had, or under none. Adapters are learned anew. Raises
        `Conflict` where a server has some, which only it can delete."""
        pages, store = self._parts.vault.pages(cube), self._parts.vault.store(cube, create=False)
        if lent := [one.name for one in store.lent() if one.server.startswith("llamacpp ")]:
            raise Conflict(f"A server holds what it read of cube {cube} in {lent[0]}, which is plain. Let go of it first: `loci kv drop`.")
        if not pages.folder.is_dir():
            return 0
        with store.write(self._parts.clock.now()) as tx:
            gone = [row.id for row in store.payloads()]
            tx.drop_payloads(gone)
            for row in store.adapters():
                if row.state is State.ACTIVATED:
                    tx.move_adapter(row.id, row.number, State.ARCHIVED, "the cube was given another key, or none")
                    tx.enqueue(LEARN, {"adapter": row.id}, key=learn_key(row.id))
            pages.keep(())
        return len(gone)

    def _noted(self, cube: str, verb: str) -> None:
        store = self._parts.vault.store(cube, create=False)
        with store.write(self._parts.clock.now()) as tx:
            tx.audit(self._parts.governance.principal, verb, cube, {})

    def close(self) -> None:
        """Ends background work after the job in hand and closes the files. What is queued goes on at the next opening. A vault that is
        open for somebody else stays open with the one it was handed on from."""
        if self._root is not None:
            return
        for cube in self._cubes.values():
            cube.close()
        self._cubes.clear()
        self._parts.porter.stop()
        self._parts.vault.close()
        self._parts.registry.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
