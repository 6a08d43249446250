"""One request as memory sees it: what is recalled for it, and what of it is kept once it was answered. Runs in a thread, and knows no HTTP."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Generic, TypeVar
from uuid import uuid4

from loci.errors import Conflict, Denied, Invalid
from loci.interface.inputs import MAX_PAGE
from loci.policy.layout import Rewrite
from loci.policy.prompt import Place, Rendered
from loci.server.proxy.answers import Heard
from loci.server.proxy.shapes import Api, Asked, Json
from loci.server.proxy.states import Record, States
from loci.server.tools import Door
from loci.system import Conversation, Cube, System
from loci.text.fence import OPEN_UNTRUSTED
from loci.types import NOBODY, Channel, Message, State

T = TypeVar("T")
log = logging.getLogger("loci.proxy")
BUDGET_TOKENS = 600  # for what is recalled for one message
CUT_OFF = " [the answer was cut off here]"
MOST_TIMES = 100  # that the same words are kept in the same place within a day
WISHES = ("on", "recall", "off")
NAME_BYTES = 16
KEY, STATE, SESSION = "conversation", "state", "session"


@dataclass(frozen=True, slots=True)
class Named:
    """Whose conversation it is, as its headers say; and whether memory is ``on``, to ``recall`` alone, or ``off``."""

    cube: str | None = None
    user: str | None = None
    agent: str | None = None
    session: str | None = None
    wish: str = "on"


@dataclass(frozen=True, slots=True)
class Recalled:
    """What of memory goes with a request: texts by the turn that they stand before, and how many lines and tokens they are. ``rewritten`` says why
    bytes that had been sent before were changed."""

    texts: Mapping[int, str] = field(default_factory=dict)
    lines: int = 0
    tokens: int = 0
    rewritten: tuple[Rewrite, ...] = ()
    conversation: Conversation | None = None

    @property
    def is_untrusted(self) -> bool:
        return any(OPEN_UNTRUSTED in text for text in self.texts.values())


@dataclass(frozen=True, slots=True)
class Met:
    """Where a conversation belongs. ``names`` are keyed hashes of it: of nothing, of its first turn, of its first two, and so on."""

    cube: Cube
    user: str | None
    agent: str | None
    session: str
    names: tuple[str, ...]


class _Lazy(Generic[T]):
    """Made when it is first asked for. `cached_property` has one lock for all exchanges in Python 3.11, and a cube that opens slowly would hold it."""

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, one: Any, owner: type) -> T:
        made = one.__dict__[self._name] = self._make(one)
        return made


class Exchange:
    """A request and its answer. ``recall``, then ``sent`` when upstream has taken it, then ``keep``."""

    def __init__(self, api: Api, door: Door, states: States, system: System, named: Named, raw: bytes) -> None:
        self._api, self._door, self._states, self._system, self._named = api, door, states, system, named
        self._raw, self._at = raw, datetime.now(UTC)
        self.recalled = Recalled()
        """What went with the request."""

    @property
    def principal(self) -> str:
        """Who asks."""
        return self._system.principal

    @_Lazy
    def _body(self) -> Json:
        try:
            body = json.loads(self._raw)
        except (ValueError, RecursionError) as error:
            raise Invalid(f"The request is not JSON: {error}") from error
        if not isinstance(body, dict):
            raise Invalid("The request is no JSON object.")
        return body

    @_Lazy
    def _asked(self) -> Asked:
        asked = self._api.read(self._body)
        if asked is None:
            raise Invalid(f"The request has no {self._api.messages} that are a conversation.")
        return asked

    @_Lazy
    def _met(self) -> Met:
        asked, named, fixed = self._asked, self._named, self._door.fixed
        for word in ("user", "agent", "session"):
            given = getattr(named, word)
            if given is not None and given != fixed.get(word, given):
                raise Denied(f"{word} is {given!r:.100}, and this server was opened on {fixed[word]!r} alone. Leave it out.")
        user, agent = fixed.get("user", named.user or asked.user or self._system.user), fixed.get("agent", named.agent)
        name = named.cube or self._door.cube
        cube = self._door.opened(self._system, name, create=True)
        if user is None:  # what belongs to somebody is not for a chat that does not say that it is theirs
            cube = self._door.opened(self._system.within(user=NOBODY), name)
        session = fixed.get("session", named.session or asked.session) or self._session(cube, user, agent)
        key = bytes.fromhex(cube.conversation(session=session, user=user, agent=agent).state[KEY])
        names = [_hashed(key, self._system.principal, asked.follows or "", asked.thread or "")]
        for turn in asked.turns:
            names.append(_hashed(key, names[-1], turn.form))
        return Met(cube, user, agent, session, tuple(names))

    def _session(self, cube: Cube, user: str | None, agent: str | None) -> str:
        """The session of a conversation that names none: by how it begins, or by what upstream knows that it follows."""
        asked = self._asked
        if asked.thread is not None:
            return asked.thread
        if asked.follows is not None:
            name = _name_of(cube, user, agent, self._system.principal, asked.follows)
            known = self._states.get(name) or {}
            return str(known.get(SESSION, f"chat-{name[:NAME_BYTES]}"))
        first = next((turn.form for turn in asked.turns if turn.is_said), "")
        return f"chat-{_name_of(cube, user, agent, asked.system, first)[:NAME_BYTES]}"

    # -- before the answer ---------------------------------------------------------------------------------------------

    def recall(self) -> tuple[bytes, Recalled]:
        """The request with what is recalled for it. What was put into it at the turns before stands where it stood. Raises errors of `loci.errors`."""
        met, asked = self._met, self._asked
        at, turns = asked.last_said, [{"role": turn.role, "content": turn.text} for turn in asked.turns]
        place, state = self._known(met, len(turns) - 1)
        if place > at >= 0 and state is not None:  # the user's words were searched for already; since then there were tools
            conversation = self._conversation(met, turns, state)
            rendered = conversation.turn()
        elif at >= 0:
            if place > at:
                state = None
            conversation = self._conversation(met, turns[:at], state)
            rendered = conversation.turn(turns[at]["content"])
        else:
            return self._raw, Recalled()
        found = _recalled(rendered, conversation)
        return (json.dumps(self._api.placed(self._body, asked, found.texts)).encode() if found.texts else self._raw), found

    def _known(self, met: Met, most: int) -> tuple[int, Record | None]:
        """How many turns at the most were sent before, and the state after them. The whole is left out: who asks the very same again gets a search."""
        if self._asked.follows is not None or self._asked.thread is not None:
            return 0, None
        for place in range(most, 0, -1):
            found = self._states.get(met.names[place])
            if found is not None and isinstance(found.get(STATE), dict):
                return place, found[STATE]
        return 0, None

    def _conversation(self, met: Met, history: list[dict[str, str]], state: Record | None) -> Conversation:
        """Where upstream keeps the history, what stands in it cannot be changed, so nothing is counted on."""
        is_elsewhere = self._asked.follows is not None or self._asked.thread is not None
        named: dict[str, Any] = {
            "session": met.session, "user": met.user, "agent": met.agent, "provider": self._api.provider, "budget_tokens": BUDGET_TOKENS,
            "system": blake2b(self._asked.system.encode(errors="surrogatepass")).hexdigest(), "history": history,
        }  # fmt: skip
        if is_elsewhere:
            return met.cube.conversation(**named, core_tokens=0, kept_tokens=0)
        if state is not None:
            key = met.cube.conversation(session=met.session, user=met.user, agent=met.agent).state[KEY]
            try:
                return met.cube.conversation(**named, state={**state, KEY: key})
            except Invalid:  # of another version of Loci; what is lost is one prompt's cache
                pass
        return met.cube.conversation(**named)

    def sent(self) -> None:
        """Upstream has taken the request: the next one goes on from here."""
        conversation = self.recalled.conversation
        if conversation is not None:
            state = {name: value for name, value in conversation.state.items() if name != KEY}
            self._states.put(self._met.names[-1], {STATE: state})

    # -- after the answer ----------------------------------------------------------------------------------------------

    def keep(self, answer: Heard) -> None:
        """Journals what the user said and what was answered, each once, however often it is asked for within a day, unless it was forgotten or erased
        since. Raises errors of `loci.errors`, and then it may be asked for again."""
        if self._named.wish != "on" and self.recalled.conversation is None:
            return  # memory was of no use to it, and nothing of it is to be kept
        met, asked = self._met, self._asked
        if self._named.wish == "on":
            end = asked.last_said + 1
            begin = end
            while begin > 0 and asked.turns[begin - 1].is_said:
                begin -= 1
            for place in range(begin, end):  # what stands before other turns is merely sent once more
                is_anew = place + 1 == len(asked.turns)
                self._add(met, Message("user", asked.turns[place].text, self._at), met.names[place + 1], is_anew=is_anew)
            if answer.text.strip():
                text = answer.text if answer.is_whole else f"{answer.text}{CUT_OFF}"
                is_tainted = self.recalled.is_untrusted or any(turn.is_result for turn in asked.turns)
                self._add(
                    met, Message("assistant", text, datetime.now(UTC)), _hashed(b"", met.names[-1], text), Channel.TOOL if is_tainted else None
                )  # fmt: skip
        if self._api.name == "responses" and answer.id is not None:
            name = _name_of(met.cube, met.user, met.agent, self._system.principal, answer.id)
            self._states.put(name, {SESSION: met.session})
            self._save(name)
        if self.recalled.conversation is not None:
            self.recalled.conversation.replied(answer.text)
            self._save(met.names[-1])

    def _save(self, name: str) -> None:
        """What was kept is kept without this, too, and this process has it at hand."""
        try:
            self._states.save(name)
        except OSError as error:
            log.warning("Where a conversation's memories stand could not be written: %s.", error)

    def _add(self, met: Met, message: Message, name: str, channel: Channel | None = None, *, is_anew: bool = True) -> None:
        """Journals it once for its place in the conversation; what is said anew, once more where what was made of it is not there any more."""
        if self._asked.thread is not None:
            name = uuid4().hex  # where upstream keeps a thread, the same words may be said in it again
        for time in range(MOST_TIMES):
            key = f"{name}-{time}" if time else name
            try:
                met.cube.once(key).add([message], user=met.user, agent=met.agent, session=met.session, channel=channel)
            except Conflict:  # it was kept, at another time of the day
                if is_anew and not _is_there(met, key, message):
                    continue
            return
        raise Conflict(f"This was said, and forgotten or erased, {MOST_TIMES} times today.")


def _is_there(met: Met, key: str, message: Message) -> bool:
    """Whether what was made of a message, when it was kept with this key, has not been forgotten or erased since."""
    try:
        receipt = met.cube.kept(key)
    except Conflict:  # an erasure took the answers to all writes, so the words must be looked for
        listed = met.cube.list(user=met.user, agent=met.agent, session=met.session, archived=True, limit=MAX_PAGE)
        return any((memory.role, memory.text.strip()) == (message.role, message.text.strip()) for memory in listed)
    return receipt is not None and all(met.cube.get(id).state is not State.EXPIRED for id in receipt.ids)


def _recalled(rendered: Rendered, conversation: Conversation) -> Recalled:
    """What of a prompt is memory, and where it stands."""
    texts: dict[int, str] = {}
    place = lines = tokens = 0
    for segment in rendered.segments:
        if segment.place in (Place.CORE, Place.RECALLED):
            texts[place] = f"{texts[place]}\n\n{segment.text}" if place in texts else segment.text
            lines, tokens = lines + segment.text.count("\n") - 1, tokens + segment.tokens
        elif segment.place is Place.HISTORY:
            place += 1
    return Recalled(texts, lines, tokens, rendered.rewritten, conversation)


def _name_of(cube: Cube, user: str | None, agent: str | None, *words: str) -> str:
    """A name for words that tells nothing of them: the cube's keyed hash."""
    name: str = cube.conversation(session=_hashed(b"", *words), user=user, agent=agent).state[KEY]
    return name


def _hashed(key: bytes, *words: str) -> str:
    made = blake2b(key=key, digest_size=NAME_BYTES)
    for word in words:
        told = word.encode(errors="surrogatepass")
        made.update(len(told).to_bytes(8, "big") + told)
    return made.hexdigest()
