"""Facts told with a noun: "my new number is ...", "Rex is our dog", "we moved the wedding to ...", "Anna's landlord is ..."."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from loci.text.wording.by_verb import LONG_AGO, NOW, blocked
from loci.text.wording.listing import goes_on
from loci.text.wording.nouns import ATTRIBUTES, IDENTIFIERS, SECRETS, Noun, noun
from loci.text.wording.origins import is_origin, takes_origin
from loci.text.wording.subjects import OWNER, owner, read_left
from loci.text.wording.telling import Arity, Cue, Fact, Sentence, Tense, dated
from loci.text.wording.values import Sort, address, is_job, looks, number, phrase, plain, when
from loci.text.wording.verbs import ADDRESS, BREED, EMAIL, KIN, NAME, PARTNERS, PHONE, SEVERAL_NAMES, SPECIES_OF, UPPER
from loci.text.wording.words import wordset

_ADVERBS = (
    r"(?:\s+(?:now|still|currently|actually|really|always|called|named|probably|not"
    r"|no\s+longer|going\s+to\s+be|on|in|at|just|only|simply))*"
)
_MARK = r"\[\w{3,32}\s[0-9a-f]{8}\]"  # what a masked secret has become; the same secret has the same
_VALUE = rf"(?P<v>{_MARK}|\d{{1,3}}(?:,\d{{3}})+\b|{EMAIL}|{PHONE}|[\"“][^\"”]{{1,60}}[\"”]|(?:an?\s)?{NAME}|[^\s,;:!?()\"][^,;!?()\"\n]{{0,60}})"
_MINE = r"(?P<mine>\b(?:[Mm]y|[Oo]ur))\s+"
_OWNED = rf"(?:(?:{OWNER})'s?\s+|{_MINE}|(?P<the>\b[Tt]he)\s+)"
_NP = r"(?P<np>(?:(?!(?:my|our|the)\s)[\w'/-]+\s){0,3}?(?!(?:my|our|the)\s)[\w'/-]*\w)"
_BE = r"\s+(?:is|are|was|were|used\s+to\s+be|became|has\s+become|has\s+been|will\s+be|should\s+be|should\s+read|isn't|wasn't)\b"
_COPULA = rf"""(?P<cop>{_BE}
  | 's\b(?!\s+(?:[\w'-]+\s+){{0,3}}(?:is|was|used|has|are)\b)
  | \s*[:=]
  | \s+(?:has\s+|have\s+|just\s+)*(?:changed(?:\s+to\b|:)|become\b|became\b))"""
_APPOSITE = rf"(?P<np>(?:(?:new|old|little|big|late|former|ex)[\s-])?(?:(?:{BREED})s?|{PARTNERS}|landlord|landlady|boss))\b"
_NOT_VALUES = r"(?!(?i:i|we|you|i'm|my|our|this|that|it|he|she|what|which|here|there|who|where|one)\b)"
_OPENING = r"(?:^|[,;:.!]\s+|\b(?:and|but|so|know|that|say|said|think)\s+)"

_IS = re.compile(rf"(?x) {_OWNED}{_NP}{_COPULA}(?P<adv>{_ADVERBS})\s+(?:an?\s+|the\s+)?{_VALUE}")
_NOW_IT_IS = re.compile(
    rf"""(?x) {_OWNED}{_NP}\s+(?:used\s+to\s+be|was|were)\s+[^,;:.!?\n]{{1,60}}?(?:[,;]\s*(?:and\s+|but\s+)?|\s+(?:and|but)\s+)
    (?:(?:now|nowadays|these\s+days|today),?\s+(?:it's|it\s+is)|(?:it's|it\s+is)\s+(?:now|actually\s+now))\s+(?:called\s+|on\s+)?{_VALUE}"""
)
_OF = re.compile(
    rf"""(?x) \b[Tt]he\s+(?P<np>name|code|password|pin|PIN|key|number|address|combination|date)\s+(?:of|for|to)\s+
    (?:(?:{OWNER})|(?P<mine>[Mm]y|[Oo]ur|[Tt]he)\s+(?P<thing>(?:[\w'-]+\s){{0,2}}?[\w'-]+))
    (?P<cop>\s+(?:is|was)\b)(?P<adv>{_ADVERBS})\s+{_VALUE}"""
)
_REVERSE = re.compile(
    rf"""(?x) {_OPENING}{_NOT_VALUES}(?P<v>{NAME}|\w[\w-]*(?:\s[\w-]+){{0,2}}?)(?P<cop>{_BE})(?P<adv>{_ADVERBS})\s+
    {_OWNED}(?P<np>(?:[\w'-]+\s){{0,3}}?[\w'-]+)(?=\W*$|\s*[,.;!?]|\s+(?:now|these|again|and|but|of\s+all|any)\b)"""
)
_CHANGED = re.compile(
    rf"(?x) \b(?:changed|renamed|switched|updated|reset|set|(?:[Uu]pdate|[Cc]hange)(?=\s+(?:my|our)\s(?:\w+\s)?(?:phone|mobile|number|e-?mail|address|birthday|name|surname|pin|PIN|password|job|title|employer)\b))\s+{_OWNED}{_NP}\s+(?:from\s+\S+\s+)?(?:to|into)\s+{_VALUE}"
)
_HAS_NEW = re.compile(
    rf"""(?x) \b(?:have|got|gotten|with|has)\s+an?\s+new\s+(?P<np>(?:[\w'-]+\s){{0,2}}?[\w'-]+?)\s*
    (?:[:,—-]|\bis\b|\bcalled\b|\bnamed\b)\s*(?:it's\s+|it\s+is\s+|called\s+|named\s+)?{_VALUE}"""
)
_WRONG = r"wrong|incorrect|mistyped|misspell?ed|misspelt|a\s+typo|a\s+mistake"
_OUTDATED = r"outdated|out\s+of\s+date|old|obsolete"
_MENDED = re.compile(
    rf"""(?x) {_OWNED}{_NP}(?:\s+(?:that\s+)?I\s+(?:gave|told|sent)\s+you)?(?:\s+(?:is|was|are|were)\s+(?:(?:all|actually|completely|now)\s+)?(?:{_WRONG}|(?P<outdated>{_OUTDATED}))
      |\s+(?:is\s+not|was\s+not|isn't|wasn't)\s+(?:right|correct|(?P<not_new>up\s+to\s+date)))\b[\s,;.:—–-]*(?:and\s+|but\s+)?
    (?i:(?:(?:it|that|this)\s+)?(?:should|ought\s+to|must)\s+(?:be|read)|it's|it\s+is
      |the\s+(?:right|correct|new|real|actual)\s+(?:one|number|address|name|date|value)\s+is)\s+(?:now\s+|actually\s+|on\s+)*{_VALUE}"""
)
_APPOSED = re.compile(rf"(?x) (?:{_MINE}|(?:{OWNER})'s\s+){_APPOSITE}\s*,?\s+(?P<v>{NAME})")
_APPOSED_AFTER = re.compile(rf"(?x) (?P<v>{NAME}),\s+{_MINE}{_APPOSITE}")
_ANAPHOR = re.compile(
    rf"""(?x) (?i:\b(?:it's|it\sis|its\sname\sis|(?:he|she)'s\s(?:now\s)?called|(?:he|she)\sis\s(?:now\s)?called|h(?:is|er)\sname\sis
      |(?:called|named)\s(?:her|him|it)))\s+
    (?:now\s+|called\s+|on\s+)?{_VALUE}"""
)
_MENTION = re.compile(
    rf"""(?x) \b(?:(?P<mine>[Mm]y|[Oo]ur)|[Tt]he|an?)\s+
    (?P<np>(?:new\s)?(?:[\w'-]+\s)?(?:number|phone|e-?mail|address|password|code|pin|PIN|birthday|username|{BREED}|car|job))\b"""
)
_ANYBODY = re.compile(rf"(?x) {OWNER}")
_PRONOUN = re.compile(r"(?i)\b(?:he|she|they|you)\b")
_VERB_BEFORE = re.compile(r"[a-z']+\s+(?:an?\s+new\s+|new\s+)?\Z")
_ADDRESS = re.compile(ADDRESS)
_PLACED = frozenset(["residence", "attr/hometown", "residence/address"])  # what may be "in Porto"
_ACTING = wordset("band singer artist group team player club musician rapper dj author writer actor actress director composer painter")
_DOING = re.compile(r"(?:back|on)\b|[a-z]+ing\b")
_ONLY = frozenset(["just", "only", "simply"])
_ARTICLE = re.compile(r"\ban?\s+\Z")
_NO_VALUE = re.compile(rf"(?i)(?:{_WRONG}|typo|mistake|{_OUTDATED}|right|correct|up\s+to\s+date)\b")
_NEWCOMER = re.compile(r"(?i)new\s(?!name)")  # "our new dog is Bo": a further one; "our dog's new name is Bo": the same
_RENEWED = re.compile(r"(?i)\b(?:new|now|changed|renamed|switched|rename)\b")
_PREPOSITION = re.compile(r"(?i)\b(?:in|on|of|with|for|at|to|from|about|by|near|than|as|around|into|like)\s+\Z")
_APPOSABLE = frozenset(
    [*SPECIES_OF, *(f"{species}s" for species in SPECIES_OF), *PARTNERS.split("|"), "fiance", "fiancee", "landlord", "landlady", "boss"]
)
_UNOWNED = IDENTIFIERS | frozenset([*SPECIES_OF, "date", "number"])
_COPULAS = wordset("should is are was were used been will isn wasn s changed become became")
_CALLED = re.compile(r"\b(?:called|named)\b")
_ENDS = re.compile(
    r"\W*$|\s*[.,;!)]|\s+(?:and|but|now|so|who|which|these|because|from|since|by|at|instead|again|not|is|was|used|has|became)\b"
)
_KIN = frozenset(KIN)
_DIETS = wordset("""vegan vegetarian pescatarian keto paleo gluten-free dairy-free omnivore plant-based halal kosher low-carb""")


_GIVEN_WRONG = re.compile(
    rf"""(?x) \b(?:the|a)\s+wrong\s+(?P<np>(?:phone|mobile|house|work|office)?\s?(?:number|address|e-?mail|name|birthday|code|password|pin|PIN))\b(?:\s+(?:for|of)\s+(?:{OWNER}))?[\s,;:.—–-]*(?:and\s+|but\s+)?
    (?i:(?:(?:it|that|this)\s+)?(?:should|must)\s+(?:be|read)|it's|it\s+is|the\s+(?:right|correct)\s+(?:one|number|address)\s+is|mine\s+is)\s+(?:actually\s+)?{_VALUE}"""
)
_MENDED_MINE = re.compile(
    rf"""(?x) \b(?i:correct|(?:made|make)\s+a\s+(?:typo|mistake)\s+(?:in|about|with)|(?:was|am)\s+(?:mistaken|wrong)\s+about|got|had|mistyped|misspelled|misspelt)\s+
    (?:(?:{OWNER})'s?\s+|{_MINE}){_NP}(?:\s+wrong)?,\s+(?:and\s+|but\s+)?(?i:(?:officially\s+|actually\s+)?(?:it|that|s?he)(?:'s|\s+is|\s+should\s+be|\s+must\s+be)(?:\s+called|\s+actually|\s+really)*)\s+{_VALUE}"""
)
_MOVED = re.compile(r"\b(?:I|[Ww]e)(?:'ve|\shave)?\s(?:just\s|finally\s)?moved\b")
_MENDS = frozenset(["should", "it", "right", "correct", "new", "real", "actual", "ought", "must", "he", "she", "mine"])
# what becomes of a thing and where it is, and, of a word alone, how it is: neither says which it is
_STATES = wordset(
    """closed shut reopened gone full empty packed crowded booked sold broken lost stolen missing dead ruined destroyed damaged finished ended done cancelled
    canceled delayed discontinued renovated changed overrated underrated available unavailable getting going being becoming closing opening moving coming
    having about around near nearby far away back next across behind beside between opposite under out off over too so always never already still also
    probably maybe sometimes usually no none unknown undecided"""
)
_QUALITIES = wordset(
    """open great good nice fine ok okay amazing awesome wonderful fantastic excellent brilliant incredible terrible awful horrible bad worse worst better
    best cheap expensive pricey costly overpriced free busy quiet loud noisy boring fun funny sad easy hard difficult simple hot cold warm wet dirty
    clean new old big small huge tiny close late early delicious tasty yummy disgusting healthy unhealthy beautiful ugly pretty lovely perfect important
    useless useful stupid weird strange interesting rare common high low tight due short long alive sick ill on up down in here there today tomorrow
    tonight everything anything whatever yours mine"""
)
_PRONOUNS = frozenset(["it", "its", "he", "she", "his", "her", "him"])
WAKING = _UNOWNED | _PRONOUNS | {"my", "our", "s", "new"}


def by_noun(sentence: Sentence) -> Iterator[Fact]:
    """Yield the facts told with a noun of one's own, of a named person or of "the"."""
    text, start = sentence.text, sentence.start
    for pattern, how in _awake(sentence):
        for found in pattern.finditer(text, start):
            fact = _read(sentence, found, how)
            if fact is not None:
                yield dated(sentence, fact) if fact.sort != "date" else fact
    if not sentence.words.isdisjoint(_MENDS):
        yield from _mended(sentence)
    yield from _anaphors(sentence)


def _mended(sentence: Sentence) -> Iterator[Fact]:
    """Yield "my number is wrong, it should be ...", also where the two halves are two sentences."""
    begin = sentence.start + len(sentence.said) - len(sentence.said.lstrip())  # a word of this sentence, of which the fact is
    for found in (match for pattern in (_MENDED, _GIVEN_WRONG, _MENDED_MINE) for match in pattern.finditer(sentence.text)):
        if found.start("v") < sentence.start:
            continue
        is_change = found.re is _MENDED and (found["outdated"] or found["not_new"])
        fact = _read(sentence, found, "change" if is_change else "correction")
        if fact is not None:
            yield replace(fact, start=max(fact.start, begin))


def _awake(sentence: Sentence) -> Iterator[tuple[re.Pattern[str], str]]:
    """Yield the patterns whose words occur in the sentence, with how what they find is to be taken."""
    words = sentence.words
    is_owned = not words.isdisjoint(("my", "our")) or "'s" in sentence.said
    if is_owned or not words.isdisjoint(_UNOWNED):
        if not words.isdisjoint(_COPULAS) or ":" in sentence.said:
            yield _IS, ""
            yield _REVERSE, ""
            if "it" in words and not words.isdisjoint(("now", "nowadays", "these", "today")):
                yield _NOW_IT_IS, "change"
        if not words.isdisjoint(("changed", "renamed", "switched", "updated", "reset", "set", "update", "change")):
            yield _CHANGED, "change"
        if not words.isdisjoint(_APPOSABLE):
            yield _APPOSED, "seen"
            yield _APPOSED_AFTER, "seen"
        if "the" in words and not words.isdisjoint(IDENTIFIERS):
            yield _OF, ""
    if "new" in words:
        yield _HAS_NEW, "change"


# -- nouns ------------------------------------------------------------------------------------------------------------


def _read(sentence: Sentence, found: re.Match[str], how: str) -> Fact | None:
    """Return the fact of one match, or None where its owner, noun, mood or value makes none."""
    is_object = found.re is not _MENDED_MINE and _PREPOSITION.search(sentence.text, 0, found.start())
    if is_object or blocked(sentence.text, sentence.start, found.start()):
        return None
    groups = found.groupdict()
    is_owned = groups.get("kin") or groups.get("name")
    who = owner(found, sentence) if is_owned else _holder(sentence, found.start("np")) if found.re is _HAS_NEW else (sentence.me, False)
    np = found["np"]
    if groups.get("thing"):
        np = f"{groups['thing']}'s name" if np == "name" else f"{groups['thing']} {np}"
    named = noun(np)
    if (
        who is None
        or named is None
        or named.attribute.startswith("plan/")
        or not _is_told(groups, np, named, is_after_a_move=_MOVED.search(sentence.text) is not None)
    ):
        return None
    subject, attribute = _keyed(who[0], named.attribute)
    if attribute[5:] in _KIN and not re.match(UPPER, found["v"]):
        return None
    if found.re is _IS and _is_description(sentence, found, named, attribute):
        return None
    value = _fitting(sentence, found, named, attribute)
    if value is None or (
        named.several and not _is_named(groups, np) and not goes_on(sentence.text, found.start(), value[1]) and " & " not in value[0]
    ):
        return None  # "my sons are Vikings"
    return _mood(sentence, found, how, named, (subject, attribute), value)


def _is_description(sentence: Sentence, found: re.Match[str], named: Noun, attribute: str) -> bool:
    """Tell whether what follows the copula says how, where or of what origin it is: "my husband is German", "my gym is in Porto"."""
    adverbs = found["adv"].split()
    if ("n't" in found["cop"] or "not" in adverbs) and not _ONLY.isdisjoint(adverbs):
        return True  # "my car isn't just a Volvo"
    if "called" in adverbs or "named" in adverbs or found["np"].casefold().endswith("name"):
        return False
    if attribute.split(" ")[-1].rpartition("/")[2] in ATTRIBUTES:
        return False  # a password or a major may be any word
    raw = found["v"]
    is_someone = attribute == "partner" or attribute.startswith("pet_name") or attribute[5:] in _KIN
    if is_someone and _ARTICLE.search(sentence.text, found.start("adv"), found.start("v")):
        return True
    if adverbs and adverbs[-1] in ("in", "on", "at"):
        is_dated = named.sort == "date" or ((date := when(raw, sentence.anchor)) is not None and date[0] == 0)
        return not is_dated and attribute not in _PLACED
    name = re.match(rf"(?:an?\s)?{NAME}", raw)
    if not takes_origin(attribute) and is_origin(name[0] if name else phrase(raw)):
        return True
    return attribute.rpartition("/")[2] in _ACTING and bool(_DOING.match(raw))


def _is_named(groups: dict[str, str | None], np: str) -> bool:
    """Tell whether it is a name that is told, of one or in so many words: "our dogs are called Rex and Bo"."""
    copula = (groups.get("cop") or "").strip()
    return copula in ("is", "'s") or bool(_CALLED.search(groups.get("adv") or "")) or np.endswith("names")


def _holder(sentence: Sentence, at: int) -> tuple[str, bool] | None:
    """Return who has what is spoken of at `at` without an owner, "a new number": the subject of the verb before it, the speaker where
    nobody else is named. None where that is not said."""
    begin = 1 + max(sentence.text.rfind(mark, 0, at) for mark in ".!?\n")
    verb = _VERB_BEFORE.search(sentence.text, begin, at)
    left = read_left(replace(sentence, start=begin), verb.start()) if verb else None
    if left is not None:
        return left.subject, left.several
    others = [owner(other, sentence) for other in _ANYBODY.finditer(sentence.text, begin, at) if other["kin"] or other["name"]]
    return None if any(others) or _PRONOUN.search(sentence.text, begin, at) else (sentence.me, False)


def _is_told(groups: dict[str, str | None], np: str, named: Noun, *, is_after_a_move: bool) -> bool:
    """Tell whether noun and copula go together: "the code is", not "the film is"; "number: 5", not "routine: full"."""
    if "should" in (groups.get("cop") or ""):  # a wish, but of a number or an address
        return named.sort in ("phone", "email") or named.attribute == "residence/address"
    if groups.get("the") and named.attribute == "residence/address":
        return is_after_a_move  # else whose, is not said
    is_identifier = np.split()[-1].casefold() in IDENTIFIERS or named.attribute.split()[-1] in IDENTIFIERS
    if groups.get("the") and not groups.get("thing") and not is_identifier and "outdated" not in groups:
        return named.attribute.startswith("pet_name") and bool(_CALLED.search(groups.get("adv") or ""))
    return is_identifier or named.sort != "text" or (groups.get("cop") or "").strip() not in (":", "=", "'s")


def _mood(
    sentence: Sentence, found: re.Match[str], how: str, named: Noun, of: tuple[str, str], value: tuple[str, int, Sort]
) -> Fact | None:
    """Return the fact with tense, polarity and cue read from the copula, its adverbs and what follows the value."""
    groups = found.groupdict()
    copula, adverbs = (groups.get("cop") or "").strip(), groups.get("adv") or ""
    text, end, sort = value
    negative = "n't" in copula or "not" in adverbs or "no longer" in adverbs
    used_to = copula.startswith("used")
    past = named.old or used_to or copula in ("was", "were", "wasn't") or bool(LONG_AGO.search(sentence.said))
    if named.old and how == "change":
        return None
    tail = re.split(r"[.;!?,]", sentence.text[end : end + 40])[0]
    is_new = named.new and not (of[1].startswith("pet_name") and _NEWCOMER.match(found["np"]))
    cue: Cue = "statement"
    if how == "seen":  # "my dog Rex": the name is mentioned, not told
        cue = "change" if is_new else "statement"
    elif used_to or "no longer" in adverbs or (named.old and of[1] == "partner" and copula not in ("was", "were")):
        cue = "end"  # "Sam is my ex"
    elif how == "correction" or "should" in copula:
        cue = "correction"
    elif how == "change" or is_new or re.search(r"becom|became|changed", copula) or NOW.search(f"{adverbs} {tail}"):
        cue = "change"
    tense: Tense = "past" if past else "future" if copula == "will be" and named.sort != "date" else "now"
    arity: Arity = "many" if named.several or of[1].startswith(("pet_name", "allergy")) or of[1] in SEVERAL_NAMES else "one"
    return Fact(found.start(), end, *of, text, not negative, tense, cue, arity, sort=sort)


def _keyed(subject: str, attribute: str) -> tuple[str, str]:
    """Return the key of "my wife's name" as the one of "my wife is": the owner's partner, boss, landlord."""
    base, _, kin = subject.rpartition("/")
    if attribute == "attr/name" and base and kin in _KIN:
        return base, "partner" if re.fullmatch(PARTNERS, kin) else f"attr/{kin}"
    return subject, attribute


def _fitting(sentence: Sentence, found: re.Match[str], named: Noun, attribute: str) -> tuple[str, int, Sort] | None:
    """Return the value where it is of the sort that the noun takes: its form for comparison, its end, its sort."""
    raw, start = found["v"], found.start("v")
    if named.sort == "date":
        date = when(raw, sentence.anchor)
        return (date[2], start + date[1], "date") if date and date[0] < 12 else None
    if re.match(_MARK, raw):
        return plain(raw), found.end("v"), "text"
    if named.sort in ("phone", "email"):
        exact = re.match(PHONE if named.sort == "phone" else EMAIL, raw)
        return (plain(exact[0]), start + exact.end(), named.sort) if exact else None
    if named.sort == "number":
        years = number(raw.split(" ")[0])
        return (str(years), start + len(raw), "number") if years else None
    if attribute == "residence/address" and (told := _ADDRESS.match(sentence.text, start)):
        return address(told[0]), told.end(), looks(plain(told[0]), told[0])
    is_name = raw[:1] in '"“' or bool(re.match(rf"(?:an?\s)?{UPPER}", raw))
    words = raw if is_name else phrase(raw)
    if not words or not _suits(words, is_name, named, attribute):
        return None
    is_sure = (
        "cop" not in found.re.groupindex
        or attribute.startswith("favourite/")
        or raw[:1] in '"“'
        or (is_name and (named.open or named.sort == "name"))
    )
    if not is_sure and attribute.startswith(("attr/", "residence/")) and not _ENDS.match(sentence.text, start + len(words)):
        return None
    return plain(words), start + len(words), looks(plain(words), words)


def _suits(words: str, is_name: bool, named: Noun, attribute: str) -> bool:
    """Tell whether a name or phrase can be the value of an attribute."""
    if _NO_VALUE.match(words):
        return False
    if attribute == "job_title":
        return is_job(phrase(words))
    if attribute == "diet":
        return words.casefold() in _DIETS
    if is_name:
        return True
    return named.sort != "name" and (named.open or bool(re.fullmatch(r"\S*\d\S*", words))) and _is_valuelike(words, attribute)


def _is_valuelike(words: str, attribute: str) -> bool:
    """Tell a value from a remark: a password or favourite may be any word, other things must not be "great" or "killing me"."""
    told = words.casefold().split()
    is_remark = told[0] in _STATES or (len(told) == 1 and told[0] in _QUALITIES)
    if attribute.startswith("favourite/"):
        return not is_remark
    last = attribute.split(" ")[-1].rpartition("/")[2]
    if last in IDENTIFIERS:
        is_word = " " not in words
        return is_word and (any(map(str.isdigit, words)) or (last in SECRETS and not re.search(r"(?:ed|ly|ing)\Z", words)))
    return not is_remark and not told[0].endswith("ing")


def _anaphors(sentence: Sentence) -> Iterator[Fact]:
    """Yield "I changed my number, it's ...": the noun named before, the value after."""
    if sentence.words.isdisjoint(_PRONOUNS):
        return
    for mention in _MENTION.finditer(sentence.text):
        named = noun(mention["np"])
        found = _ANAPHOR.search(sentence.text, max(mention.end(), sentence.start), mention.end() + 80)
        who = _holder(sentence, mention.start()) if mention["mine"] is None else (sentence.me, False)
        if named is None or found is None or who is None or blocked(sentence.text, sentence.start, max(sentence.start, mention.start())):
            continue
        value = _fitting(sentence, found, named, named.attribute)
        if value is not None:
            cue: Cue = "change" if _RENEWED.search(sentence.text[max(0, mention.start() - 20) : found.end() + 8]) else "statement"
            arity: Arity = "many" if named.attribute.startswith("pet_name") else "one"
            yield Fact(found.start(), value[1], who[0], named.attribute, value[0], cue=cue, arity=arity, sort=value[2])
            return
