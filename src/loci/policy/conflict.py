"""What a new claim does to the claims that are known: supersede, confirm, or stand beside them. No model, no clock.

Claims meet only under one key (subject and attribute), but for an address and where somebody lives. Of two that meet, what
was *said later* wins, never what arrived later, and each pair is judged for itself, so that the order in which messages are
imported does not matter. Nothing is deleted: the older claim's validity is closed, with the reason.

    later claim says          of an earlier claim with the same value     with another value (one value at a time)
    the same                  evidence                                    closes it
    a change, a correction    evidence                                    closes it; a correction in one session voids it
    no longer, "used to"      closes it                                   nothing
    that it once was so       nothing                                     nothing; the past claim ends where the other begins
    that it will be so        nothing                                     closes an earlier plan only; a possible conflict where it says
                                                                          when, if only in which month
    the same, from a date     nothing                                     closes it at that date
    the same less or more     evidence ("Stanford", "Stanford University")
      exactly
    the same, by hearsay      evidence                                    possible conflict: one's own words weigh more
    of somebody else who has  nothing                                     nothing; a possible conflict where a bare name may mean
      the same name                                                       either
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from loci.policy.claim import Action, Claim, Evidence, Possible, Supersede, Verdict, alike, is_beside_others, refines, same_value, utc
from loci.policy.namesakes import namesakes, same_person
from loci.text.facts import key
from loci.text.places import is_same, lies_in, lies_there
from loci.text.wording.relations import NAMING

__all__ = [
    "Action", "Claim", "Evidence", "Possible", "Supersede", "Verdict", "is_beside_others", "not_before", "precedes", "resolve", "same_value",
]  # fmt: skip

CORRECTION_WINDOW = timedelta(minutes=30)
"""A correction without a subject ("actually it's Tuesday") reaches this far back, within one session."""
DATING_SLACK = timedelta(days=31)
"""Dates that words give ("in May", "last week") order two claims only if they lie further apart than this."""
STORY_GRACE = timedelta(days=730)
"""A change dated this long before the other claim was made is a story of the past and does not close that claim."""
ADDRESS = "residence/address"


def resolve(new: Claim, known: Sequence[Claim], told: Sequence[Claim] = ()) -> Verdict:
    """Return what `new` does to `known`.

    Hand in, closed ones included: the claims of its key (and those whose attribute begins with it or that it begins with, as those of
    plan/, time/, pet_name and residence may); for words that name no key the claims of its session; where it names what it replaces, the
    claims about its speaker; and, where it is about somebody by name, those that tell a relation of who is called so. More does no harm.
    `told` are claims that only tell who is called so, and are not judged.
    """
    if new.subject is None or new.attribute is None:
        return _resolve_unnamed(new, known)
    if new.replaces is not None and _is_misfiled(new, known):
        return _resolve_unnamed(new, known)
    return _resolve_named(new, known, told)


def not_before(verdict: Verdict, start: datetime) -> Verdict:
    """The verdict on words that hold from `start` on, whatever beginning they tell: until then the words before them held, and what those closed is closed."""
    claim = verdict.claim
    if claim.tense == "now" and _before(claim.valid_from, start) and not _before(claim.valid_to, start):
        claim = replace(claim, valid_from=start)
    actions = tuple(replace(a, valid_to=start) if isinstance(a, Supersede) and _before(a.valid_to, start) else a for a in verdict.actions)
    return replace(verdict, claim=claim, actions=actions)


def precedes(a: Claim, b: Claim) -> bool:
    """Tell whether `a` comes before `b`: by the dates both give, else when it was said, else serial number, else arrival."""
    a_told, b_told = _told_start(a), _told_start(b)
    if a_told and b_told and abs(a_told - b_told) > DATING_SLACK:
        return a_told < b_told
    a_said, b_said = utc(a.said_at), utc(b.said_at)
    if a_said and b_said and a_said != b_said:
        earlier, later = (a, b) if a_said < b_said else (b, a)
        return (b if _is_story(later, earlier) else a) is earlier
    if a.serial is not None and b.serial is not None and a.serial != b.serial:
        return a.serial < b.serial
    return a.seq < b.seq


def _resolve_named(new: Claim, known: Sequence[Claim], told: Sequence[Claim] = ()) -> Verdict:
    own = _own_validity(new)
    named = namesakes(new.subject or "", [*known, *told, new])
    who = [(old, _is_same_person(old, new, named)) for old in known if _meets(old, new)]
    met, others = [old for old, same in who if same], [old for old, same in who if same is None]
    alone = [old for old in met if not _is_address_and_place(old, new)]
    rivals = _ambiguous(new, alone)
    if rivals:
        return Verdict(own, tuple(Possible(old.memory, f"{_name(new)}: it is not said which of several") for old in rivals))
    actions: list[Action] = [_unsure(old, new) for old in others if not old.closed and _is_contested(old, own)]
    closed_by: tuple[datetime | None, str, str] | None = None
    for old in sorted(met, key=lambda claim: claim.seq):
        if precedes(old, new):
            action = _judge(old, own)
            if action is not None and not _is_settled(old, action):
                actions.append(action)
            own = _tightened(own, old)
        else:
            action = _judge(own, old)
            if isinstance(action, Supersede):
                if closed_by is None or _before(action.valid_to, closed_by[0]):
                    closed_by = (action.valid_to, old.memory, action.reason)
            elif action is not None:
                actions.append(replace(action, old_id=old.memory))
    if closed_by is not None:
        ended = replace(own, valid_to=_earlier(own.valid_to, closed_by[0]), closed=True)
        return Verdict(ended, _unique(actions), closed_by[1], closed_by[2], own.valid_to)
    return Verdict(_adopting(own, alone, actions), _unique(actions))


def _is_story(later: Claim, earlier: Claim) -> bool:
    """Tell whether the later words tell of something dated well before the earlier claim, which then is the newer truth."""
    began, said = _told_start(later), utc(earlier.said_at)
    return began is not None and said is not None and earlier.tense == "now" and said - began > STORY_GRACE


def _is_same_person(old: Claim, new: Claim, named: Sequence[Claim]) -> bool | None:
    """Tell whether two claims under one name are about one person. What corrects the words just said is about whom those were."""
    is_slip = new.cue == "correction" and new.relation is None and _is_just_said(old, new)
    return True if is_slip else same_person(old, new, named, precedes)


def _is_contested(old: Claim, new: Claim) -> bool:
    """Tell whether one of two claims would close the other, were they about one person."""
    return isinstance(_judge(old, new) if precedes(old, new) else _judge(new, old), Supersede)


def _unsure(old: Claim, new: Claim) -> Possible:
    return Possible(old.memory, f"{_name(new)}: {_shown(old)} or {_shown(new)}: it is not said whether they are one person")


# -- one pair ---------------------------------------------------------------------------------------------------------


def _judge(earlier: Claim, later: Claim) -> Action | None:
    """Return what the later claim does to the earlier one."""
    if _is_address_and_place(earlier, later):
        return _judge_address(earlier, later)
    same = same_value(earlier, later)
    if earlier.polarity != later.polarity:
        return _judge_polarity(earlier, later, same or (later.attribute == "residence" and is_same(earlier.value, later.value)))
    if not later.polarity:
        return Evidence(earlier.memory, f"{_name(later)}: denied again") if same and earlier.tense == later.tense else None
    if same:
        return _judge_same(earlier, later)
    if later.arity == "many":  # one more, beside what there is
        return _judge_many(earlier, later)
    return _judge_one(earlier, later)


def _judge_address(address: Claim, later: Claim) -> Action | None:
    """Who lives in a place has no address elsewhere. An address that does not say where it is ends by a move since it was told."""
    if later.attribute != "residence" or not address.polarity:
        return None  # where an address is said to be somebody's new home, its town is told as well
    is_there = lies_there(address.value, later.value)
    if not later.polarity:
        return _judge_polarity(address, later, bool(is_there) or not later.value)
    if is_there or (is_there is None and (later.cue != "change" or _before(later.valid_from, address.valid_from or address.said_at))):
        return None
    return _judge_one(address, replace(later, replaces=None))  # what town was left, is of no address


def _judge_polarity(earlier: Claim, later: Claim, same: bool) -> Action | None:
    if not same or "past" in (earlier.tense, later.tense) or (later.tense == "future" and earlier.tense == "now"):
        return None
    what = "said to hold again" if later.polarity else "denied" if later.cue == "correction" else "said to hold no longer"
    return _ending(earlier, later, what)


def _judge_same(earlier: Claim, later: Claim) -> Action | None:
    if earlier.tense == later.tense:
        return Evidence(earlier.memory, f"{_name(earlier)}: {_shown(earlier)} said again")
    if later.tense == "past" and later.cue == "end" and earlier.tense == "now":
        return _ending(earlier, later, "said to be past")
    if earlier.tense == "future" and later.tense == "now":
        return Evidence(earlier.memory, f"{_name(earlier)}: {_shown(earlier)}, which was planned, came about")
    return None


def _judge_many(earlier: Claim, later: Claim) -> Action | None:
    """Several values may hold at once: only one that is named is replaced, or the only one upon a change."""
    if later.replaces is not None:
        return replace(_superseding(earlier, later), value=earlier.value) if alike(later.replaces, earlier.value) else None
    told = later.cue in ("change", "correction") and later.tense == earlier.tense == "now"
    return _superseding(earlier, later) if told and _is_of_one(later) else None


def _is_of_one(claim: Claim) -> bool:
    """Tell whether a value is the name of one of several: a change of a name is of one that is known."""
    return (claim.attribute or "").startswith("pet_name") or claim.attribute in NAMING


def _judge_one(earlier: Claim, later: Claim) -> Action | None:
    if "past" in (earlier.tense, later.tense):
        return None
    if later.tense == "future" and earlier.tense == "now" and not _is_announced(later):
        may_end = Possible(earlier.memory, f"{_name(later)}: {_shown(later)} is to come, and {_shown(earlier)} may end then")
        return may_end if _is_dated(later) else None
    if earlier.tense == "future" and later.tense == "now" and not _came_about(earlier, later):
        return None
    if later.cue == "statement" and _is_hearsay(later) and earlier.speaker is not None and not _is_hearsay(earlier):
        return Possible(earlier.memory, f"{_name(later)}: {_shown(later)} is hearsay, {_shown(earlier)} was said by the person")
    if later.cue == "statement" and later.attribute == "age" and "/" in (later.subject or "") and not _may_be_that_old(earlier, later):
        return Possible(
            earlier.memory, f"{_name(later)}: from {_shown(earlier)} to {_shown(later)} is more than has passed: it may be another's"
        )
    if later.replaces and not alike(later.replaces, earlier.value):
        return Possible(earlier.memory, f"{_name(later)}: {_shown(later)} is said to replace {later.replaces!r}, not {_shown(earlier)}")
    if later.cue == "statement" and (later.attribute or "").startswith(f"{earlier.attribute}/"):
        return Possible(
            earlier.memory, f"{_name(later)}: {_shown(later)} may be another than {_shown(earlier)}, of which it was not said which"
        )
    if (later.cue == "statement" and refines(earlier, later)) or _is_there(earlier, later):
        return Evidence(earlier.memory, f"{_name(later)}: {_shown(earlier)} and {_shown(later)} agree")
    return _superseding(earlier, later)


def _is_there(earlier: Claim, later: Claim) -> bool:
    """Tell whether somebody who lives in the one place lives in the other as well: who says "Portugal" after "Porto", or moves to Lisbon after "Portugal"."""
    if later.attribute != "residence" or later.cue == "correction":
        return False
    is_one = lies_in(earlier.value, later.value) or is_same(earlier.value, later.value)
    return lies_in(later.value, earlier.value) or (later.cue == "statement" and is_one)


def _may_be_that_old(earlier: Claim, later: Claim) -> bool:
    """Tell whether somebody of the one age is of the other by now."""
    a, b = utc(earlier.said_at), utc(later.said_at)
    if a is None or b is None or not (earlier.value.isdecimal() and later.value.isdecimal()):
        return True
    return abs(int(later.value) - int(earlier.value) - (b - a).days / 365.25) < 1.1


def _is_announced(claim: Claim) -> bool:
    """Tell whether a change to come names the day on which it comes: it holds from there, and what it changes until then."""
    return claim.tense == "future" and claim.cue == "change" and _is_dated(claim)


def _is_dated(claim: Claim) -> bool:
    """Tell whether what is to come says when, if only a month."""
    said, begins = utc(claim.said_at), utc(claim.valid_from)
    return said is not None and begins is not None and said < begins


def _came_about(announced: Claim, later: Claim) -> bool:
    """Tell whether the time that a change was announced for was over when something else was said."""
    said, begins = utc(later.said_at), utc(announced.valid_from)
    return _is_announced(announced) and said is not None and begins is not None and begins <= said


def _ending(earlier: Claim, later: Claim, what: str) -> Supersede:
    """Return the end of what is said to hold no longer: of the value that is named, where several may hold at once."""
    value = earlier.value if later.value and is_beside_others(earlier) else None
    return Supersede(earlier.memory, _closing(earlier, later), f"{_name(earlier)}: {_shown(earlier)} {what}", value or None)


def _superseding(earlier: Claim, later: Claim) -> Supersede:
    how = {"correction": "corrected to", "change": "changed to"}.get(later.cue, "later said to be")
    value = earlier.value if earlier.arity == "one" and is_beside_others(earlier) else None
    return Supersede(earlier.memory, _closing(earlier, later), f"{_name(earlier)}: {_shown(earlier)} {how} {_shown(later)}", value or None)


def _closing(earlier: Claim, later: Claim) -> datetime | None:
    """Return when the earlier claim stops to hold: where the later one begins, at once if it was a slip of the tongue."""
    start = earlier.valid_from or earlier.said_at
    if later.cue == "correction" and earlier.session == later.session and utc(earlier.said_at) is not None and _is_near(earlier, later):
        return start
    at = (later.valid_to if later.tense == "past" else None) or later.valid_from or later.said_at
    if at is not None and start is not None and _before(at, start):
        return start
    return at


# -- which claims meet ------------------------------------------------------------------------------------------------


def _meets(old: Claim, new: Claim) -> bool:
    """Tell whether two claims have one key; "plan/appointment" meets "plan/appointment/dentist", an address a home, one memory never itself."""
    if old.subject is None or old.subject != new.subject or old.memory == new.memory:
        return False
    a, b = old.attribute or "", new.attribute or ""
    if a == b or _is_address_and_place(old, new):
        return True
    return a.startswith(("plan/", "time/", "pet_name")) and (a.startswith(b + "/") or b.startswith(a + "/"))


def _is_address_and_place(a: Claim, b: Claim) -> bool:
    """Tell whether one of two claims tells an address, and the other where somebody lives."""
    return {a.attribute, b.attribute} == {"residence", ADDRESS}


def _ambiguous(new: Claim, met: Sequence[Claim]) -> list[Claim]:
    """Return the claims among which a change does not say which it means; empty when it is clear."""
    live = [
        old for old in met if not old.closed and old.polarity and old.tense == "now" and precedes(old, new) and not same_value(old, new)
    ]
    if new.cue not in ("change", "correction") or new.replaces is not None or not new.polarity:
        return []
    if new.arity == "many":
        several = live if _is_of_one(new) else []
    else:
        several = [old for old in live if len(old.attribute or "") > len(new.attribute or "")]
    return several if len({(old.attribute, old.value) for old in several}) > 1 else []


def _resolve_unnamed(new: Claim, known: Sequence[Claim]) -> Verdict:
    """Return the verdict on words that name no key ("sorry, I meant Tuesday", "we left Porto for Lisbon").

    Where they name the old value, it finds its claim among those about the speaker or by the speaker in this session. Else
    only what the speaker said just before can be meant: a value of the same sort, in the same message or the one before it.
    Two keys that fit are a possible conflict, none is no action.
    """
    holding = [
        old for old in known
        if old.subject and old.attribute and not old.closed and old.polarity and old.tense != "past" and old.memory != new.memory
        and precedes(old, new)
    ]  # fmt: skip
    if new.replaces is not None:
        said = replace(new, value=new.replaces)
        fitting = [old for old in holding if _is_mine(old, new) and (same_value(old, said) or alike(new.replaces, old.value))]
        fitting = [old for old in fitting if _is_just_said(old, new)] or [old for old in fitting if old.value == said.value] or fitting
        if new.cue == "end":
            fitting = [old for old in fitting if _is_leavable(old.attribute or "", new)] or _addresses(holding, new)
    else:
        fitting = [old for old in holding if _is_just_said(old, new) and _fits(old, new) and not (old.attribute or "").startswith("wish/")]
        last = max(fitting, key=lambda old: (old.turn or 0, old.seq), default=None)
        fitting = [old for old in fitting if last and (old.turn == last.turn if last.turn else old.memory == last.memory)]
    keys = {(old.subject, old.attribute) for old in fitting}
    if len(keys) > 1:
        return Verdict(new, tuple(Possible(old.memory, "a correction that may mean this") for old in fitting))
    if not fitting:
        return Verdict(new)
    target = max(fitting, key=lambda claim: claim.seq)
    attribute = target.attribute if new.cue != "end" or target.attribute != ADDRESS else "residence"
    named = replace(
        new, subject=target.subject, attribute=attribute, arity=target.arity, sort=target.sort, replaces=target.value,
        relation=target.relation,
    )  # fmt: skip
    if new.cue == "correction":
        named = replace(named, valid_from=target.valid_from)
    elif new.cue == "end" and attribute == target.attribute:
        named = replace(named, value=target.value)  # "the choir", of which the name was told
    return _resolve_named(named, known)


def _is_misfiled(new: Claim, known: Sequence[Claim]) -> bool:
    """Tell whether the value said to be left is known under another key only ("moved from Acme to Nimbus", an employer)."""
    said = replace(new, value=new.replaces or "")
    holding = [old for old in known if not old.closed and old.subject == new.subject and old.polarity and old.tense == "now"]
    keys = {old.attribute for old in holding if old.attribute and same_value(old, said)}
    return len(keys) == 1 and new.attribute not in keys


def _addresses(holding: Sequence[Claim], new: Claim) -> list[Claim]:
    """Return the addresses in the place that is said to be left."""
    place = new.replaces or ""
    return [old for old in holding if old.attribute == ADDRESS and _is_mine(old, new) and lies_there(old.value, place)]


_LEAVABLE = ("residence", "employer", "school", "partner", "car", "learning", "attr/bank")
_LEAVABLE_KINDS = ("pet_name", "member", "subscription", "medicine", "course", "uses", "uses for", "device")


def _is_leavable(attribute: str, new: Claim) -> bool:
    """Tell whether one may leave, stop, cancel or lose what a key has for its value: somebody who may be dropped at school, only by leaving or death."""
    if new.sort == "text" and attribute.partition("/")[0] in ("partner", "pet_name"):
        return False
    return attribute in _LEAVABLE or attribute.partition("/")[0] in _LEAVABLE_KINDS


def _is_mine(old: Claim, new: Claim) -> bool:
    """Tell whether a claim is about the speaker of the new one, or was made by them in the same session."""
    if new.speaker is None:
        return False
    return old.subject == key(new.speaker) or (_same_speaker(old, new) and old.session == new.session)


def _is_just_said(old: Claim, new: Claim) -> bool:
    """Tell whether the speaker made a claim in this message or the one before, a moment ago."""
    if old.session != new.session or not _same_speaker(old, new) or not _is_near(old, new):
        return False
    return old.turn is None or new.turn is None or 0 <= new.turn - old.turn <= 1


def _fits(old: Claim, new: Claim) -> bool:
    loose = ("name", "text")
    return old.sort == new.sort or (old.sort in loose and new.sort in loose)


def _is_near(old: Claim, new: Claim) -> bool:
    a, b = utc(old.said_at), utc(new.said_at)
    return a is None or b is None or abs(b - a) <= CORRECTION_WINDOW


def _is_hearsay(claim: Claim) -> bool:
    """Tell whether a claim about a named person was made by somebody else."""
    subject = (claim.subject or "").split("/")[0]
    return claim.speaker is not None and "/" not in (claim.subject or "") and key(claim.speaker) != subject


def _same_speaker(a: Claim, b: Claim) -> bool:
    return a.speaker == b.speaker or (a.speaker is not None and b.speaker is not None and key(a.speaker) == key(b.speaker))


# -- time -------------------------------------------------------------------------------------------------------------


def _own_validity(new: Claim) -> Claim:
    """Return the claim with the interval it says of itself: a past claim ends at the latest where it was told."""
    if new.tense == "past":
        return replace(new, valid_to=new.valid_to or new.said_at, closed=True)
    if not new.polarity and not new.value:
        return replace(new, valid_from=new.valid_from or new.said_at)
    return replace(new, valid_from=new.valid_from or (None if new.tense == "future" else new.said_at))


def _tightened(new: Claim, old: Claim) -> Claim:
    """Return a past claim ended where a claim of another value, known to hold, began."""
    begins = old.valid_from or old.said_at
    if new.tense != "past" or old.tense != "now" or new.arity == "many" or not old.polarity or same_value(new, old):
        return new
    if _is_address_and_place(new, old):
        return new
    if new.valid_to is not None and new.valid_to != new.said_at:
        return new
    return replace(new, valid_to=_earlier(new.valid_to, begins))


def _told_start(claim: Claim) -> datetime | None:
    """Return the start that the words gave; None where the claim simply holds since it was said."""
    if claim.valid_from is None or claim.valid_from == claim.said_at or claim.tense != "now" or claim.cue == "correction":
        return None
    return utc(claim.valid_from)


def _before(a: datetime | None, b: datetime | None) -> bool:
    a, b = utc(a), utc(b)
    return a is not None and (b is None or a < b)


def _earlier(a: datetime | None, b: datetime | None) -> datetime | None:
    return a if _before(a, b) else b if b is not None else a


# -- small things -----------------------------------------------------------------------------------------------------


def _is_settled(old: Claim, action: Action) -> bool:
    """Tell whether an action would change nothing: the claim is closed already, and no later than that."""
    if not old.closed:
        return False
    return not (isinstance(action, Supersede) and _before(action.valid_to, old.valid_to))


def _adopting(own: Claim, met: Sequence[Claim], actions: Iterable[Action]) -> Claim:
    """Return the claim under the more exact key of what it replaced ("the appointment" that was a dentist appointment)."""
    touched = {action.old_id for action in actions if isinstance(action, Supersede | Evidence)}
    exact = {old.attribute for old in met if old.memory in touched and len(old.attribute or "") > len(own.attribute or "")}
    return replace(own, attribute=exact.pop()) if len(exact) == 1 else own


def _unique(actions: Iterable[Action]) -> tuple[Action, ...]:
    return tuple(dict.fromkeys(actions))


def _name(claim: Claim) -> str:
    return f"{claim.subject}'s {claim.attribute}"


def _shown(claim: Claim) -> str:
    return repr(claim.value) if claim.value else "it"
