"""Where somebody can be reached: e-mail addresses, telephone numbers, street addresses as English writes them."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator

from loci.text.leaks.folding import FILL, Candidate, View

KINDS = frozenset({"email", "phone", "postal_address"})
RANK = 8

# --- e-mail -----------------------------------------------------------------------------------------------------------------

_LOCAL = string.ascii_letters + string.digits + "._%+-"
_DOMAIN = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}[A-Za-z0-9])?){1,8}(?![A-Za-z0-9@])"
)
_NO_DOMAINS = """png jpg jpeg gif svg webp pdf py js ts jsx tsx css html json yaml yml toml md txt sh service socket timer mount target
    local lan internal localhost"""
_NOT_TOP = frozenset(_NO_DOMAINS.split())
_MOST_LOCAL = 64


def emails(view: View) -> Iterator[Candidate]:
    at = view.text.find("@")
    while at >= 0:
        head = view.text[max(0, at - _MOST_LOCAL - 1) : at]
        local = head[len(head.rstrip(_LOCAL)) :].lstrip(".%+-")
        start = at - len(local)
        domain = _DOMAIN.match(view.text, at + 1) if local and len(local) <= _MOST_LOCAL else None
        if domain and _is_address(view.text, start, domain):
            yield Candidate(start, domain.end(), "email", RANK)
        at = view.text.find("@", at + 1)


def _is_address(text: str, start: int, domain: re.Match[str]) -> bool:
    """Whether it is an address of a person or office, not of a repository, a server, a picture or a unit."""
    top = domain[0].rsplit(".", 1)[1]
    if not top.isalpha() or len(top) < 2 or top.lower() in _NOT_TOP:
        return False
    is_in_url = text[max(0, start - 3) : start] == "://" or (text[start - 1 : start] == ":" and "://" in text[max(0, start - 80) : start])
    is_repository = (
        text[domain.end() : domain.end() + 1] == ":"
        and text[domain.end() + 1 : domain.end() + 2].isalnum()
        and text.startswith("git@", start)
    )
    return not is_in_url and not is_repository


# --- telephone ----------------------------------------------------------------------------------------------------------------

_CODES = """1 20 211 212 213 216 218 220 221 222 223 224 225 226 227 228 229 230 231 232 233 234 235 236 237 238 239 240 241 242 243 244 245
    246 247 248 249 250 251 252 253 254 255 256 257 258 260 261 262 263 264 265 266 267 268 269 27 290 291 297 298 299 30 31 32 33 34 350
    351 352 353 354 355 356 357 358 359 36 370 371 372 373 374 375 376 377 378 380 381 382 383 385 386 387 389 39 40 41 420 421 423 43 44
    45 46 47 48 49 500 501 502 503 504 505 506 507 508 509 51 52 53 54 55 56 57 58 590 591 592 593 594 595 596 597 598 599 60 61 62 63 64
    65 66 670 672 673 674 675 676 677 678 679 680 681 682 683 685 686 687 688 689 690 691 692 7 800 808 81 82 84 850 852 853 855 856 86
    870 878 880 881 882 883 886 888 90 91 92 93 94 95 960 961 962 963 964 965 966 967 968 970 971 972 973 974 975 976 977 979 98 992 993
    994 995 996 998"""
_COUNTRY = frozenset(_CODES.split())
_GAP = r"[ .\-/()]{0,3}"
_ABROAD = re.compile(rf"(?<![\w+.])(?:\+|(?<!\d )(?<!\d-)00(?=[ \-]?[1-9])[ -]?)[1-9](?:{_GAP}\d){{6,14}}(?![\w]|[.,]\d)")
_AMERICAN = re.compile(
    r"(?<![\w+.$€£#/-])(?<!\d )(?:1[ .-])?(?:\([2-9]\d\d\) ?-?|[2-9]\d\d([ .-]))[2-9]\d\d(?(1)\1|[ .-])\d{4}(?![\w/]|[.,-]\d)"
)
_TRUNK = re.compile(
    r"(?<![\w+.$€£#/-])(?<!\d )(?:0[1-9]( |\.|-)\d\d(?:\1\d\d){3}|\(?0\d{2,5}\)?[ /-]\d{3,4}[ -]\d{3,4}|\(?0\d{3,5}\)?[ /-]\d{5,8}|0[1-9]\d? \d{3,4} \d{4})(?![\w/]|[.,-]\d)"
)
_NEAR = re.compile(
    r"(?<!\\)\b(?:phone|telephone|tel|cell|cellphone|mobile|landline|whatsapp|fax|call|appelle|appeler|text|sms|dial|ring|reach|contact number|hotline|handy|telefon|telefono|teléfono"
    r"|téléphone|portable|móvil|my number|his number|her number|their number|our number|number is)\b[^\n;!?=()\"]{0,40}$"
)
_BARE_NUMBER = re.compile(r"(?<![\w+.$€£#/-])\(?\d(?:[ .\-/()]{0,2}\d){6,14}(?![\w/]|[.,-]\d)")
_OTHER = re.compile(
    r"\b(?:order|ticket|invoice|tracking|account|case|ref|reference|id|isbn|serial|part|item|model|version|build|zip|booking|bib|imei|row|iban)\b[^.;!?\n]{0,20}$"
)
_DATE = re.compile(r"(?:19|20)\d\d[-./ ]?[01]\d[-./ ]?[0-3]\d|[0-3]?\d[-./][01]?\d[-./](?:19|20)?\d\d")


def phones(view: View) -> Iterator[Candidate]:
    text, lower = view.text, view.lower
    for match in _ABROAD.finditer(text):
        digits = "".join(filter(str.isdigit, match[0])).removeprefix("00" if match[0][0] == "0" else "")
        is_plain = match[0][0] == "0" and match[0].isdigit()
        if 8 <= len(digits) <= 15 and any(digits[:n] in _COUNTRY for n in (1, 2, 3)) and not is_plain:
            yield Candidate(match.start(), match.end(), "phone", RANK + 1)
    for pattern in (_AMERICAN, _TRUNK):
        for match in pattern.finditer(text):
            size = sum(map(str.isdigit, match[0]))
            if 9 <= size <= 12 and not _OTHER.search(lower, max(0, match.start() - 40), match.start()) and not _DATE.match(match[0]):
                yield Candidate(match.start(), match.end(), "phone", RANK + 1)
    for match in _BARE_NUMBER.finditer(text):
        if _DATE.fullmatch(match[0]):
            continue
        window = max(0, match.start() - 56)
        if _NEAR.search(lower, window, match.start()) and not _OTHER.search(lower, max(0, match.start() - 32), match.start()):
            yield Candidate(match.start(), match.end(), "phone", RANK + 2)


# --- street addresses ---------------------------------------------------------------------------------------------------------

_STREETS = """Street St Road Rd Avenue Ave Lane Ln Drive Dr Boulevard Blvd Court Ct Way Place Pl Square Sq Terrace Ter Close Crescent Cres
    Parkway Pkwy Highway Hwy Circle Cir Trail Trl Gardens Gdns Grove Mews Row Walk Quay Alley Loop Plaza Broadway"""
_STREET = "|".join(_STREETS.split())
_NAME = r"(?:(?:St|Mt|Dr)\.? )?(?:[A-Z][A-Za-z'’]{1,24}|\d{1,3}(?:st|nd|rd|th)|[NSEW]\.?|[NS][EW])"
_TOWN = r"[A-Z][a-z][A-Za-z'’.]{0,23}(?: [A-Z][a-z][A-Za-z'’.]{0,23}){0,2}"
_POSTCODE = r"[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}"
_REST = (
    r"(?:,? (?:Apt|Apartment|Unit|Suite|Ste|Flat|Floor|#)\.? ?#?[A-Za-z0-9-]{1,6})?"
    rf"(?:,? (?:[NSEW]|[NS][EW])(?![A-Za-z]))?"
    rf"(?:, {_TOWN})?(?:,? (?:{_POSTCODE}|[A-Z]{{2}},? \d{{5}}(?:-\d{{4}})?|[A-Z]{{2}}(?![A-Za-z])))?(?:,? \d{{5}}(?:-\d{{4}})?(?!\d))?"
)
_POSTAL = re.compile(
    rf"(?:(?:Flat|Apt|Apartment|Unit|Suite)\.? ?[A-Za-z0-9-]{{1,5}},? )?(?<![\w$€£.,:/#-])\d{{1,5}}[A-Za-z]?(?:[-/]\d{{1,4}}[A-Za-z]?)?,? "
    rf"(?:{_NAME} ){{1,4}}?(?:{_STREET})\b\.?{_REST}"
)
_BOX = re.compile(rf"(?<!\w)P\.? ?O\.? Box \d{{1,6}}{_REST}")
_LOWER = re.compile(
    r"(?<![\w$€£.,:/#-])(\d{1,5}[a-z]? (?:[a-z]{3,20} ){1,2}(?:street|road|avenue|lane|boulevard|drive|crescent|close|terrace|st|rd|ave|ln|blvd))(?!\w)"
)
_LIVING = re.compile(r"\b(?:live|lives|living|address|ship|deliver|mail|moved|at|place|house|apartment|send)\b[^.;!?\n]{0,30}$")
_NO_NAMES = (
    """minutes minute hours miles mile blocks block feet metres meters km down up off on the of people cars years days across from along"""
)
_NO_NAME = frozenset(_NO_NAMES.split())
_YEARS = re.compile(r"(?:19|20)\d\d ")
_SINCE = re.compile(r"\b(?:in|since|of|by|until|the|from|top)\s$")


def addresses(view: View) -> Iterator[Candidate]:
    text = view.text
    for match in _POSTAL.finditer(text):
        is_year = _YEARS.match(match[0]) and _SINCE.search(view.lower, max(0, match.start() - 8), match.start())
        if not is_year and not match[0].endswith(FILL):
            yield Candidate(match.start(), match.end(), "postal_address", RANK + 3)
    for match in _BOX.finditer(text):
        yield Candidate(match.start(), match.end(), "postal_address", RANK + 3)
    for match in _LOWER.finditer(view.lower):
        if _NO_NAME.isdisjoint(match[1].split()) and _LIVING.search(view.lower, max(0, match.start() - 48), match.start()):
            yield Candidate(match.start(1), match.end(1), "postal_address", RANK + 4)
