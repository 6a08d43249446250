"""Which vault and cube a command works on, and the options that every command has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

import click

from loci.errors import Missing
from loci.policy.access import OWNER

if TYPE_CHECKING:
    from loci.settings import Settings
    from loci.system import Cube, System

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Place:
    """What was named on the command line; ``None`` leaves it to the settings. ``memory`` is a system that is open already and
    outlives the command."""

    vault: str | None = None
    cube: str | None = None
    embedder: str | None = None
    engine: str | None = None
    is_json: bool = False
    memory: System | None = None

    def named(self) -> dict[str, object]:
        """The settings that the command line names."""
        return {"vault": self.vault, "cube": self.cube, "embedder": self.embedder, "engine": self.engine}

    def settings(self) -> Settings:
        """The settings that hold here."""
        from loci.settings import load

        return load(self.named())[0]

    def folder(self) -> Path:
        """The vault's folder. Raises `Invalid` where none can be called so."""
        from loci.settings import place

        return place(self.settings().vault, "vault")

    @contextmanager
    def open(self, *, is_new: bool = False, is_writing: bool = False, is_closed: bool = False) -> Iterator[System]:
        """The open vault. Only with ``is_new`` it is made when it is not there; only a command that is writing lets its vectors
        be computed behind its answer, so that a read ends with its answer. ``is_closed``: nothing in it may be changed."""
        if self.memory is not None:
            yield self.memory
            return
        if not is_new and not self.folder().exists():
            raise Missing(
                f"There is no vault at {self.settings().vault}. `loci add` or `loci import` makes one; --vault names another folder."
            )
        from loci.wire import MemOS

        background, read_only = None if is_writing else False, True if is_closed else None
        with MemOS.open(self.vault, embedder=self.embedder, engine=self.engine, background=background, read_only=read_only) as memory:
            yield memory

    @contextmanager
    def open_cube(self, *, is_new: bool = False, is_writing: bool = False) -> Iterator[Cube]:
        """The cube that is worked on. Raises `Missing` when there is none, unless ``is_new``; whoever meant another vault than the new one is told."""
        with self.told_if_new(), self.open(is_new=is_new, is_writing=is_writing) as memory:
            yield memory.cube(self.cube or self.settings().cube, create=is_new)

    @contextmanager
    def told_if_new(self) -> Iterator[None]:
        """Says it when what is done in this made the vault."""
        is_old = self.memory is not None or (folder := self.folder()).exists()
        yield
        if not is_old and folder.exists():
            click.echo(f"note: {folder} is a new vault; --vault names another.", err=True)

    def note_unknown(self, cube: Cube, user: str | None) -> None:
        """Says so when a user that nothing was found of has no memories: a mistyped name looks like nothing. Only to the owner, who may know."""
        if user is None or self.settings().principal != OWNER:
            return
        from loci.cli.render import note

        if user not in (known := [name for name in cube.count().users if name]):
            like = get_close_matches(user, known, 1)
            note(f"no memory of cube {cube.name} is of a user {user!r}" + (f"; there is {like[0]!r}." if like else "."))

    def has_cube(self) -> bool:
        """Whether the cube that is worked on is there already."""
        from loci.infrastructure.vault import SUFFIX

        return self.memory is not None or (self.folder() / f"{self.cube or self.settings().cube}{SUFFIX}").exists()

    @contextmanager
    def rehearsal(self) -> Iterator[Cube]:
        """A cube of that name in a vault that goes away again, for what may fail or is a dry run: no vault and no cube are made for that."""
        from loci.wire import MemOS

        settings = self.settings()
        principal = OWNER if self.folder().exists() else settings.principal  # who may do what in a vault that is there, it knows itself
        aside: dict[str, Any] = {"background": False, "key_folder": "", "endpoint": "", "principal": principal}
        with TemporaryDirectory(prefix="loci-") as folder, MemOS.open(folder, embedder="none", **aside) as memory:
            yield memory.cube(self.cube or settings.cube)


def _note(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        named: dict[str, Any] = {str(param.name): value}
        ctx.obj = replace(ctx.ensure_object(Place), **named)


def _as_json(ctx: click.Context, param: click.Parameter, value: bool) -> bool:
    """Also where it was said before the verb."""
    return value or ctx.ensure_object(Place).is_json


def reading(function: F) -> F:
    """The option that names a model, for commands that have one read."""
    named = click.option(
        "--engine",
        metavar="FOLDER|URL",
        callback=_note,
        expose_value=False,
        help="What reads and answers: a transformers model, or a server (llama.cpp, vLLM, SGLang).",
    )
    return named(function)


def placed(function: F) -> F:
    """The options that say where: before the verb or after it."""
    for option in (
        click.option("--embedder", metavar="NAME", callback=_note, expose_value=False, help="auto, minilm or none."),
        click.option("--cube", metavar="NAME", callback=_note, expose_value=False, help="Cube in the vault."),
        click.option("--vault", metavar="FOLDER", callback=_note, expose_value=False, help="Folder of the cubes."),
    ):
        function = option(function)
    return function


def scoped(function: F) -> F:
    """The options that say whose memory it is."""
    for option in (
        click.option("--session", metavar="NAME", help="Of this session."),
        click.option("--agent", metavar="NAME", help="Of this agent."),
        click.option("--user", metavar="NAME", help="Of this user."),
    ):
        function = option(function)
    return function


def verb(name: str) -> Callable[[F], click.Command]:
    """A command of that name with the options every command has. The function gets the `Place` first, and ``as_json``."""

    def decorate(function: F) -> click.Command:
        command = click.command(name)(click.make_pass_decorator(Place, ensure=True)(function))
        with_json = click.option("--json", "as_json", is_flag=True, callback=_as_json, help="Print one JSON document.")
        return with_json(placed(command))

    return decorate
