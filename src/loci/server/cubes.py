"""Cubes as resources, and recall as a prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from loci.errors import Denied, Invalid, Missing
from loci.policy.access import covers
from loci.server.answers import Answer
from loci.server.tools import MEANINGS, TOOLS, Door
from loci.system import System
from loci.text.plain import plain
from loci.types import Grant

ADDRESS = "loci://cubes"
ASKS = ("question", "cube", "user", "agent", "session", "budget_tokens")
GRANTED = ("role", "user", "agent", "session", "memory", "expires", "uses")


@dataclass(frozen=True, slots=True)
class Cubes:
    """What a door shows of its vault beside the tools."""

    door: Door

    def listed(self, system: System) -> list[tuple[str, str, str]]:
        """(address, name, a line about it) of the list of cubes, and of each cube in it."""
        each = [(f"{ADDRESS}/{name}", name, f"What cube {name} holds: counts.") for name in system.cubes()]
        return [(ADDRESS, "cubes", "The cubes that you have to do with."), *each]

    def template(self) -> tuple[str, str]:
        """The form of such addresses, and a line about it."""
        return f"{ADDRESS}/{{cube}}", "What a cube holds: counts."

    def read(self, system: System, uri: str) -> Answer:
        """The list of cubes; or of one what it holds, in counts; of one that the caller may not look at as a whole, what the caller was granted there."""
        if uri == ADDRESS:
            return {"cubes": system.cubes()}
        name = uri.removeprefix(f"{ADDRESS}/")
        if name == uri or "/" in name:
            raise Missing(f"There is no resource {uri!r:.100}; there are {ADDRESS} and {ADDRESS}/NAME.")
        cube = self.door.opened(system, name)
        try:
            return {"cube": name, "holds": plain(cube.stats())}
        except Denied:
            return {"cube": name, "granted": [_granted(grant) for grant in system.grants() if covers(grant.cube, name)]}

    def asks(self) -> dict[str, str]:
        """The arguments of the prompt, and what each means."""
        return {name: MEANINGS[name] for name in ASKS if name not in self.door.fixed}

    def recall(self, system: System, given: Mapping[str, str]) -> str:
        """A question, with what memory holds on it before it: fenced, cited, within a budget."""
        asked: dict[str, object] = dict(given)
        if "budget_tokens" in given:
            if not given["budget_tokens"].isdecimal():
                raise Invalid(f"budget_tokens is {given['budget_tokens']!r:.100}; it must be a whole number.")
            asked["budget_tokens"] = int(given["budget_tokens"])
        found = self.door.call(system, TOOLS["search_memories"].name, asked)
        missing = "".join(f" The {signal} signal is missing: {reason}" for signal, reason in found.get("missing", {}).items())
        held = found["text"] or "Memory holds nothing on this."
        return f"{held}{missing}\n\n{given['question']}"


def _granted(grant: Grant) -> Answer:
    return {word: value for word, value in plain(grant).items() if word in GRANTED and value is not None}
