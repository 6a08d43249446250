"""Names of people, places and organisations, numbers and quoted titles in text, and whom a sentence is about."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from loci.text.timing.reading import MONTHS, WEEKDAYS
from loci.text.tokens import STOPWORDS

_COMMON = """absolutely actually add all also amazing another any anyway apparently appreciate ask awesome bad basically
    beautiful because best better big bless both bring bummer bye call check cheers clearly college come congrats
    congratulations consider cool could couple crazy create currently cute day dad daddy damn darn dear definitely describe
    did discuss dude eat enjoy ensure even eventually every exactly excellent explain fair family fantastic favorite
    favourite feel few finally find fine first for forget fortunately friends from full fun funny generally girl gladly god
    going good gosh got gotcha grandma grandpa great guess guys had half happy hard have hello help here heya hiya
    holy home honestly hope hopefully how huge hugs hurray if imagine impressive in include incredible indeed instead
    interesting just keep kids kind know last lastly lately later leave less let life list little long look lots
    love lovely luckily lucky make man many may maybe me mom mommy mum dad more most mostly mr mrs ms much my name neat need
    never new next nice night no nobody not note nothing now often oh okay old once one only open our out over own overall
    people perfect perhaps photo pic picture play please pretty previously probably proud provide put quick quite rather
    read ready really recently regarding remember right sad sadly same say second see seems seriously several share she
    should show similarly simply since sis small so some someone something sometimes soon sorry sounds speaking
    specifically start still stay step stop strong stuff such super sure surely sweet sweetie take talk team tell thank
    thankfully that the then there these they thing things think third this those though three time to today together
    told tomorrow tonight too took totally tough true truly try two typically ugh um unfortunately until us use used
    usually very wait want was watch way we welcome well were what whatever when where which while who why will wild win
    wish with without woah woo woohoo word work wow write yay yeah year years yep yes yesterday yet yikes you your yum
    yup sir madam ma'am bro buddy honey question answer example summary option yoga kudos aww awww haha hehe whew phew ooh
    christmas halloween thanksgiving easter xmas valentine"""
ORDINARY = STOPWORDS | frozenset(_COMMON.split()) | frozenset(MONTHS) | frozenset(WEEKDAYS)
"""Words in small letters that open sentences and are no names."""
_SKIPPED = frozenset(map(str.capitalize, ORDINARY)) | {
    "I",
    "A",
    "OK",
    "OMG",
    "LOL",
    "BTW",
    "ASAP",
    "AM",
    "PM",
    "PS",
    "IMO",
    "TBH",
    "IDK",
    "FYI",
    "TV",
    "SO",
    "NO",
    "YES",
}
_GREETINGS = "hey hi hello thanks dear bye oh wow yeah yes no ok okay sorry congrats love"
_FUNCTION = frozenset(word.capitalize() for word in STOPWORDS | frozenset(_GREETINGS.split()) | frozenset(MONTHS) | frozenset(WEEKDAYS)) | {
    "I",
    "A",
    "OK",
}
_ORDINARY_ENDINGS = ("ing", "ings", "tion", "tions", "ness", "ful", "ous", "less", "able", "ment", "ized", "ated")

_COUNTRIES = """afghanistan albania algeria andorra angola argentina armenia australia austria azerbaijan bahamas bahrain
    bangladesh barbados belarus belgium belize benin bhutan bolivia bosnia botswana brazil britain brunei bulgaria burundi
    cambodia cameroon canada chad chile china colombia congo croatia cuba cyprus czechia denmark djibouti dominica ecuador
    egypt england eritrea estonia ethiopia europe fiji finland france gabon gambia germany ghana greece greenland grenada
    guatemala guinea guyana haiti honduras hungary iceland india indonesia iran iraq ireland israel italy jamaica japan
    kazakhstan kenya kosovo kuwait laos latvia lebanon liberia libya lithuania luxembourg madagascar malawi malaysia maldives
    mali malta mauritius mexico moldova monaco mongolia montenegro morocco mozambique myanmar namibia nepal netherlands
    nicaragua niger nigeria norway oman pakistan palestine panama paraguay peru philippines poland portugal qatar romania
    russia rwanda scotland senegal serbia singapore slovakia slovenia somalia spain sudan suriname sweden switzerland syria
    taiwan tajikistan tanzania thailand togo tunisia turkey uganda ukraine uruguay usa uk us uae uzbekistan vanuatu venezuela
    vietnam wales yemen zambia zimbabwe africa asia america antarctica scandinavia"""
_CITIES = """amsterdam athens atlanta auckland austin baghdad bali bangkok barcelona beijing beirut belfast berlin bogota
    boston brisbane bristol brooklyn brussels bucharest budapest cairo calgary chicago cologne copenhagen dallas damascus
    delhi denver detroit dubai dublin edinburgh florence frankfurt geneva glasgow hamburg hanoi havana helsinki hollywood
    honolulu houston istanbul jakarta jerusalem johannesburg karachi kathmandu kyiv kyoto lagos lahore leeds lima lisbon
    liverpool london lyon madrid manchester manhattan manila melbourne memphis miami milan minneapolis montreal moscow mumbai
    munich nairobi naples nashville nyc orlando osaka oslo oxford paris perth philadelphia phoenix pittsburgh portland porto
    prague quebec rome rotterdam sacramento santiago sarajevo seattle seoul seville shanghai shenzhen sofia stockholm
    stuttgart sydney taipei tallinn tampa tehran tokyo toronto tucson turin valencia vancouver venice vienna vilnius warsaw
    washington wellington zagreb zurich alaska arizona california colorado connecticut florida hawaii idaho illinois indiana
    iowa kansas kentucky louisiana maine maryland massachusetts michigan minnesota mississippi missouri montana nebraska
    nevada ohio oklahoma ontario oregon pennsylvania tennessee texas utah vermont wisconsin wyoming"""
_PLACE_PHRASES = """new york|los angeles|san francisco|san diego|las vegas|hong kong|new zealand|south africa|south korea|
    north korea|saudi arabia|sri lanka|costa rica|puerto rico|united states|united kingdom|new jersey|new mexico|new orleans|
    rio de janeiro|buenos aires|mexico city|cape town|tel aviv|kuala lumpur|new delhi|salt lake city|el salvador|czech republic|
    north carolina|south carolina|north dakota|south dakota|west virginia|rhode island|new hampshire|papua new guinea"""
PLACES = frozenset(_COUNTRIES.split()) | frozenset(_CITIES.split()) | frozenset(p.strip() for p in _PLACE_PHRASES.split("|"))
_PLACE_WORD_LIST = """street avenue road boulevard lane park lake beach river mountain mountains mount island islands bay city
    county square airport station valley forest canyon falls bridge harbor harbour hills village town castle desert coast
    peninsula garden gardens plaza mall trail"""
_ORGANISATION_WORD_LIST = """inc corp ltd llc gmbh university college institute school academy hospital bank company foundation
    association agency committee department ministry church museum studios studio labs laboratory group club union press
    airlines airways corporation council society clinic records entertainment technologies systems solutions"""
_PLACE_WORDS = frozenset(_PLACE_WORD_LIST.split())
_ORGANISATION_WORDS = frozenset(_ORGANISATION_WORD_LIST.split())
_LANGUAGES = """english spanish french german italian portuguese russian chinese mandarin cantonese japanese korean arabic hindi
    turkish dutch polish swedish greek latin hebrew python java javascript rust excel photoshop god jesus"""
_NO_PLACES = frozenset(_LANGUAGES.split())
_PLAIN_ACRONYMS = """AI VR AR UI UX API URL HTML CSS SQL JSON XML PDF USB CPU GPU RAM SUV ATM ER ICU DNA RNA HIV ADHD PTSD OCD
    BMI QR VIP MVP RPG FPS LED HD DJ CPR EMT CEO CTO CFO PHD MBA BA MA BS DIY BBQ DVD CD GPS FAQ ID HR IT PR DM LGBT LGBTQ
    LGBTQIA GED SAT GRE RSVP MRI CT IV ICE II III IV VI VII VIII IX XI XII"""
_NO_ORGANISATIONS = frozenset(_PLAIN_ACRONYMS.split())

_KIN_WORDS = """sister brother mother father mom mum dad son daughter wife husband aunt uncle cousin niece nephew grandma
    grandpa grandmother grandfather friend friends buddy neighbor neighbour colleague coworker boss partner girlfriend boyfriend
    fiance fiancee fiancé fiancée roommate roomie teacher professor coach doctor therapist mentor manager twin kids bestie
    president author artist singer actor actress writer director hey hi hello thanks dear bye"""
_KIN = frozenset(_KIN_WORDS.split())
_TITLES = frozenset(["Dr", "Mr", "Mrs", "Ms", "Prof", "Professor", "Doctor", "Aunt", "Uncle", "Coach", "Grandma", "Grandpa"])
_PERSON_BEFORE = frozenset(["met", "told", "asked", "married", "dating", "hugged", "texted", "thanked", "introduced", "besides"])
_PERSON_AFTER_WORDS = """said says told asked thinks thought loves texted replied laughed smiled agreed suggested married
    turned felt feels knows knew wants wanted"""
_PERSON_AFTER = frozenset(_PERSON_AFTER_WORDS.split())
_WORK = """work works worked working job intern interned internship interning employed interview interviewed position role
    career studied study studying graduated enrolled degree volunteer volunteered volunteering account contract hired"""
_WORKING = frozenset(_WORK.split())
_MOVES = """moved move moving went go going trip travel traveled travelled traveling travelling flew fly flying drove drive
    driving been back came come coming relocated relocate relocating headed heading return returned flight way vacation gone
    visit ticket tickets tour welcome"""
_MOVING = frozenset(_MOVES.split())
_ORIGINS = """am is are was were i'm originally moved back came come comes flew immigrated emigrated he's she's they're
    we're returned"""
_COMING = frozenset(_ORIGINS.split())

_CAP = "A-Z\u00c0-\u00d6\u00d8-\u00de\u0100-\u017f\u0386-\u03a9\u0400-\u042f"
_TOKEN_REST = rf"\w*+(?:[-&'’][{_CAP}]\w*)*+"
_DOTTED = rf"(?:(?<=\bDr)|(?<=\bMr)|(?<=\bMs)|(?<=\bSt)|(?<=\bMt)|(?<=\bMrs)|(?<=\bProf)|(?<=\b[{_CAP}]))\.[ ]?"
_LINK = r"[ ](?:of (?:the )?|de (?:la )?|van (?:der )?|von |du |del |da |di |& )?+"
_NAME = re.compile(rf"[{_CAP}](?<![\w@#/.].)(?<!['’]\w){_TOKEN_REST}(?:(?:{_DOTTED}|{_LINK})(?!I\b)[{_CAP}]{_TOKEN_REST})*")
_NUMBER_UNITS = """kg|g|mg|lbs?|pounds?|km|m|cm|mm|miles?|mi|feet|foot|ft|inch(?:es)?|met(?:er|re)s?|lit(?:er|re)s?|ml|oz|hours?|
    hrs?|minutes?|mins?|seconds?|secs?|days?|weeks?|months?|years?(?: old)?|-year-old|percent|degrees?|dollars?|euros?|bucks|
    calories|kcal|people|times|mph|km/h|[kmgt]b|watts?|usd|eur|gbp|yen|cups?|grams?|acres?|steps?|pages?|k"""
_UNIT = "|".join(unit.strip() for unit in _NUMBER_UNITS.split("|"))
_NUMBER = re.compile(
    rf"[$€£¥₹\d](?<![\w.,:/-].)(?:(?<=\d)|[ ]?\d)\d*+(?:,\d{{3}}(?!\d))*+(?:\.\d++)?(?![:/]\d|[-.]\d)"
    rf"(?P<unit>[ ]?(?:%|°[ ]?[cf]?)|(?:[ ]|-)?(?:million|billion|thousand|bn)\b(?:[ ](?:{_UNIT})\b)?|[ -]?(?:{_UNIT})\b)?",
    re.IGNORECASE,
)
_QUOTED = re.compile(r'"([^"\n]{2,80})"|“([^”\n]{2,80})”|«([^»\n]{2,80})»')
_SENTENCE_OPENERS = '.!?…:;\n\r\t"“”(*•-—>#_|['


@dataclass(frozen=True, slots=True)
class Entity:
    """A name or number: where it stands, its text, its type (person, place, organisation, number, quoted, name)."""

    start: int
    end: int
    text: str
    type: str


def entities(text: str, people: Collection[str] = ()) -> list[Entity]:
    """Return the entities of `text`, in order, without overlap; `people` are names known to be people's."""
    found: list[Entity] = []
    for match in _NAME.finditer(text):
        name = match.group()
        if name not in _SKIPPED:
            entity = _named(text, name, match.start(), people)
            if entity:
                found.append(entity)
    size = len(found)
    for match in _NUMBER.finditer(text) if _has_digits(text) else ():
        if match["unit"] or not text[match.start()].isdecimal() or _is_bare_number(text, match.start(), match.end()):
            found.append(Entity(match.start(), match.end(), match.group(), "number"))
    if '"' in text or "“" in text or "«" in text:
        found += _quoted(text)
    if len(found) == size:
        return found
    priority = {"quoted": 0, "number": 2}
    found.sort(key=lambda entity: (entity.start, priority.get(entity.type, 1)))
    result: list[Entity] = []
    for entity in found:
        if not result or entity.start >= result[-1].end:
            result.append(entity)
    return result


def _has_digits(text: str) -> bool:
    """Return whether there is a digit; of text that is not ASCII it says yes unseen."""
    if not text.isascii():
        return True
    raw = text.encode()
    return len(raw.translate(None, b"0123456789")) != len(raw)


def _named(text: str, name: str, start: int, people: Collection[str]) -> Entity | None:
    """Return the entity that a run of capitalised words is, without the ordinary words at its ends; None if none is left."""
    words, lead = [name], ""
    is_opening = _opens_sentence(text, start)
    if " " in name and name not in people:
        words, lead = _trimmed(name.split(" "), _SKIPPED if is_opening else _FUNCTION)
        if not words:
            return None
        name = " ".join(words)
        start += len(lead)
        is_opening = is_opening and not lead
    kind = _kind(text, name, words, start, is_opening, people)
    if kind is None or (is_opening and kind == "name" and len(words) == 1 and _is_ordinary(text, name, start)):
        return None
    return Entity(start, start + len(name), name, kind)


def _trimmed(words: list[str], ordinary: frozenset[str]) -> tuple[list[str], str]:
    """Return the words without ordinary ones at both ends, and what was taken off in front."""
    first, last = 0, len(words)
    while first < last and (words[first] in ordinary or words[first].islower()):
        if words[first] in ("New", "North", "South", "West", "East") and first + 1 < last and words[first + 1] not in _SKIPPED:
            break
        first += 1
    while last > first and (words[last - 1] in ordinary or words[last - 1].islower()):
        last -= 1
    return words[first:last], "".join(f"{word} " for word in words[:first])


def _opens_sentence(text: str, start: int) -> bool:
    """Return whether the word at `start` is the first of its sentence, where a capital says nothing."""
    at = start - 1
    while at >= 0 and text[at] == " ":
        at -= 1
    return at < 0 or text[at] in _SENTENCE_OPENERS


def _is_ordinary(text: str, word: str, start: int) -> bool:
    """Return whether a capitalised word that opens a sentence is likely no name."""
    lower = word.lower()
    if lower.endswith(_ORDINARY_ENDINGS) or (lower.endswith("ly") and len(lower) > 7) or (lower.endswith("ed") and len(lower) > 5):
        return True
    return len(word) < 3 or text.find(f" {lower} ", max(0, start - 1000), start + 1000) >= 0


def _kind(text: str, name: str, words: list[str], start: int, is_opening: bool, people: Collection[str]) -> str | None:
    """Return the type of the name; None for a shout in capitals."""
    if name in people:
        return "person"
    for person in people:
        if _is_called(person, words[0], is_opening):
            return "person"
    end = start + len(name)
    before = text[max(0, start - 32) : start].lower().split()
    last = before[-1] if before and text[start - 1] == " " else ""
    earlier = before[-2] if len(before) > 1 else ""
    lower = name.lower()
    if lower in PLACES:
        return "place" if lower != "us" or name == "US" else None
    if last in _KIN or last in _PERSON_BEFORE or words[0].rstrip(".") in _TITLES:
        return "person"
    tail = words[-1].lower()
    if tail in _ORGANISATION_WORDS or lower.startswith(("university of", "bank of", "museum of")):
        return "organisation"
    if len(words) > 1 and (tail in _PLACE_WORDS or words[0].lower() in ("lake", "mount", "mt.", "san", "santa", "st.")):
        return "place"
    if last in ("at", "for", "from", "with", "by", "in") and earlier in _WORKING and lower not in _NO_PLACES:
        return "organisation"
    if name.isupper() and len(name) > 1:
        if name in _NO_ORGANISATIONS:
            return "name"
        return "organisation" if len(name) < 6 and " " not in name and not _is_shouting(text, start, end) else None
    if _is_place(last, earlier, lower):
        return "place"
    following = text[end : end + 16].split(" ", 2)
    return "person" if len(following) > 1 and not following[0] and following[1].rstrip(".,!") in _PERSON_AFTER else "name"


def _is_called(person: str, word: str, is_opening: bool) -> bool:
    """Return whether the word is a name of the person: one of its words, or short for the first (Mel, Melanie)."""
    if person.startswith(word):
        return len(word) > 2 and (not is_opening or person[len(word) : len(word) + 1] in ("", " "))
    return " " in person and word in person.split()


def _is_place(last: str, earlier: str, lower: str) -> bool:
    """Return whether the two words before a name make it a place."""
    if last in ("in", "near", "at", "visit", "visited", "visiting", "around", "across", "throughout"):
        return lower not in _NO_PLACES
    return (last in ("to", "through", "for") and earlier in _MOVING) or (last == "from" and earlier in _COMING)


def _is_shouting(text: str, start: int, end: int) -> bool:
    """Return whether a neighbour of the capitals in [start, end) is in capitals too."""
    left, right = text[max(0, start - 12) : start].split(), text[end : end + 12].split()
    return any(word.isupper() and len(word.strip(".,!?")) > 1 for word in (*left[-1:], *right[:1]))


def _is_bare_number(text: str, start: int, end: int) -> bool:
    """Return whether a number without a unit is worth a mention: three digits and more that are no year."""
    digits = text[start:end].replace(",", "")
    if len(digits) < 3 or (len(digits) == 4 and digits[:2] in ("19", "20")):
        return False
    return end == len(text) or not (text[end].isalnum() or text[end] in "-/_@")


def _quoted(text: str) -> list[Entity]:
    """Return what stands in quotes as a name or title does: at most eight words, no stop at the end."""
    result = []
    for match in _QUOTED.finditer(text):
        group = match.lastindex or 1
        inner = match[group]
        if inner[-1] not in ".!?, " and inner[0] != " " and inner.count(" ") < 8:
            result.append(Entity(match.start(group), match.end(group), inner, "quoted"))
    return result


# --- whom a sentence is about ---------------------------------------------------------------------------------------------

_FIRST_PERSON = re.compile(r"\b(?:I|i|[Mm]y|[Mm]e|[Mm]ine|[Ww]e|[Oo]ur|[Mm]yself|im|Im|ive|Ive)\b")
_LETTERS = bytes(ord(chr(i).lower()) if chr(i).isalnum() or i == 95 else 32 for i in range(128)) + bytes(128)
_FIRST_WORDS = (b" me ", b" our ", b" mine ", b" myself ", b" im ", b" ive ")
_OWN_KIN = re.compile(r"(?:My|my|Our|our)(?: [\w-]+){1,3},? $")
_AUXILIARIES = "is was has had will did does do can could would should isn't wasn't hasn't didn't doesn't won't can't used gets got"
_VERB_LIST = """went goes said says told moved lives lived loves loved likes liked works worked wants wanted thinks thought knows
    knew made makes took takes came comes gave gives found feels felt bought started starts joined became plans planned hates
    prefers enjoys plays played paints painted runs ran ate eats met meets needs needed left saw sees got keeps kept won lost"""
_VERBS = frozenset(_AUXILIARIES.split()) | frozenset(_VERB_LIST.split())
_INVERTING = frozenset(["is", "was", "has", "had", "will", "did", "does", "do", "can", "could", "would", "should", "are", "were"])
_PREPOSITIONS = frozenset(["to", "with", "for", "from", "of", "at", "by", "about", "like", "than", "hey", "hi", "thanks"])
_AFTER_NAME = re.compile(r"(?:['’]s? |(?: and [\w ]{1,24}?| also| just| really| never| always| still)? ([\w'’]+))")
_PERSONAL = "went|said|says|told|moved|lives|lived|loves|loved|likes|liked|works|worked|wants|wanted|thinks|thought|knows|hates|prefers"
_OPENING_NAME = re.compile(rf"\W*([{_CAP}][\w-]+) (?:{_PERSONAL})\b")
_OWN_NAMED = re.compile(rf"\b(?:[Mm]y|[Oo]ur) (?:\w+ )?(?:{'|'.join(_KIN_WORDS.split()[:-5])}),? ([{_CAP}]\w+)(?:['’]s |,? [a-z])")


def about(text: str, speaker: str, people: Collection[str]) -> str | None:
    """Return whom the sentence is about.

    A named person who is its subject or the possessor of it, given as in `people`; the speaker for I, my, me and we; None if
    neither.
    """
    best, named = len(text), None
    for person in people:
        at = _subject_at(text, person)
        if 0 <= at < best:
            best, named = at, person
    if named is not None and (not _FIRST_PERSON.search(text, 0, best) or _OWN_KIN.search(text, max(0, best - 40), best)):
        return named
    if named is not None or _has_first_person(text):
        own = _OWN_NAMED.search(text) if "my " in text or "My " in text or "our " in text else None
        return own[1] if own and own[1] not in _SKIPPED else speaker
    opening = _OPENING_NAME.match(text)
    return opening[1] if opening and opening[1] not in _SKIPPED else None


def _has_first_person(text: str) -> bool:
    """Return whether the speaker is named: I, my, me, we."""
    if not text.isascii():
        return _FIRST_PERSON.search(text) is not None
    spaced = b" " + text.encode().translate(_LETTERS) + b" "
    return b" i " in spaced or b" my " in spaced or b" we " in spaced or any(word in spaced for word in _FIRST_WORDS)


def _subject_at(text: str, person: str) -> int:
    """Return where the person is subject or possessor, -1 if nowhere."""
    name = person
    at = text.find(name) if name else -1
    if at < 0:
        name = _short(text, person)
        at = text.find(name) if name else -1
    while at >= 0:
        end = at + len(name)
        is_word = not (at and text[at - 1].isalnum()) and not text[end : end + 1].isalnum()
        if is_word and _is_subject(text, at, end):
            return at
        at = text.find(name, end)
    return -1


def _short(text: str, person: str) -> str:
    """Return what the person is called in the text: the first name, or its beginning inside a sentence; or nothing."""
    first = person.partition(" ")[0]
    at = text.find(first[:3]) if len(first) > 2 else -1
    if at < 0:
        return ""
    end = at + 3
    while end < len(text) and text[at : end + 1] == first[: end + 1 - at]:
        end += 1
    name = text[at:end]
    return name if name == first or not _opens_sentence(text, at) else ""


def _is_subject(text: str, start: int, end: int) -> bool:
    """Return whether the name in [start, end) has a verb of its own or owns what follows."""
    before = text[max(0, start - 12) : start].lower().split()
    last = before[-1] if before else ""
    if last in _INVERTING and text[end : end + 1] != ",":
        return True
    right = _AFTER_NAME.match(text, end)
    if not right:
        return False
    verb = right[1]
    if verb is None:
        return True
    is_verb = verb.lower() in _VERBS or (verb.islower() and verb.endswith(("ed", "s")) and verb not in STOPWORDS)
    return is_verb and last not in _PREPOSITIONS
