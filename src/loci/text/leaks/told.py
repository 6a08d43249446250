"""Secrets that no form gives away, but the words before them do: assignments, headers, addresses with a password, plain speech."""

from __future__ import annotations

import re
from collections.abc import Iterator

from loci.text.leaks.folding import FILL, Candidate, View

KINDS = frozenset({"password", "pin", "card_code", "seed_phrase", "url_credentials", "bearer_token", "basic_auth", "generic_secret"})
RANK = 4

# --- values ---------------------------------------------------------------------------------------------------------------

_NO_VALUE_WORDS = """string str text bool boolean int null nil none true false undefined required optional password passwd passphrase
    passcode pwd secret token key value example placeholder redacted hidden masked removed omitted changed changeme wrong right correct
    incorrect invalid valid expired missing empty blank weak strong secure unsafe safe long short simple complex easy hard good bad
    great terrible stupid silly old new same different unique random here there below above attached set unset reset ready known
    unknown shared public private protected encrypted hashed stored saved lost stolen leaked compromised forgotten written kept
    needed necessary mandatory default temporary permanent still also just only really very too quite so not never always now then
    probably maybe definitely actually currently already almost enough something anything nothing everything someone somebody mine
    yours ours theirs this that these those what which where when why how who it its the a an my your our his her their is was be
    being case important visible rejected accepted denied refused blocked locked disabled enabled confirmed verified checked tested
    broken fine okay ok yes no like made used using fully about on in at to for of from with by as and or but if because hint manager
    policy field prompt input form page protection authentication basic bearer digest login user username name email tbd todo
    asterisks dots stars characters letters numbers digits words sent getting working supposed meant going impossible obvious
    sensitive insecure guessable memorable terrible awful nonsense gone out off up down over under between stolen"""
_NO_VALUES = frozenset(_NO_VALUE_WORDS.split())
_PLACEHOLDER = re.compile(
    r"[$<%{(\[/~.,]|\\|your|my_|the_|enter|insert|replace|xxx|\*\*|\.\.\.|https?:|example|placeholder|redacted|os\.|process\.|env\.|env\[|self\.|this\.|none|null|undefined|pbkdf2|\$2[aby]\$|\$argon|sha\d|bcrypt|scrypt",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"\"([^\"\n￼]{3,128})\"|'([^'\n￼]{3,128})'|`([^`\n￼]{3,128})`".replace("￼", FILL))
_BARE = re.compile(rf"[^\s\"'`<>;{FILL}]{{3,512}}")
_QUERY_END = re.compile(r"&[\w.-]{1,40}=|\\[nrt]|[,}\])]+(?=[\"']|$)")
_COUNTED = re.compile(
    r" ?(?:characters|chars|letters|digits|symbols|signs|words|long|years?|days?|hours?|minutes?|months?|times|of|per cent|percent|%)\b"
)
_SIGN = re.compile(r"[^A-Za-z'’.\-_]")
_INNER_CAPITAL = re.compile(r"[a-z][A-Z]|[A-Z]{2}[a-z]")
_CODE = re.compile(r"[A-Za-z_]\w*(?:(?:\.\w+|->\w+|::\w+)+$|(?:\.\w+)*[\[(])")


def _value(view: View, at: int) -> tuple[int, int, bool] | None:
    """The span of the value that stands at `at`, and whether it is quoted."""
    quoted = _QUOTED.match(view.text, at)
    if quoted:
        group = quoted.lastindex or 0
        return quoted.start(group), quoted.end(group), True
    bare = _BARE.match(view.text, at)
    if bare is None:
        return None
    cut = _QUERY_END.search(view.text, at + 1, bare.end())
    end = cut.start() if cut else bare.end()
    while end > at and view.text[end - 1] in ".,:;?)]}":
        end -= 1
    return (at, end, False) if end - at >= 3 else None


def _is_strong(value: str) -> bool:
    """Whether a word is no word of a language: with a digit or sign in it, or capitals inside."""
    return bool(_SIGN.search(value) or _INNER_CAPITAL.search(value))


def _is_placeholder(value: str) -> bool:
    low = value.lower()
    is_named = ("pass" in low or "secret" in low) and low.replace("_", "").isalpha()  # "mysecretpassword": it says itself what it is
    return low in _NO_VALUES or is_named or len(set(value)) < 3 or _PLACEHOLDER.match(value) is not None


_KEY = re.compile(r"[\w\-+/=.~:%|!@#$^*]{16,512}")
_HEXADECIMAL = re.compile(r"[0-9a-fA-F-]{28,}")
_PIECE = re.compile(r"[A-Za-z0-9]{8,}")
_RISE = re.compile(r"(?<=[a-z])[A-Z]")
_TURN = re.compile(r"(?<=[A-Za-z])\d|(?<=\d)[A-Za-z]")


def _is_random(value: str) -> bool:
    """Whether a value has the look of a generated key: long, of many different characters, digits strewn among letters."""
    if not _KEY.fullmatch(value) or len(set(value)) < 8 or _CODE.match(value) or "://" in value or _PLACEHOLDER.match(value):
        return False
    digits = sum(map(value.count, "0123456789"))
    if digits == len(value) or digits < (1 if len(_RISE.findall(value)) * 5 >= len(value) else 2):
        return False
    if _HEXADECIMAL.fullmatch(value):
        return True
    for piece in _PIECE.findall(value):
        is_mixed = piece.lower() != piece != piece.upper()
        if len(_TURN.findall(piece)) >= (1 if is_mixed and len(piece) >= 16 else 3):
            return True
    return False


# --- passwords ------------------------------------------------------------------------------------------------------------

_WORD = re.compile(
    r"(?:pass(?:words?|wort|phrase|code|wd)|(?<![a-z])pass(?![a-z])|pwd|(?<![a-z])pw(?![a-z])|kennwort|contrase(?:ñ|n)a|(?<![a-z])senha|mot de passe|heslo|wachtwoord|lösenord)"
)
_TIGHT = re.compile(r"[\"'\])]{0,3}(=)")
_ASSIGNED = re.compile(r"[\"'\])]{0,3}[ \t]{0,4}(?::=|=>|->|=(?!=)|:(?![:/])|\s?value=)\s{0,4}")
_SAID = re.compile(
    r"(?: (?:for|to|of|on|at|in|from)(?: [\w'.@/-]{1,30}){1,5}?)?"
    r"(?:'s| (?:is|was|will be|ist|lautet|war|es|est|era|e|é|è|become|becomes)(?: now| still| just| simply| literally)?)(?: ?[:=] ?| )(?=\S)"
)
_CHANGED = re.compile(r"\b(?:chang|set|reset|updat|switch)\w{0,4}\b[^.;!?\n]{0,40}$")
_TO = re.compile(r"(?: (?:for|of|on|at)(?: [\w'.@-]{1,30}){1,4}?)? (?:to|as) (?=\S)")
_TURNED = re.compile(
    r"(?: (?:for|of|on|at)(?: [\w'.@-]{1,30}){1,4}?)?(?: (?:has been|was|is|got|gets))?(?: just| now)? (?:changed|set|reset|updated|switched) (?:to|as) (?=\S)"
)
_LABELLED = re.compile(r" (?:for|of|on|at)(?: [\w'.@/-]{1,30}){1,5}? ?: ?(?=\S)")
_BESIDE = re.compile(r"[ \t]{1,3}(?=\S)")
_ENDS = re.compile(r"[.,;:!?)\"']{0,3}(?:\s*$|\s*\n|[.,;!?)](?:\s|$))")
_PHRASE_WORDS = re.compile(r"[a-z]{3,12}(?: [a-z]{3,12}){2,9}(?=\s*(?:[.,;!?\n\"']|$))")
_BEFORE = re.compile(r"([\"'`])([^\s\"'`]{4,64})\1 (?:as|is|was) (?:(?:my|the|our|his|her|their|your|a) )?(?:[\w-]{1,20} ){0,2}$")


def _passwords(view: View) -> Iterator[Candidate]:
    for word in _WORD.finditer(view.lower):
        end = word.end()
        span = _assigned(view, end) or _said(view, word) or _beside(view, word)
        if span:
            yield Candidate(*span, "password", RANK)
        before = _BEFORE.search(view.text, max(0, word.start() - 160), word.start())
        if before and not _is_placeholder(before[2]):
            yield Candidate(before.start(2), before.end(2), "password", RANK)


def _assigned(view: View, at: int) -> tuple[int, int] | None:
    """The value after `password =` or `password:`; code that only handles passwords is left alone."""
    sign = _ASSIGNED.match(view.text, at)
    value = _value(view, sign.end()) if sign else None
    if sign is None or value is None:
        return None
    start, end, is_quoted = value
    said = view.text[start:end]
    if _is_placeholder(said):
        return None
    following = view.text[end : end + 1]
    if is_quoted:
        return (start, end) if " " not in said else None
    if following in ("(", "[") or _CODE.match(said):
        return None
    if _is_strong(said) and not _COUNTED.match(view.lower, end):
        return None if said.isidentifier() and "_" in said and said.islower() and not any(map(str.isdigit, said)) else (start, end)
    is_tight = _TIGHT.match(view.text, at) is not None and sign.end() - at <= 2
    if is_tight:
        return (start, end) if len(said) >= 4 and following not in (")", ",") and "_" not in said and "pass" not in said.lower() else None
    is_alone = _ENDS.match(view.text, end) is not None and ":" in sign[0]
    return (start, end) if is_alone and len(said) >= 5 and said.isalpha() and not said.endswith(("ed", "ing", "ly")) else None


def _said(view: View, word: re.Match[str]) -> tuple[int, int] | None:
    """What somebody tells after "my password is"; a remark about a password ("is wrong") is none."""
    told = _TURNED.match(view.lower, word.end()) or _SAID.match(view.lower, word.end())
    if told is None and _CHANGED.search(view.lower, max(0, word.start() - 60), word.start()):
        told = _TO.match(view.lower, word.end())
    is_label = told is None
    told = told or _LABELLED.match(view.lower, word.end())
    value = _value(view, told.end()) if told else None
    if told is None or value is None:
        return None
    start, end, is_quoted = value
    said = view.text[start:end]
    if is_quoted:
        return None if _is_placeholder(said) else (start, end)
    phrase = _PHRASE_WORDS.match(view.text, start) if word[0] == "passphrase" else None
    if phrase and phrase[0].split()[0] not in _NO_VALUES:
        return phrase.span()
    if _is_placeholder(said) or _COUNTED.match(view.lower, end) or len(said) < 4:
        return None
    if _is_strong(said):
        return start, end
    if is_label:  # what stands behind a label may be a remark
        return None
    is_word = said.endswith(("ed", "ing", "ly", "able", "ible", "ful", "less")) or not said.isalpha() or len(said) < 5
    return (start, end) if not is_word and _ENDS.match(view.text, end) else None


def _beside(view: View, word: re.Match[str]) -> tuple[int, int] | None:
    """What stands right after the word, if it is no word itself: "password Cupcake2020", "--password toor1"."""
    gap = _BESIDE.match(view.text, word.end())
    value = _value(view, gap.end()) if gap else None
    if value is None:
        return None
    start, end, is_quoted = value
    said = view.text[start:end]
    has_both = any(map(str.isdigit, said)) and any(map(str.isalpha, said))
    if (
        is_quoted
        or word[0] in ("pass", "pw")
        or "_" in said
        or len(said) < 6
        or not has_both
        or _is_placeholder(said)
        or "(" in said
        or "=" in said
        or _CODE.match(said)
    ):
        return None
    return None if re.fullmatch(r"\d+[a-z]{1,4}|v?\d+[.-][\w.-]+", said) or _COUNTED.match(view.lower, end) else (start, end)


# --- keys and tokens ------------------------------------------------------------------------------------------------------

_NAME = re.compile(r"(?:key|token|secret|credentials?|creds|auth|apikey|salt|dsn)(?![a-z])")
_LINK = re.compile(
    r"[\"'\])]{0,3}(?:[ \t]{0,4}(?::=|=>|->|=|:|,)\s{0,4}|(?: (?:for|to|of|on)(?: [\w'.-]{1,30}){1,5}?)? (?:is|was|ist|est|es|to) ?:? ?| {1,3})(?=[^\s=>])"
)
_NO_SECRET = re.compile(
    r"(?:public|pub|cache|primary|foreign|sort|partition|idempotency|object|index|row|dedup\w{0,8}|routing|lookup|host|node|game|etag|site|client_id|anon|publishable)[ _.-]?$"
)
_NAMED = 100  # characters from a name to its value
_AWS = re.compile(r"[A-Za-z0-9+/]{40}")
_VENDORS = {
    "datadog": "datadog_key", "dd_a": "datadog_key", "fastly": "fastly_key", "algolia": "algolia_key", "cloudflare": "cloudflare_key",
    "cf_api": "cloudflare_key", "heroku": "heroku_key", "twilio": "twilio_token", "okta": "okta_token", "azure": "azure_key",
    "dropbox": "dropbox_token", "discord": "discord_secret", "twitter": "twitter_secret", "facebook": "facebook_secret", "paypal": "paypal_secret",
    "sentry": "sentry_token", "zendesk": "zendesk_token", "wandb": "wandb_key", "snyk": "snyk_token", "codecov": "codecov_token",
    "circleci": "circleci_token", "travis": "travis_token", "mistral": "mistral_key", "cohere": "cohere_key", "launchdarkly": "launchdarkly_key",
    "intercom": "intercom_token", "plaid": "plaid_secret", "coinbase": "coinbase_key", "trello": "trello_key", "jira": "atlassian_token",
    "vercel": "vercel_token", "netlify": "netlify_token", "rapidapi": "rapidapi_key", "mailgun": "mailgun_key", "stripe": "stripe_key",
}  # fmt: skip
VENDOR_KINDS = frozenset(_VENDORS.values()) | {"aws_secret_key"}


def keys(view: View) -> Iterator[Candidate]:
    """Generated keys after a word that says so: `api_key = ...`, "my datadog key is ...", `X-Auth-Token: ...`."""
    lower = view.lower
    last = 0
    for first, stop in view.runs:
        for name in _NAME.finditer(lower, max(last, first - _NAMED), stop):
            yield from _key(view, name)
        last = stop


def _key(view: View, name: re.Match[str]) -> Iterator[Candidate]:
    link = _LINK.match(view.lower, name.end())
    value = _value(view, link.end()) if link else None
    if value is None:
        return
    said = view.text[value[0] : value[1]]
    before = view.lower[max(0, name.start() - 40) : name.start()]
    if _is_random(said) and not _NO_SECRET.search(before) and said[:4] not in ("sha2", "sha5", "sha3"):
        yield Candidate(value[0], value[1], _kind(before + name[0], said), RANK + 1)


def _kind(name: str, said: str) -> str:
    """Whose key it is, by the words before it."""
    if (
        ("secret" in name or "aws" in name)
        and _AWS.fullmatch(said)
        and ("aws" in name or "secretaccess" in name or "secret_access" in name)
    ):
        return "aws_secret_key"
    latest = max(((name.rfind(vendor), kind) for vendor, kind in _VENDORS.items()), default=(-1, ""))
    return latest[1] if latest[0] >= 0 else "generic_secret"


# --- headers and addresses --------------------------------------------------------------------------------------------------

_BEARER = re.compile(r"(?<![a-z])bearer[ \t:]{1,3}([a-z0-9][a-z0-9_.~+/=:|-]{15,4095})")
_BASIC = re.compile(r"(?<![a-z])basic[ \t]{1,3}([a-z0-9+/]{8,1024}={0,2})(?![a-z0-9+/])")
_USERINFO = re.compile(rf"[^\s:@/\"'<>{FILL}]{{0,128}}:([^\s/\"'<>{FILL}]{{1,256}})@(?=[\w\[.-])")
_ALONE = re.compile(rf"([^\s:@/\"'<>{FILL}]{{16,256}})@(?=[\w\[.-])")


def _headers(view: View) -> Iterator[Candidate]:
    for bearer in _BEARER.finditer(view.lower):
        said = view.text[bearer.start(1) : bearer.end(1)].rstrip(".:")
        if _is_random(said):
            yield Candidate(bearer.start(1), bearer.start(1) + len(said), "bearer_token", RANK - 1)
    for basic in _BASIC.finditer(view.lower):
        said = view.text[basic.start(1) : basic.end(1)]
        is_header = "authorization" in view.lower[max(0, basic.start() - 24) : basic.start()]
        if is_header or (len(said) >= 12 and _is_strong(said) and any(map(str.isdigit, said))):
            yield Candidate(basic.start(1), basic.end(1), "basic_auth", RANK - 1)


def _credentials(view: View) -> Iterator[Candidate]:
    """Passwords in addresses: scheme://user:password@host. The user and the host stay."""
    at = view.text.find("://")
    while at >= 0:
        info = _USERINFO.match(view.text, at + 3) or _ALONE.match(view.text, at + 3)
        is_web = view.lower.endswith(("http", "https"), 0, at)
        if info and not _is_placeholder(info[1]) and (info.re is _USERINFO or (is_web and _is_random(info[1]))):
            yield Candidate(info.start(1), info.end(1), "url_credentials", RANK - 1)
        at = view.text.find("://", at + 3)


# --- numbers and phrases --------------------------------------------------------------------------------------------------

_PIN = re.compile(
    r"(?<![a-z])pin(?: ?(?:code|number|no\.?|nr\.?))?(?: (?:for|to|of|on)(?: [\w'-]{1,20}){1,4}?)?(?:\"?\s?[:=]\s?\"?|'s | (?:is|was|ist|now|set to)(?: now)? ?:? ?| )"
    r"(\d{4,8})(?![\d\w]|[-./,:]\d)"
)
_CARD_CODE = re.compile(
    r"(?<![a-z])(?:cvv2?|cvc2?|csc|security code)(?: ?(?:code|number))?(?: on (?:it|the back))?(?:\"?\s?[:=]\s?\"?| is | )(\d{3,4})(?![\d\w])"
)
_SEED = re.compile(
    r"(?:seed|recovery|mnemonic|backup|wallet)[ -](?:phrase|words?|seed)(?: (?:for|to|of|on)(?: [\w'-]{1,20}){1,4}?)?"
    r"(?:'s|\"?\s?[:=]| is| was| are)?[\s:\"'-]{1,4}((?:(?:\d{1,2}[.)] ?)?[a-z]{3,8}[ ,\n]{1,2}){11,23}(?:\d{1,2}[.)] ?)?[a-z]{3,8})(?![a-z])"
)


def _spoken(view: View) -> Iterator[Candidate]:
    lower = view.lower
    if "pin" in lower:
        for pin in _PIN.finditer(lower):
            yield Candidate(pin.start(1), pin.end(1), "pin", RANK)
    if "cv" in lower or "security code" in lower or "csc" in lower:
        for code in _CARD_CODE.finditer(lower):
            yield Candidate(code.start(1), code.end(1), "card_code", RANK)
    if _names_seed(lower):
        for seed in _SEED.finditer(lower):
            yield Candidate(seed.start(1), seed.end(1), "seed_phrase", RANK)


def _names_seed(lower: str) -> bool:
    return "seed" in lower or "phrase" in lower or " words" in lower or "mnemonic" in lower


_NUMBER_CUES = ("pin", "cvv", "cvc", "csc", "security code")


def has_number_cue(lower: str) -> bool:
    """Whether a word that goes before a PIN stands in the text."""
    return any(cue in lower for cue in _NUMBER_CUES)


_FIRST = ("pass", "pw", "kennwort", "contrase", "senha", "heslo", "wachtwoord", "lösenord", "phrase", "mnemonic")
_CUE = re.compile(
    r"pass(?:w|phrase|code)|(?<![a-z])pass(?:[ \"']{0,3}[:=]| is)|pwd|(?<![a-z])pw(?![a-z])|passe|kennwort|contrase|senha|heslo|wachtwoord|lösenord"
    r"|(?:phrase|seed|words?)[ \"']{0,3}(?:[:=]|is|for|\n)|mnemonic"
)


def has_cue(lower: str) -> bool:
    """Whether a word that goes before a password stands in the text."""
    for part in _FIRST:
        if part in lower:
            return _CUE.search(lower) is not None
    return False


def may_tell(lower: str) -> bool:
    """Whether `secrets` may find something in the text that needs neither a long run nor digits."""
    return has_cue(lower) or _names_seed(lower) or "basic" in lower or ("://" in lower and "@" in lower)


def secrets(view: View) -> Iterator[Candidate]:
    """What is told to be a secret, whatever it looks like."""
    lower = view.lower
    if has_cue(lower):
        yield from _passwords(view)
    yield from _spoken(view)
    if "://" in lower and "@" in lower:
        yield from _credentials(view)
    if "bearer" in lower or "basic" in lower:
        yield from _headers(view)
