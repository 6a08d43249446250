"""The corpus of `tests/data/redaction` as texts: templates filled from a seed, so that no whole token stands in the repository.

    formats.jsonl         a token of a service a line: {"kind", "parts"}; joined and filled they are the token
    dev.jsonl, held.jsonl {"frame"}: a sentence around any token; {"kind", "text"}: a sentence with its own secret; {"none"}: a sentence without

In a text the secret stands between ⟦ and ⟧, what belongs to it (and is encoded with it) between « and ». What is generated stands in
braces: {hex:40}, {alnum:36}, {card:visa}, {iban:DE:grouped}, {id:nl_bsn} ... The held part was written before the detectors were tuned.
"""

from __future__ import annotations

import base64
import json
import random
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SEED = 20240311
FOLDER = Path(__file__).resolve().parent.parent / "tests" / "data" / "redaction"
FRAMES_EACH = 3  # sentences around each token format

_ALPHABETS = {
    "alnum": string.ascii_letters + string.digits, "hex": "0123456789abcdef", "digit": string.digits, "alpha": string.ascii_letters,
    "upper": string.ascii_uppercase, "lowerdigit": string.ascii_lowercase + string.digits, "upperdigit": string.ascii_uppercase + string.digits,
    "url": string.ascii_letters + string.digits + "-_", "b64": string.ascii_letters + string.digits + "+/", "b32": string.ascii_uppercase + "234567",
    "bech": "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L",
}  # fmt: skip
_SLOT = re.compile(r"\{(\w+)(?::([\w]+))?(?::(\w+))?\}")
_LOOKS = dict(zip("aceopxyisjhABCEHIKMOPSTX", "асеорхуіѕјһАВСЕНІКМОРЅТХ", strict=True)) | dict(zip("vZN", "νΖΝ", strict=True))
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad"
DIGITAL = frozenset({"credit_card", "phone", "iban", "us_ssn", "in_aadhaar", "ca_sin", "de_tax_id", "nl_bsn", "pl_pesel"})
PERSONAL = frozenset({"iban", "email", "phone", "postal_address", "passport"})


@dataclass(frozen=True, slots=True)
class Case:
    """A text, and the spans in it that have to be found, by kind. `disguise` says how they are hidden; "none" has nothing to find."""

    text: str
    wanted: tuple[tuple[int, int, str], ...]
    disguise: str


# --- generated bodies -----------------------------------------------------------------------------------------------------


def _pick(chance: random.Random, alphabet: str, count: int) -> str:
    """Characters of an alphabet; never so few different ones that a token would look like an example."""
    first, rest = chance.choice(alphabet.replace("-", "").replace("_", "").replace("+", "").replace("/", "")), count - 1
    body = first + "".join(chance.choice(alphabet) for _ in range(rest))
    return body[:-1] + chance.choice(string.digits) if alphabet.endswith(("-_", "+/")) and count > 1 else body


def _jwt(chance: random.Random) -> str:
    def part(payload: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip("=")

    payload = {"sub": _pick(chance, string.digits, 8), "name": "Ada", "iat": chance.randrange(10**9)}
    return f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(payload)}.{_pick(chance, _ALPHABETS['url'], 43)}"


def _block(chance: random.Random, what: str) -> str:
    body = "\n".join(_pick(chance, _ALPHABETS["b64"], 64) for _ in range(4))
    return f"-----BEGIN {what}-----\n{body}\n-----END {what}-----"


_CARDS = {
    "visa": ("4", 16),
    "mastercard": ("53", 16),
    "amex": ("37", 15),
    "discover": ("6011", 16),
    "jcb": ("3530", 16),
    "diners": ("36", 14),
    "unionpay": ("6221", 16),
}


def _card(chance: random.Random, scheme: str) -> str:
    start, length = _CARDS[scheme]
    body = start + _pick(chance, string.digits, length - 1 - len(start))
    total = sum(sum(divmod(int(d) * (2 if at % 2 == 0 else 1), 10)) for at, d in enumerate(reversed(body)))
    return body + str(-total % 10)


_BBANS = {
    "DE": "d18",
    "GB": "u4d14",
    "FR": "d10c11d2",
    "NL": "u4d10",
    "ES": "d20",
    "AT": "d16",
    "CH": "d5c12",
    "IT": "u1d10c12",
    "PL": "d24",
    "BE": "d12",
    "SE": "d20",
}


def _iban(chance: random.Random, country: str) -> str:
    kinds = {"d": string.digits, "u": string.ascii_uppercase, "c": _ALPHABETS["upperdigit"]}
    bban = "".join(_pick(chance, kinds[kind], int(count)) for kind, count in re.findall(r"([duc])(\d+)", _BBANS[country]))
    number = int("".join(str(int(char, 36)) for char in f"{bban}{country}00"))
    return f"{country}{98 - number % 97:02d}{bban}"


def _date(chance: random.Random) -> str:
    return f"{chance.randrange(50, 99)}{chance.randrange(1, 13):02d}{chance.randrange(1, 29):02d}"


def _identity(chance: random.Random, kind: str) -> str:
    """A national number with valid check digits: bodies are drawn until the public check of the scheme holds."""
    from loci.text.leaks import checks  # its checks are held against another implementation in the tests

    letters = "TRWAGMYFPDXBNJZSQVHLCKE"
    drawn = {
        "us_ssn": (lambda: _pick(chance, string.digits, 9), checks.is_ssn),
        "uk_nino": (lambda: chance.choice("ABCEHJLMPRST") + chance.choice("ABCEHJLMP") + _pick(chance, string.digits, 6) + chance.choice("ABCD"), checks.is_nino),
        "de_tax_id": (lambda: _tax_id(chance), checks.is_steuer_id),
        "fr_nir": (lambda: "2" + _date(chance)[:4] + _pick(chance, string.digits, 10), checks.is_nir),
        "es_dni": (lambda: _pick(chance, string.digits, 8) + chance.choice(letters), checks.is_dni),
        "es_nie": (lambda: chance.choice("XYZ") + _pick(chance, string.digits, 7) + chance.choice(letters), checks.is_dni),
        "it_codice_fiscale": (lambda: _codice(chance), checks.is_codice_fiscale),
        "nl_bsn": (lambda: chance.choice("123") + _pick(chance, string.digits, 8), checks.is_bsn),
        "pl_pesel": (lambda: _date(chance) + _pick(chance, string.digits, 5), checks.is_pesel),
        "br_cpf": (lambda: _pick(chance, string.digits, 11), checks.is_cpf),
        "in_aadhaar": (lambda: chance.choice("23456789") + _pick(chance, string.digits, 11), checks.is_aadhaar),
        "se_personnummer": (lambda: _date(chance) + "-" + _pick(chance, string.digits, 4), lambda c: checks.is_personnummer(c.replace("-", ""))),
        "ca_sin": (lambda: chance.choice("1234567") + _pick(chance, string.digits, 8), checks.is_sin),
    }  # fmt: skip
    draw, is_valid = drawn[kind]
    while True:
        code = draw()
        if is_valid(code):
            return code


def _tax_id(chance: random.Random) -> str:
    digits = chance.sample("0123456789", 9)
    digits.append(chance.choice(digits))
    chance.shuffle(digits)
    return "".join(digits) + chance.choice(string.digits)


def _codice(chance: random.Random) -> str:
    return (
        _pick(chance, string.ascii_uppercase, 6) + _pick(chance, string.digits, 2) + chance.choice("ABCDEHLMPRST")
        + f"{chance.randrange(1, 29):02d}" + chance.choice(string.ascii_uppercase) + _pick(chance, string.digits, 3) + chance.choice(string.ascii_uppercase)
    )  # fmt: skip


_SPACED = {
    "us_ssn": (3, 2, 4), "uk_nino": (2, 2, 2, 2, 1), "de_tax_id": (2, 3, 3, 3), "fr_nir": (1, 2, 2, 2, 3, 3, 2), "in_aadhaar": (4, 4, 4), "ca_sin": (3, 3, 3),
}  # fmt: skip


def _grouped(code: str, sizes: tuple[int, ...], sign: str = " ") -> str:
    parts, at = [], 0
    for size in sizes:
        parts.append(code[at : at + size])
        at += size
    return sign.join(part for part in [*parts, code[at:]] if part)


def _filled(chance: random.Random, template: str) -> str:
    def fill(slot: re.Match[str]) -> str:
        name, first, second = slot[1], slot[2] or "", slot[3] or ""
        if name == "uuid":
            return _grouped(_pick(chance, "0123456789abcdef", 32), (8, 4, 4, 4, 12), "-")
        if name == "jwt":
            return _jwt(chance)
        if name == "pgp":
            return _block(chance, "PGP PRIVATE " + "KEY BLOCK")
        if name == "pem":
            return _block(chance, f"{first} PRIVATE " + "KEY")
        if name == "card":
            code = _card(chance, first)
            return _grouped(code, (4, 6, 5) if len(code) == 15 else (4, 4, 4, 4), chance.choice(" -")) if second else code
        if name == "iban":
            code = _iban(chance, first)
            return _grouped(code, (4,) * 9) if second else code
        if name == "id":
            code = _identity(chance, first)
            if second == "dotted":
                return f"{code[:3]}.{code[3:6]}.{code[6:9]}-{code[9:]}"
            return _grouped(code, _SPACED[first], "-" if second == "dashed" else " ") if second else code
        return _pick(chance, _ALPHABETS[name], int(first)) if name in _ALPHABETS else slot[0]

    return _SLOT.sub(fill, template)


# --- disguises --------------------------------------------------------------------------------------------------------------


def _invisible(chance: random.Random, said: str) -> str:
    places = set(chance.sample(range(1, len(said)), min(4, len(said) - 1)))
    return "".join((chance.choice(_INVISIBLE) if at in places else "") + char for at, char in enumerate(said))


def _alike(chance: random.Random, said: str) -> str:
    return "".join(_LOOKS[char] if char in _LOOKS and chance.random() < 0.7 else char for char in said)


def _wide(said: str) -> str:
    return "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in said)


def _disguised(chance: random.Random, text: str, kind: str, is_token: bool) -> Iterator[tuple[str, str]]:
    """The text with its secrets hidden in each of the ways that fit them, with the name of the way."""

    def with_secret(change: object) -> str:
        return re.sub(r"⟦(.*?)⟧", lambda m: f"⟦{change(m[1])}⟧", text, flags=re.DOTALL)  # type: ignore[operator]

    yield "plain", text
    yield "invisible", with_secret(lambda said: _invisible(chance, said))
    if re.search(r"⟦[^⟧]*[acepxyisjhABCEHIKMOPSTXvZN][^⟧]*⟧", text):
        yield "look-alike", with_secret(lambda said: _alike(chance, said))
    yield "wide", with_secret(_wide)
    personal = kind in PERSONAL or re.match(r"[a-z]{2}_", kind)
    region = re.search(r"«(.*?)»", text, re.DOTALL)
    inner = re.sub("[⟦⟧]", "", region[1]) if region else ""
    if not personal and region and len(inner) >= 12:
        coded = base64.b64encode(inner.encode()).decode()
        yield "base64", text[: region.start()] + f"⟦{coded}⟧" + text[region.end() :]
    if kind in DIGITAL:
        yield (
            "spaced",
            with_secret(
                lambda said: " ".join(re.sub(r"[ -]", "", said)) if kind == "credit_card" else re.sub(r"(?<=\d)[ -]?(?=\d)", " ", said)
            ),
        )
        if kind != "phone":
            yield (
                "dashed",
                with_secret(
                    lambda said: (
                        _grouped(re.sub(r"[ -]", "", said), (4, 4, 4, 4, 4, 4, 4, 4), "-")
                        if kind in ("credit_card", "iban")
                        else said.replace(" ", "-")
                    )
                ),
            )
    if is_token and kind != "private_key":
        yield "broken", with_secret(lambda said: said[: len(said) // 2] + chance.choice(["\n", "\n    ", "\\\n"]) + said[len(said) // 2 :])


# --- cases ------------------------------------------------------------------------------------------------------------------


def _case(marked: str, kind: str, disguise: str) -> Case:
    """The case of a text with its marks: they are taken out, and what stood between them is wanted."""
    parts, wanted, start, length = [], [], 0, 0
    for part in re.split("([⟦⟧«»])", marked):
        if part == "⟦":
            start = length
        elif part == "⟧":
            wanted.append((start, length, kind))
        elif part not in ("«", "»"):
            parts.append(part)
            length += len(part)
    return Case("".join(parts), tuple(wanted), disguise)


def _lines(name: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in (FOLDER / name).read_text("utf-8").splitlines()]


def formats() -> list[tuple[str, str]]:
    """The kinds of tokens with their templates."""
    return [(str(line["kind"]), "".join(line["parts"])) for line in _lines("formats.jsonl")]  # type: ignore[arg-type]


def corpus(part: str, seed: int = SEED) -> list[Case]:
    """All cases of a part ("dev" or "held"), the same for the same seed."""
    lines = _lines(f"{part}.jsonl")
    frames = [str(line["frame"]) for line in lines if "frame" in line]
    cases = []
    for number, (kind, template) in enumerate(formats()):
        chance = random.Random(f"{seed}/{part}/{number}")
        for frame in chance.sample(frames, FRAMES_EACH):
            token = _filled(chance, template)
            token = token if "⟦" in token else f"⟦{token}⟧"
            said = frame.replace("{}", f"«{token}»")
            cases += [_case(text, kind, way) for way, text in _disguised(chance, said, kind, is_token=True)]
    for number, line in enumerate(lines):
        chance = random.Random(f"{seed}/{part}/line {number}")
        if "none" in line:
            cases.append(Case(_filled(chance, str(line["none"])), (), "none"))
        elif "text" in line:
            kind = str(line["kind"])
            said = _filled(chance, str(line["text"]))
            if "«" not in said and said.count("⟦") == 1:
                said = said.replace("⟦", "«⟦").replace("⟧", "⟧»")
            cases += [_case(text, kind, way) for way, text in _disguised(chance, said, kind, is_token=False)]
    return cases
