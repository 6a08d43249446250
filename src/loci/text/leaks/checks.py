"""Check digits: of cards, bank accounts and national numbers. Each takes the bare characters, without spaces or signs."""

from __future__ import annotations

_TWICE = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def is_luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B: every second digit from the right counts twice."""
    return (sum(int(d) for d in digits[-1::-2]) + sum(_TWICE[int(d)] for d in digits[-2::-2])) % 10 == 0


# First digits and lengths of the card schemes (ISO/IEC 7812 ranges as the schemes publish them).
_SCHEMES = (
    (4, 4, (13, 16, 19)), (51, 55, (16,)), (2221, 2720, (16,)), (34, 34, (15,)), (37, 37, (15,)), (6011, 6011, (16, 19)),
    (644, 649, (16, 19)), (65, 65, (16, 19)), (3528, 3589, (16, 19)), (300, 305, (14,)), (36, 36, (14,)), (38, 39, (14,)),
    (62, 62, (16, 17, 18, 19)), (5018, 5018, (16,)), (5020, 5020, (16,)), (5038, 5038, (16,)), (6304, 6304, (16, 18, 19)), (6759, 6763, (16, 18, 19)),
    (2200, 2204, (16,)), (9792, 9792, (16,)),
)  # fmt: skip
_OPENINGS = [(str(first), str(last), lengths) for first, last, lengths in _SCHEMES]


def is_card(digits: str) -> bool:
    """Whether the number is one that a card scheme gives out."""
    known = any(len(digits) in lengths and first <= digits[: len(first)] <= last for first, last, lengths in _OPENINGS)
    return known and len(set(digits)) > 1 and is_luhn(digits)


# Length of an IBAN by country (SWIFT IBAN registry).
_IBANS = """AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 ES24 FI18
    FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21
    LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19
    SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30"""
IBAN_LENGTHS = {entry[:2]: int(entry[2:]) for entry in _IBANS.split()}


def is_iban(iban: str) -> bool:
    """ISO 13616: the length of its country, and 1 modulo 97."""
    if len(iban) != IBAN_LENGTHS.get(iban[:2]) or not iban[2:4].isdigit():
        return False
    return int("".join(str(int(char, 36)) for char in iban[4:] + iban[:4])) % 97 == 1


def is_ssn(digits: str) -> bool:
    """A United States social security number: it has no check digit, but numbers that are never given out."""
    return len(digits) == 9 and digits[:3] not in ("000", "666") and digits[0] != "9" and digits[3:5] != "00" and digits[5:] != "0000"


def is_nino(code: str) -> bool:
    """A United Kingdom national insurance number: prefixes that are given out, and a suffix A to D."""
    return code[:2] not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ")


def is_steuer_id(digits: str) -> bool:
    """A German tax identification number: one digit of the first ten stands twice or three times; ISO 7064 mod 11, 10."""
    counts = sorted(digits[:10].count(d) for d in set(digits[:10]))
    if len(digits) != 11 or digits[0] == "0" or counts[-1] not in (2, 3) or counts[-2] > 1:
        return False
    check = 10
    for digit in digits[:10]:
        check = ((int(digit) + check) % 10 or 10) * 2 % 11
    return (11 - check) % 10 == int(digits[10])


def is_nir(code: str) -> bool:
    """A French social security number: its last two digits are what is missing to 97. Corsica writes 2A and 2B."""
    number = code.upper().replace("2A", "19").replace("2B", "18")
    if len(code) != 15 or not number.isdigit() or number[0] not in "12378":
        return False
    return 97 - int(number[:13]) % 97 == int(number[13:])


_DNI = "TRWAGMYFPDXBNJZSQVHLCKE"


def is_dni(code: str) -> bool:
    """A Spanish DNI or NIE: its letter is told by the number modulo 23; X, Y, Z of a NIE count as 0, 1, 2."""
    number = code[:-1].translate({ord("X"): "0", ord("Y"): "1", ord("Z"): "2"})
    return len(code) == 9 and number.isdigit() and _DNI[int(number) % 23] == code[-1]


_ODD = dict(zip("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23), strict=True))  # fmt: skip
_EVEN = {char: int(char, 36) - (0 if char.isdigit() else 10) for char in _ODD}


def is_codice_fiscale(code: str) -> bool:
    """An Italian codice fiscale: the letter at its end is told by the places of the other fifteen characters."""
    total = sum(_ODD[char] for char in code[0:15:2]) + sum(_EVEN[char] for char in code[1:15:2])
    return chr(ord("A") + total % 26) == code[15]


def is_bsn(digits: str) -> bool:
    """A Dutch BSN: the weighted sum of its nine digits (9 to 2, the last -1) is a multiple of 11."""
    if len(digits) != 9 or int(digits) == 0:
        return False
    return sum(int(d) * w for d, w in zip(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1), strict=True)) % 11 == 0


def is_pesel(digits: str) -> bool:
    """A Polish PESEL: weights 1, 3, 7, 9, and a day that a month can have."""
    if len(digits) != 11 or not (1 <= int(digits[2:4]) % 20 <= 12 and 1 <= int(digits[4:6]) <= 31):
        return False
    return sum(int(d) * w for d, w in zip(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1), strict=True)) % 10 == 0


def is_cpf(digits: str) -> bool:
    """A Brazilian CPF: two check digits, each modulo 11."""
    if len(digits) != 11 or len(set(digits)) == 1:
        return False
    for size in (9, 10):
        total = sum(int(d) * w for d, w in zip(digits[:size], range(size + 1, 1, -1), strict=True))
        if total * 10 % 11 % 10 != int(digits[size]):
            return False
    return True


_DIHEDRAL = [[(i + j) % 5 + 5 * (j > 4) if i < 5 else (i - j) % 5 + 5 * (j < 5) for j in range(10)] for i in range(10)]
_PERMUTED = [list(range(10)), [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]]
for _ in range(6):
    _PERMUTED.append([_PERMUTED[1][digit] for digit in _PERMUTED[-1]])


def is_aadhaar(digits: str) -> bool:
    """An Indian Aadhaar number: the scheme of Verhoeff; it starts with 2 or more and is no palindrome."""
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = _DIHEDRAL[check][_PERMUTED[place % 8][int(digit)]]
    return len(digits) == 12 and digits[0] > "1" and check == 0 and digits != digits[::-1]


def is_personnummer(digits: str) -> bool:
    """A Swedish personnummer, of ten or twelve digits: a date (a coordination number has 60 days more) and Luhn."""
    short = digits[-10:]
    return len(digits) in (10, 12) and 1 <= int(short[2:4]) <= 12 and 1 <= int(short[4:6]) % 60 <= 31 and is_luhn(short)


def is_sin(digits: str) -> bool:
    """A Canadian social insurance number: Luhn, and never 0 or 8 first."""
    return len(digits) == 9 and digits[0] not in "08" and is_luhn(digits)
