"""Numbers that belong to one person: cards, bank accounts, national numbers. Those of digits alone need a word beside them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import groupby, pairwise
from typing import NamedTuple

from loci.text.leaks import checks
from loci.text.leaks.folding import Candidate, View

RANK = 5

# --- cards ----------------------------------------------------------------------------------------------------------------

_RUN = re.compile(r"(?<![A-Za-z0-9_+])\d(?:[ .\-]{0,3}\d)*(?![A-Za-z0-9_])")
_GROUP = re.compile(r"\d+")
_SHAPES = frozenset(
    {
        (4, 4, 4, 4),
        (4, 6, 5),
        (4, 6, 4),
        (4, 4, 4, 4, 3),
        (4, 4, 4, 1),
        (4, 4, 4, 3),
        (4, 4, 4, 4, 2),
        (4, 4, 4, 2),
        (8, 8),
        (4, 4, 4, 6),
        (6, 13),
    }
)
_SERIAL = re.compile(
    r"\b(?:order|tracking|track|invoice|imei|isbn|ean|parcel|shipment|ticket|case|serial|booking|upc|barcode)\b[^.;!?\n]{0,24}$"
)
_CARD_DIGITS = range(13, 20)


def cards(view: View) -> Iterator[Candidate]:
    """Card numbers, written in one run, in the groups that are on cards, or digit by digit."""
    for run in _RUN.finditer(view.text):
        if run.end() - run.start() < 13:
            continue
        groups = [(at.start(), at.end()) for at in _GROUP.finditer(view.text, run.start(), run.end())]
        for start, end in _card_spans(view.text, groups):
            if not _SERIAL.search(view.lower, max(0, start - 40), start):
                yield Candidate(start, end, "credit_card", RANK)


def _card_spans(text: str, groups: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for size in (1, 2):  # digit by digit, or in pairs
        for is_so, stretch in groupby(groups, lambda group: group[1] - group[0] == size):  # noqa: B023 - used at once
            taken = list(stretch) if is_so else []
            if 7 <= len(taken) <= 19 and checks.is_card(bare(text[taken[0][0] : taken[-1][1]])):
                yield taken[0][0], taken[-1][1]
    for first, (start, end) in enumerate(groups):
        if text[start] not in "23456" or (first and text[start - 1] == "."):  # no scheme starts so; digits after a point
            continue
        if end - start in _CARD_DIGITS and checks.is_card(text[start:end]):
            yield start, end
        if end - start not in (4, 6, 8):
            continue
        for count in (4, 5, 3, 2):
            taken = groups[first : first + count]
            shape = tuple(b - a for a, b in taken)
            if shape in _SHAPES and _is_even(text, taken) and checks.is_card(bare(text[start : taken[-1][1]])):
                yield start, taken[-1][1]
                break


def _is_even(text: str, groups: list[tuple[int, int]]) -> bool:
    """Whether the same sign stands between all the groups."""
    return len({text[a[1] : b[0]] for a, b in pairwise(groups)}) == 1


def bare(written: str) -> str:
    """The letters and digits of a number, in capitals, without what stands between them."""
    return "".join(char for char in written if char.isalnum()).upper()


# --- bank accounts ----------------------------------------------------------------------------------------------------------

_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[ -]?\d[ -]?\d(?:[ .-]{0,2}[A-Za-z0-9]){11,30}")


def ibans(view: View) -> Iterator[Candidate]:
    for match in _IBAN.finditer(view.text):
        length = checks.IBAN_LENGTHS.get(match[0][:2].upper(), 0)
        seen = 0
        for at, char in enumerate(match[0], match.start()):
            seen += char.isalnum()
            if seen == length:
                is_whole = not view.text[at + 1 : at + 2].isalnum()
                if is_whole and checks.is_iban(bare(view.text[match.start() : at + 1])):
                    yield Candidate(match.start(), at + 1, "iban", RANK)
                break


# --- national numbers ---------------------------------------------------------------------------------------------------------


class Number(NamedTuple):
    """A kind of national number: its form, its check, and the word that must stand near (none: its form is enough). One of `sure`
    stands in every text that has such a number."""

    kind: str
    pattern: re.Pattern[str]
    is_valid: Callable[[str], bool]
    cue: re.Pattern[str] | None
    sure: tuple[str, ...]


def _digits(count: int, before: str = "") -> str:
    """A pattern for so many digits, with a sign or two between them."""
    return rf"(?<![A-Za-z0-9]){before}\d(?:[ .\-/]{{0,2}}\d){{{count - 1}}}(?![A-Za-z0-9])"


def _number(kind: str, pattern: str, is_valid: Callable[[str], bool], sure: str, cue: str = "") -> Number:
    return Number(kind, re.compile(pattern), is_valid, re.compile(cue) if cue else None, tuple(sure.split("|")))


def _is_any(code: str) -> bool:
    return len(set(code)) > 2


_CF = r"(?<![A-Za-z0-9])[A-Za-z]{6}[0-9LMNPQRSTUVlmnpqrstuv]{2}[ABCDEHLMPRSTabcdehlmprst][0-9LMNPQRSTUVlmnpqrstuv]{2}[A-Za-z][0-9LMNPQRSTUVlmnpqrstuv]{3}[A-Za-z](?![A-Za-z0-9])"
_NINO = r"(?<![A-Za-z0-9])[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z](?:[ -]{0,2}\d){6}[ -]{0,2}[A-D](?![A-Za-z0-9])"
NUMBERS = (
    _number("us_ssn", r"(?<![\dA-Za-z-])(?<!\d[ .])\d{3}-\d\d-\d{4}(?![\dA-Za-z]|[-.]\w)", checks.is_ssn, "-"),
    _number("us_ssn", _digits(9), checks.is_ssn, "ssn|social", r"\bssn\b|social security|\b(?:my|his|her|their|your|the) social\b(?! (?:media|life|net))"),
    _number("uk_nino", _NINO, checks.is_nino, "a|b|c|d"),
    _number("uk_nino", _NINO.replace("Z]", "Za-z]"), checks.is_nino, "nino|ni n|insurance", r"\bnino\b|national insurance|\bni (?:number|no)"),
    _number("de_tax_id", _digits(11), checks.is_steuer_id, "steuer|id|tax|tin", r"steuer|\bid-?nr\b|\btax (?:id|number|identification)|\btin\b"),
    _number("fr_nir", r"(?<!\w)[12378] \d\d \d\d (?:\d\d|2[AB]) \d{3} \d{3} \d\d(?!\w)", checks.is_nir, " "),
    _number("fr_nir", r"(?<!\w)[12378](?:[ .\-]{0,2}\d){4}[ .\-]{0,2}(?:\d[ .\-]{0,2}\d|2[ABab])(?:[ .\-]{0,2}\d){8}(?!\w)", checks.is_nir,
            "cu|nir|insee|social", r"s[ée]cu\b|s[ée]curit[ée] sociale|\bnir\b|\binsee\b|french social"),
    _number("es_dni", r"(?<![A-Za-z0-9])\d(?:[ .\-]{0,2}\d){7}[ -]{0,2}[A-HJ-NP-TV-Za-hj-np-tv-z](?![A-Za-z0-9])", checks.is_dni,
            "dni|nif|nacional|spanish", r"\bdni\b|\bnif\b|documento nacional|spanish id"),
    _number("es_nie", r"(?<![A-Za-z0-9])[XYZ][ -]{0,2}\d(?:[ .\-]{0,2}\d){6}[ -]{0,2}[A-HJ-NP-TV-Z](?![A-Za-z0-9])", checks.is_dni, "x|y|z"),
    _number("it_codice_fiscale", _CF, checks.is_codice_fiscale, ""),
    _number("nl_bsn", _digits(9), checks.is_bsn, "bsn|burger|sofi", r"\bbsn\b|burgerservice|\bsofi-?nummer"),
    _number("pl_pesel", _digits(11), checks.is_pesel, "pesel", r"\bpesel"),
    _number("br_cpf", r"(?<![A-Za-z0-9.])\d{3}\.\d{3}\.\d{3}-\d\d(?![A-Za-z0-9])", checks.is_cpf, "."),
    _number("br_cpf", _digits(11), checks.is_cpf, "cpf", r"\bcpf\b"),
    _number("in_aadhaar", _digits(12), checks.is_aadhaar, "aadha|uidai|adhar", r"\baadha+r|\buidai\b|\badhar\b"),
    _number("se_personnummer", r"(?<![A-Za-z0-9])\d(?:[ .\-+]{0,2}\d){9}(?:(?:[ .\-+]{0,2}\d){2})?(?![A-Za-z0-9])", checks.is_personnummer,
            "nummer|personal|swedish", r"personnummer|personal (?:identity )?number|swedish id|samordningsnummer"),
    _number("ca_sin", _digits(9), checks.is_sin, "sin|nas|insurance", r"social insurance|\bsin (?:number|no|card|is)\b|\bsin[:=]|\bmy sin\b|\bnas\b"),
    _number("passport", r"(?<![A-Za-z0-9])[A-Za-z]{0,2}[ -]?\d(?:[ -]{0,2}\d){5,8}(?![A-Za-z0-9])", _is_any,
            "pass|pasa|paspo", r"passport|reisepass|passeport|pasaporte|passaporto|paspoort"),
)  # fmt: skip
KINDS = frozenset(number.kind for number in NUMBERS) | {"iban"}
_NEAR_BEFORE, _NEAR_AFTER = 40, 64
_PART = re.compile(r"\b(?:order|part|sku|item|invoice|ref|reference|serial|model|form|case|ticket|section|isbn)\b[^.;!?\n]{0,16}$")
_SIN = re.compile(r"\bSIN\b")


def national(view: View) -> Iterator[Candidate]:
    """National numbers with valid check digits, where their form or a word nearby says what they are."""
    for number in NUMBERS:
        if not any(part in view.lower for part in number.sure) or (number.is_valid is checks.is_codice_fiscale and not view.runs):
            continue
        if number.cue is None:
            for match in number.pattern.finditer(view.text):
                if number.is_valid(bare(match[0])) and not _PART.search(view.lower, max(0, match.start() - 30), match.start()):
                    yield Candidate(match.start(), match.end(), number.kind, RANK + 1)
            continue
        for cue in number.cue.finditer(view.lower):
            yield from _near(view, number, cue.start(), cue.end())
    if "SIN" in view.text:
        canadian = next(number for number in NUMBERS if number.kind == "ca_sin")
        for cue in _SIN.finditer(view.text):
            yield from _near(view, canadian, cue.start(), cue.end())


def _near(view: View, number: Number, start: int, end: int) -> Iterator[Candidate]:
    """Numbers of a kind in the neighbourhood of its word: after it, or shortly before ("... is my SSN")."""
    after = view.text[end : end + _NEAR_AFTER + 24]
    for match in number.pattern.finditer(after):
        if match.start() <= _NEAR_AFTER and number.is_valid(bare(match[0])):
            yield Candidate(end + match.start(), end + match.end(), number.kind, RANK + 1)
            return
    first = max(0, start - _NEAR_BEFORE)
    for match in number.pattern.finditer(view.text, first, start):
        if number.is_valid(bare(match[0])):
            yield Candidate(match.start(), match.end(), number.kind, RANK + 1)
