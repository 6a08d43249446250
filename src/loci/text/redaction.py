"""Secrets and personal data in a text: where they stand, and the text with a typed mark in the place of each.

A mark reads `[github_token 3f9ac2d1]`: what was there, and a tag that a keyed hash of it gives, so that the same secret has the same
mark wherever it was said, however it was disguised or spaced (one in base64 has a mark of its own). Nothing of what was found stays: no
last four digits of a card, no domain of an address. What somebody writes in the very form of a mark is taken for one.

Texts are read as they look (`leaks.folding`), so invisible characters, wide letters and look-alikes hide nothing; runs of base64 are
opened, broken lines joined. Every pattern is bounded, so a text costs in proportion to its length.
"""

from __future__ import annotations

import re
from base64 import b64decode
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from loci.text.leaks import numbers, reaching, services, told
from loci.text.leaks.folding import FILL, Candidate, View, folded, has_runs, is_rest, joined, view_of

Group = Literal["secret", "personal"]
PERSONAL = numbers.KINDS | reaching.KINDS
SECRET = services.KINDS | told.KINDS | told.VENDOR_KINDS | {"credit_card"}
KINDS = SECRET | PERSONAL
GROUPS: frozenset[Group] = frozenset(("secret", "personal"))

_ROUNDS = 8  # what a mask uncovers is looked at again, so often at most
_DIGITS = b"0123456789"
_TAG = 8
_HEX = re.compile(r"[0-9a-f]{8}")
_MARK = re.compile(r"\[([a-z0-9_]{3,32})(?: [0-9a-f]{8})?\]")
_DECODING = 2  # layers of base64
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{16,}={0,2}")
_MOST_REPEATED = 64


@dataclass(frozen=True, slots=True)
class Finding:
    """A span of the original text, what it is, and whether it opens something (`secret`) or says who somebody is (`personal`)."""

    start: int
    end: int
    kind: str
    group: Group


def found(text: str, groups: Collection[Group] = GROUPS) -> tuple[Finding, ...]:
    """What `text` gives away, in order and without overlap. Marks are left alone."""
    if not _may_hold(folded(text), groups):
        return ()
    marks = [m.span() for m in _MARK.finditer(text) if m[1] in KINDS] if "[" in text else []
    findings: list[Finding] = []
    for _ in range(_ROUNDS):
        holes = sorted([*marks, *((f.start, f.end) for f in findings)])
        view = view_of(text, holes)
        fresh = [
            Finding(*view.span(start, end), kind, "secret" if kind in SECRET else "personal")
            for start, end, kind, _ in _spans(view, groups)
        ]
        if not fresh:
            break
        findings += fresh
    return tuple(sorted(findings, key=lambda finding: finding.start))


def masked(text: str, findings: Iterable[Finding], digest: Callable[[str], str]) -> str:
    """The text with a mark in the place of each finding. `digest` is a keyed hash in hexadecimal; its first eight digits are the tag."""
    parts: list[str] = []
    last = 0
    for finding in sorted(findings, key=lambda f: f.start):
        tag = digest(plain(text[finding.start : finding.end], finding.kind))[:_TAG]
        parts += [text[last : finding.start], f"[{finding.kind} {tag}]" if _HEX.fullmatch(tag) else f"[{finding.kind}]"]
        last = finding.end
    return "".join([*parts, text[last:]])


def plain(said: str, kind: str) -> str:
    """What was found as it is when nothing disguises it: two ways to write one number are one number."""
    form = folded(said)
    if kind in numbers.KINDS or kind in ("credit_card", "phone"):
        return numbers.bare(form)
    form = re.sub(r"[ \t]*\\?\r?\n[ \t>|]*", "", form) if kind in services.KINDS and kind != "private_key" else form
    return form.lower() if kind == "email" else form


# --- the gate -----------------------------------------------------------------------------------------------------------------


def _may_hold(text: str, groups: Collection[Group]) -> bool:
    """Whether it is worth looking: a long run that is no word, a word that goes before a secret, or enough digits. Where it is not, nothing
    would be found."""
    if "personal" in groups and ("@" in text or _count_digits(text)):
        return True
    return "secret" in groups and _may_hold_secret(text)


def _may_hold_secret(text: str) -> bool:
    lower = text.lower()
    if has_runs(text) or told.may_tell(lower) or "PRIVATE KEY" in text:
        return True
    digits = _count_digits(text)
    return digits >= 13 or (digits >= 3 and told.has_number_cue(lower))


def _count_digits(text: str) -> int:
    raw = text.encode(errors="replace")
    return len(raw) - len(raw.translate(None, _DIGITS))


# --- detectors together -------------------------------------------------------------------------------------------------------


def _spans(view: View, groups: Collection[Group]) -> list[Candidate]:
    """The candidates that hold: the better ranked first, then the longer, none over another or over a mark."""
    candidates: list[Candidate] = []
    if "secret" in groups:
        candidates += _secrets(view)
    if "personal" in groups:
        candidates += _personal(view)
    chosen: list[Candidate] = []
    starts: list[int] = []
    for candidate in sorted(candidates, key=lambda c: (c.rank, c.start - c.end, c.start)):
        if candidate.start >= candidate.end or FILL in view.text[candidate.start : candidate.end]:
            continue
        at = bisect_left(starts, candidate.start)
        if (at and chosen[at - 1].end > candidate.start) or (at < len(chosen) and chosen[at].start < candidate.end):
            continue
        starts.insert(at, candidate.start)
        chosen.insert(at, candidate)
    return chosen


def _secrets(view: View, depth: int = _DECODING) -> list[Candidate]:
    breaks = joined(view) if "\n" in view.text else []
    candidates = [*services.tokens(view), *told.keys(view)] if view.runs or "PRIVATE KEY" in view.text else []
    candidates += told.secrets(view)
    if _count_digits(view.text) >= 13:
        candidates += numbers.cards(view)
    candidates += _repeated(view, candidates)
    if depth and view.runs:
        candidates += _encoded(view, depth)
    for whole in breaks:
        candidates += _broken(view, whole, depth)
    return candidates


def _personal(view: View) -> list[Candidate]:
    candidates = [*reaching.emails(view)] if "@" in view.text else []
    digits = _count_digits(view.text)
    if digits:
        candidates += reaching.addresses(view)
    if digits >= 6:
        candidates += [*reaching.phones(view), *numbers.ibans(view), *numbers.national(view)]
    return candidates


def _repeated(view: View, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Further places where a password that was told stands without the words that told it."""
    places: list[Candidate] = []
    told_here = {view.text[c.start : c.end]: c for c in candidates if c.kind in told.KINDS and c.kind != "pin" and c.end - c.start >= 6}
    for said, first in list(told_here.items())[:_MOST_REPEATED]:
        if not any(map(str.isdigit, said)):
            continue
        at = view.text.find(said)
        while at >= 0:
            end = at + len(said)
            if at != first.start and not (view.text[at - 1 : at].isalnum() or view.text[end : end + 1].isalnum()):
                places.append(Candidate(at, end, first.kind, first.rank))
            at = view.text.find(said, end)
    return places


def _encoded(view: View, depth: int) -> list[Candidate]:
    """Runs of base64 that hold a secret, opened once or twice."""
    places: list[Candidate] = []
    for run in (run for start, end in view.runs for run in _BASE64.finditer(view.text, start, end)):
        inner = _decoded(run[0])
        if inner is None:
            continue
        opened = view_of(inner)
        within = [c for c in _secrets(opened, depth - 1) if FILL not in inner[c.start : c.end]]
        if within:
            best = min(within, key=lambda c: (c.rank, c.start - c.end))
            places.append(Candidate(run.start(), run.end(), best.kind, services.RANK + 1))
    return places


def _decoded(run: str) -> str | None:
    """What a run of base64 says, if that is text."""
    body = run.rstrip("=").translate({ord("-"): "+", ord("_"): "/"})
    if len(body) % 4 == 1:
        body = body[:-1]
    raw = b64decode(body + "=" * (-len(body) % 4))
    try:
        said = raw.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return said if said.replace("\n", "").replace("\t", "").replace("\r", "").isprintable() else None


def _broken(view: View, whole: View, depth: int) -> list[Candidate]:
    """Tokens and base64 that go on in the next line. What only happens to stand there is not taken for the rest of one."""
    places: list[Candidate] = []
    for start, end, kind, rank in [*services.tokens(whole, is_whole=False), *(_encoded(whole, depth) if depth else ())]:
        first, last = whole.span(start, end)
        if last - first == end - start or kind == "private_key":
            continue
        tail = re.split(r"[ \t]*\\?\r?\n[ \t>|]*", view.text[first:last])[-1]
        if is_rest(tail):
            places.append(Candidate(first, last, kind, rank))
    return places
