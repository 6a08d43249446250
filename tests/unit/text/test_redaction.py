"""Secrets and personal data in text: what is found, what a mask leaves, laws for every text, and the targets on the corpus.

No token stands whole in this file: each is joined when the test runs.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import random

import pytest
from bench.redaction import Score, score
from bench.redaction_corpus import corpus, formats
from hypothesis import example, given
from hypothesis import strategies as st

from loci.text import redaction
from loci.text.leaks import checks, services
from loci.text.redaction import GROUPS, KINDS, PERSONAL, SECRET, Finding, Group, found, masked

BODY = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
GITHUB = "gh" + "p_" + BODY
AWS = "AK" + "IA" + "Q7MPL2ZX5RTB3KWJ"
DATABASE = "postgres://app:" + "kd92mMz1" + "@db.internal/main"
CARD = "4111 1111 1111 1111"


def digest(said: str) -> str:
    return hashlib.sha256(f"key {said}".encode("utf-8", "surrogatepass")).hexdigest()


def kinds(text: str) -> list[str]:
    return [finding.kind for finding in found(text)]


def said(text: str) -> list[str]:
    return [text[finding.start : finding.end] for finding in found(text)]


def mask(text: str) -> str:
    return masked(text, found(text), digest)


# --- what is found ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "secret"),
    [
        (f"the token is {GITHUB}, keep it", "github_token", GITHUB),
        ("my password is hunter2", "password", "hunter2"),
        ("my password is swordfish.", "password", "swordfish"),
        ("İİİ my password is hunter2, İ", "password", "hunter2"),  # a letter whose lower case is longer
        ("MYSQL_ROOT_PASSWORD=letmein", "password", "letmein"),
        ('{"password": "zaq1ZAQ!"}', "password", "zaq1ZAQ!"),
        ("I changed my password to Summer2024! yesterday", "password", "Summer2024!"),
        ("The wifi password changed to fluffy99cats.", "password", "fluffy99cats"),
        ("Their password for the portal has been reset to hunter2hunter", "password", "hunter2hunter"),
        ("New password for gmail: Tr0ub4dor&3", "password", "Tr0ub4dor&3"),
        ("the passphrase for my key is violet mango staircase orbit", "password", "violet mango staircase orbit"),
        (DATABASE, "url_credentials", "kd92mMz1"),
        ("it was ftp://bob:xyzzy@files.internal", "url_credentials", "xyzzy"),
        ("Authorization: Basic dTpwYXNz", "basic_auth", "dTpwYXNz"),
        (f"charge {CARD} please", "credit_card", CARD),
        ("my bank card PIN is 4821", "pin", "4821"),
        ("IBAN: GB29 NWBK 6016 1331 9268 19, July", "iban", "GB29 NWBK 6016 1331 9268 19"),
        ("write to lena.hoffmann@example.com.", "email", "lena.hoffmann@example.com"),
        ("call me at (212) 555-0187 tonight", "phone", "(212) 555-0187"),
        ("I live at 221B Baker Street, London NW1 6XE", "postal_address", "221B Baker Street, London NW1 6XE"),
        ("my SSN is 219-09-9999", "us_ssn", "219-09-9999"),
        ("mi DNI es 12345678Z", "es_dni", "12345678Z"),
    ],
)
def test_a_secret_is_found_to_the_letter(text: str, kind: str, secret: str) -> None:
    at = text.index(secret)
    assert found(text) == (Finding(at, at + len(secret), kind, "secret" if kind in SECRET else "personal"),)


@pytest.mark.parametrize(
    "text",
    [
        "I forgot my password again, can you help me reset it?",
        "The password was changed to something better.",
        "The password for the portal: forgotten.",
        "The password for room 12: see the note.",
        "the password is wrong, try again",
        "password: str = Field(..., min_length=8)",
        "token = get_token(user_id)",
        "password=${DB_PASSWORD} and api_key: YOUR_API_KEY_HERE",
        "commit 9fceb02d0ae598e95dc970b74767f19372d61af8 fixes it",
        "card 4111 1111 1111 1112 has a typo, and so has GB29 NWBK 6016 1331 9268 20",
        "219099999 people were asked",  # nine digits are a social security number only where somebody says so
        "pip install react@18.2.0 with logo@2x.png from git@github.com:octo/widgets.git",
        "order number 4111-1111-1111-1111 has shipped",
        "5 minutes down the road, 300 people on the street",
        "x = 0.4111111111111111",
    ],
)
def test_what_only_looks_like_one_is_left_alone(text: str) -> None:
    assert found(text) == ()


def test_keys_are_named_after_whose_they_are() -> None:
    key = "3f9a1c0b77de4f2a9b8c6d5e4f3a2b1c"
    assert kinds(f"DD_API_KEY={key}") == ["datadog_key"]
    assert kinds(f"FASTLY_API_TOKEN={key}") == ["fastly_key"]
    assert kinds(f"api_key={key}") == ["generic_secret"]
    assert kinds(f"cache_key={key}") == []


def test_only_the_asked_groups_are_looked_for() -> None:
    text = f"{GITHUB} ada@example.com"
    assert [f.kind for f in found(text, {"secret"})] == ["github_token"]
    assert [f.kind for f in found(text, {"personal"})] == ["email"]
    assert found(text, ()) == ()


def test_what_was_told_once_is_found_again() -> None:
    text = "my password is hunter22. yes, hunter22, but not hunter221"
    assert said(text) == ["hunter22", "hunter22"]


# --- disguises --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "hidden",
    [
        GITHUB[:9] + "\u200b" + GITHUB[9:20] + "\u2060\u00ad" + GITHUB[20:],
        "".join(chr(ord(char) + 0xFEE0) for char in GITHUB),
        GITHUB.replace("a", "а").replace("p", "р").replace("B", "В").replace("i", "і"),
        "".join(chr(0x1D5BA + ord(char) - ord("a")) if char.islower() else char for char in GITHUB),
        base64.b64encode(GITHUB.encode()).decode(),
        base64.b64encode(base64.b64encode(GITHUB.encode())).decode(),
        base64.urlsafe_b64encode(f"token: {GITHUB}".encode()).decode().rstrip("="),
        GITHUB[:20] + "\n    " + GITHUB[20:],
        GITHUB[:14] + "\\\n" + GITHUB[14:28] + "\n> " + GITHUB[28:],
    ],
    ids=["invisible", "wide", "look-alike", "mathematical", "base64", "base64 twice", "base64 of a sentence", "broken", "broken twice"],
)
def test_a_disguise_hides_nothing_and_the_span_is_of_the_original(hidden: str) -> None:
    text = f"prefix ünïcödé 👍 {hidden} suffix"
    (finding,) = found(text)
    assert finding.kind == "github_token" and text[finding.start : finding.end] == hidden


@pytest.mark.parametrize(
    "written",
    [
        "4111111111111111",
        "4111-1111-1111-1111",
        "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
        "４１１１ １１１１ １１１１ １１１１",
        "٤١١١ ١١١١ ١١١١ ١١١١",
    ],
)
def test_a_card_is_found_however_its_digits_stand(written: str) -> None:
    assert said(f"card {written}, thanks") == [written]
    assert mask(f"card {written}, thanks") == mask(f"card {CARD}, thanks")


def test_the_next_line_is_not_taken_for_the_rest_of_a_token() -> None:
    assert said(f"it is {GITHUB}\nThanks a lot") == [GITHUB]
    assert said(f"key: {AWS}\nnext: value") == [AWS]


# --- marks ------------------------------------------------------------------------------------------------------------------


def test_equal_secrets_have_equal_marks() -> None:
    wide = "".join(chr(ord(char) + 0xFEE0) for char in GITHUB)
    mark = f"use [github_token {digest(GITHUB)[:8]}] now"
    for written in (GITHUB, wide, GITHUB[:9] + "\u200b" + GITHUB[9:], GITHUB[:20] + "\n  " + GITHUB[20:]):
        assert mask(f"use {written} now") == mark
    assert mask("use gh" + "p_" + BODY[::-1] + " now") != mark


def test_a_mark_keeps_the_memory_useful() -> None:
    text = mask(f"{DATABASE} is the address")
    assert text == f"postgres://app:[url_credentials {digest('kd92mMz1')[:8]}]@db.internal/main is the address"


def test_a_token_longer_than_the_table_knows_is_masked_to_its_end() -> None:
    assert said(f"use {GITHUB * 9} now") == [GITHUB * 9]
    assert said("AK" + "IA" + "Q7MPL2ZX5RTB3KWJ" + "-suffix") == [AWS]


def test_marks_are_left_alone_but_shield_nothing() -> None:
    text = mask(f"password = hunter22 and {GITHUB}")
    assert found(text) == () and mask(text) == text
    assert kinds(f"[github_token {GITHUB}]") == ["github_token"]
    assert kinds("[password hunter22]") == ["password"]
    assert kinds("[unheard 12ab34cd] password: hunter22") == ["password"]


def test_a_digest_that_is_no_hash_gives_a_mark_without_a_tag() -> None:
    assert masked(f"x {GITHUB}", found(f"x {GITHUB}"), lambda said: said) == "x [github_token]"


# --- laws -------------------------------------------------------------------------------------------------------------------

PIECES = [
    "my", "password", "is", "=", ":", "hunter2", "the", "pin", "4821", "[", "]", "[pin 12ab34cd]", "@", "example.com", "ada", "://", "https://", "/", CARD,
    "4111", "1111", "-", "+44", "20 7946 0321", "call", "SSN", "219-09-9999", "GB29NWBK60161331926819", "iban", "12", "High", "Street", "London", GITHUB, AWS,
    GITHUB[:15], GITHUB[15:], base64.b64encode(GITHUB.encode()).decode(), "Bearer", "api_key", BODY, "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----",
    BODY * 3, "seed phrase", "\n", " ", "\t", "\\\n", "\u200b", "\ufffc", "а", "ｐ", "ﬁ", "İ", "👍", "é", "\x00", "\ud800", '"', "'", "`", ",", ".", ";", "passport", "X1234567",
]  # fmt: skip
WOVEN = st.lists(st.sampled_from(PIECES), max_size=16).flatmap(
    lambda parts: st.sampled_from(["", " ", "\n"]).map(lambda joint: joint.join(parts))
)
TEXT = st.one_of(st.text(alphabet=st.characters(exclude_categories=()), max_size=80), WOVEN)


@given(TEXT)
@example("password is password is hunter2 hunter2")
@example(f"{CARD} {CARD} 4111")
def test_spans_are_exact_apart_and_in_order(text: str) -> None:
    last = 0
    for finding in found(text):
        assert last <= finding.start < finding.end <= len(text)
        assert finding.kind in KINDS and finding.group == ("secret" if finding.kind in SECRET else "personal")
        last = finding.end
    assert found(text) == found(text)


@given(TEXT)
@example(f"https://u:{GITHUB}@example.com password=https://x:hunter2@example.com")
@example("call 4155550132 4155550132 pin 4821 4821")
@example("[pin 4821] pin is 4821[pin 4821")
def test_masking_twice_is_masking_once(text: str) -> None:
    once = mask(text)
    assert found(once) == ()
    assert mask(once) == once


CUES = [
    "Authorization: Basic dTpwYXNz", "basic", "amqp://guest:", "guest@localhost", "ftp://", "the recovery words are", "wallet seed", "apple river " * 6,
    "-----BEGIN PRIVATE KEY-----", "abcdefghij" * 3, "pass", "passphrase is", "violet mango stair", "cvv 123", "security code", "4821", "pin", "bearer",
]  # fmt: skip
NEAR = st.lists(st.sampled_from(PIECES + CUES), max_size=8).flatmap(
    lambda parts: st.sampled_from(["", " ", "\n"]).map(lambda joint: joint.join(parts))
)


@given(st.one_of(TEXT, NEAR), st.sampled_from([frozenset({"secret"}), frozenset({"personal"}), GROUPS]))
@example("amqp://guest:guest@localhost", GROUPS)
@example("Authorization: Basic dTpwYXNz", GROUPS)
@example("recovery words: " + "apple river " * 6, GROUPS)
@example("-----BEGIN PRIVATE KEY-----\n" + "abcdefghij" * 3, GROUPS)
def test_a_glance_lets_nothing_by_that_a_look_would_find(text: str, groups: frozenset[Group]) -> None:
    seen = found(text, groups)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redaction, "_may_hold", lambda *_: True)
        assert found(text, groups) == seen


@given(st.text(alphabet=st.characters(exclude_categories=())))
@example("\ud800 7 \u0663")
def test_digits_are_counted(text: str) -> None:
    assert redaction._count_digits(text) == sum(map(text.count, "0123456789"))


@given(TEXT)
def test_nothing_that_was_found_stays_and_everything_else_does(text: str) -> None:
    findings = found(text)
    rest, last = [], 0
    for finding in findings:
        rest.append(text[last : finding.start])
        last = finding.end
    rest.append(text[last:])
    at, shown = 0, mask(text)
    for part in rest:
        assert shown.startswith(part, at) or part in shown[at:]
        at = shown.index(part, at) + len(part)
    tags = 0
    for finding in findings:
        tags += len(f"[{finding.kind} 12345678]")
    assert len(shown) == sum(map(len, rest)) + tags


@given(TEXT, st.sampled_from(PIECES))
def test_a_secret_is_found_beside_any_text(text: str, piece: str) -> None:
    hidden = f"{text}{piece}\n\n . {GITHUB} ."
    covered = [hidden[f.start : f.end] for f in found(hidden)]
    assert any(GITHUB in part for part in covered)


def test_hard_texts_come_back() -> None:
    """Not timed: a pattern that backtracks would not come back from these within any patience."""
    chance = random.Random(11)
    letters = "abcXYZ0123456789 \n.-_@:/="
    bits = [
        *PIECES,
        "password ",
        "4111-",
        "a@a.",
        "eyJaaaaaaaaaaaa-",
        "1 High Street ",
        "ssn 123456789 ",
        "+/",
        "0-0",
        "seed phrase abc ",
        'password="',
        "key=",
    ]
    for bit in bits:
        found((bit * (60_000 // len(bit) + 1))[:60_000])
    found("".join(chance.choice(letters) for _ in range(100_000)))


# --- check digits -----------------------------------------------------------------------------------------------------------

OTHERS = [
    ("luhn", checks.is_luhn, lambda r: _digits(r, 16)),
    ("us.ssn", checks.is_ssn, lambda r: _digits(r, 9)),
    ("de.idnr", checks.is_steuer_id, lambda r: _shuffled(r)),
    ("fr.nir", checks.is_nir, lambda r: "1" + _digits(r, 14)),
    ("es.dni", checks.is_dni, lambda r: _digits(r, 8) + r.choice("TRWAGMYFPDXBNJZSQVHLCKE")),
    ("es.nie", checks.is_dni, lambda r: r.choice("XYZ") + _digits(r, 7) + r.choice("TRWAGMYFPDXBNJZSQVHLCKE")),
    ("it.codicefiscale", checks.is_codice_fiscale, lambda r: f"RSSMRA{r.randrange(50, 99)}{r.choice('ABCDEH')}{r.randrange(10, 28)}H501{r.choice('ABCDEFGHIJKLMNOPQRSTUVWXYZ')}"),
    ("nl.bsn", checks.is_bsn, lambda r: _digits(r, 9)),
    ("pl.pesel", checks.is_pesel, lambda r: f"{_digits(r, 2)}{r.randrange(1, 13):02d}{r.randrange(1, 29):02d}{_digits(r, 5)}"),
    ("br.cpf", checks.is_cpf, lambda r: _digits(r, 11)),
    ("in_.aadhaar", checks.is_aadhaar, lambda r: _digits(r, 12)),
    ("se.personnummer", checks.is_personnummer, lambda r: f"{_digits(r, 2)}{r.randrange(1, 13):02d}{r.randrange(1, 29):02d}{_digits(r, 4)}"),
    ("ca.sin", checks.is_sin, lambda r: _digits(r, 9)),
]  # fmt: skip


def _digits(chance: random.Random, count: int) -> str:
    return "".join(chance.choice("0123456789") for _ in range(count))


def _shuffled(chance: random.Random) -> str:
    digits = chance.sample("0123456789", 9)
    return "".join(chance.sample([*digits, digits[0]], 10)) + _digits(chance, 1)


@pytest.mark.parametrize(("name", "ours", "draw"), OTHERS, ids=[name for name, _, _ in OTHERS])
def test_check_digits_agree_with_another_library(name: str, ours: object, draw: object) -> None:
    theirs = importlib.import_module(f"stdnum.{name}").is_valid
    chance = random.Random(name)
    codes = [draw(chance) for _ in range(2000)]  # type: ignore[operator]
    agreed = {code for code in codes if theirs(code)}
    assert {code for code in codes if ours(code)} == agreed and len(agreed) > 5  # type: ignore[operator]


def test_ibans_agree_with_another_library() -> None:
    theirs = importlib.import_module("stdnum.iban")
    chance = random.Random("iban")
    for country, length in checks.IBAN_LENGTHS.items():
        body = _digits(chance, length - 4)
        code = country + theirs.calc_check_digits(f"{country}00{body}") + body
        assert checks.is_iban(code)
        assert not checks.is_iban(code[:-1] + str((int(code[-1]) + 1) % 10)) and not checks.is_iban(code + "0")


# --- the corpus -------------------------------------------------------------------------------------------------------------

RECALL, PRECISION = 0.98, 0.95


@pytest.fixture(scope="module", params=["dev", "held"])
def measured(request: pytest.FixtureRequest) -> Score:
    return score(corpus(request.param))


def test_the_targets_hold(measured: Score) -> None:
    recall, precision = measured.recall(), measured.precision()
    plain, secrets = measured.recall(way="plain"), [kind for kind, _ in measured.wanted if kind in SECRET]
    assert recall is not None and recall >= RECALL
    assert plain is not None and plain >= RECALL
    assert precision is not None and precision >= PRECISION
    assert len(set(secrets)) >= 45
    for way in ("invisible", "look-alike", "wide", "base64", "broken"):
        found_so = measured.recall(way=way)
        assert found_so is not None and found_so >= RECALL, way


def test_every_format_and_every_kind_of_number_is_in_the_corpus() -> None:
    assert {kind for kind, _ in formats()} == services.KINDS
    wanted = {kind for kind, _ in score(corpus("dev")).wanted}
    assert wanted >= PERSONAL


def test_masking_the_corpus_leaves_nothing_of_it() -> None:
    for case in corpus("dev")[::7]:
        shown = mask(case.text)
        assert found(shown) == (), ascii(case.text)
