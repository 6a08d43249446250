"""Facts told with a verb or a predicate: "I live in ...", "my sister got a job at ...", "we're engaged"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from loci.text.dates import mentions
from loci.text.wording.listing import goes_on
from loci.text.wording.nouns import noun
from loci.text.wording.subjects import Left, is_known, read_left
from loci.text.wording.telling import Cue, Fact, Sentence, Tense, dated
from loci.text.wording.values import FIRMS, MONTHS, SOFTWARE, WEEKDAYS, Sort, address, is_job, is_thing, number, phrase, plain, when
from loci.text.wording.verbs import BANKING, BY_WORD, CLUBS, KIN, KINSFOLK, SEVERAL_NAMES, UPPER, Frame
from loci.text.wording.words import wordset

BLOCKED = re.compile(
    r"(?i)\b(?:if|wish\w*|imagine|suppose|supposing|pretend|as though|unless|whether|dreamt|dreamed|would|could|should|hope|hoping|joked?|"
    r"asked|wonder\w*|rumou?r|says?|said|told|tells|claims?|claimed|thinks?|thought|heard|reckons?|wrote|writes|apparently|supposedly|"
    r"someone|somebody|who|which|whose|asking)\b|\blike\s*\Z"
)
MY_WORDS = re.compile(
    r"(?i)\b(?:i|i've)\s+(?:already\s+|just\s+)?(?:said|say|told|mentioned|think|guess)\b|\b(?:tests?|results?|letter|paperwork|papers|ticket|calendar|passport|certificate|doctor|clinic|vet)\s+(?:says?|said)\b"
)
NOW = re.compile(r"(?i)\b(?:now|nowadays|these days|from now on|instead|again|at last|as of (?:this|today|last|\w+day)|since yesterday)\b")
LONG_AGO = re.compile(
    r"(?i)\b(?:when i was|when we were|as a (?:kid|child|student|teenager)|years ago|ages ago|decades ago|back then|back in|back when|"
    r"in my (?:\w+ties|teens|youth|childhood)|a lifetime ago|at the time|once upon a time|growing up|before all that|right after school)\b"
)
_BEFORE = re.compile(r"(?i)\b(?:when|while|before)\b")
_FIRST = re.compile(r"\W*([A-Z][a-z]+)\b")
_OPENERS = BY_WORD.keys() - {"#", "a", "the", "with"} | wordset("""just finally recently still got officially currently now already been""")
_BASE_FORMS = wordset(
    """live reside work study speak drive own have attend go like love enjoy adore hate dislike detest call rent earn make eat follow date"""
)
COPULAS = wordset(
    """am im is are m s re was were be been being isn aren wasn weren became become got gotten get gets getting went gone turned turning"""
)  # what a predicate hangs on, as words are cut at an apostrophe
_CLOSED = re.compile(r"\s*(?:$|[.,;!)]|now\b|these days\b|again\b|and\b|since\b|for\b)")
_ABOUT_TO = re.compile(r"\b(?:starts?|starting|begins?|beginning)(?:\sto)?\s*\Z")
_NO_MORE = re.compile(r"(?i)\bany\s?(?:more|longer)\b")
_TAIL = re.compile(r"[.;!?]|, (?!now|not)| but ")
_NARROWED = re.compile(
    r"\s+(?:that|which|who|with|without|where|when|in|on|at|from|of|to|for|after|before|past|during|unless|if)\b(?!\s+(?:too|now|sure|general|fact|all))"
)
_JOINTS = wordset(
    """and but so because that why since when as while though although also yes yeah well honestly now however cause 'cause hey i'm
    know guess think plus then"""
)
_PART_OF_YEAR = re.compile(
    r"(?i)\A\s*(?:only\s|mostly\s)?(?:(?:during|in|for|over|every|each)\s(?:the\s|my\s)?(?:\w+\s)?"
    r"(?:summers?|winters?|spring|autumn|fall|holidays?|weekends?|weekdays|week|semester|term|vacation|season)|on\s(?:weekends|weekdays|\w+days)"
    r"|(?:half|part|most)\s(?:of\s)?the\s(?:year|time|week)|(?:this|the\swhole)\s(?:weekend|week|month)(?!\son\b)"
    rf"|(?:for|in|during|throughout)\s(?:this\s)?(?:{'|'.join(month.capitalize() for month in MONTHS)}|[Ll]ent|[Rr]amadan)(?!\s\d)"
    r"|today|tonight|temporarily|for\snow|for\sthe\snext|until|till|for\san?\s(?:\w+\s)?(?:days?|nights?|weeks?|weekend|while|bit|conference|meeting|visit|trip|project)"
    r"|for\sthe\s(?:conference|meeting|visit|trip|project|moment|time\sbeing)|for\s(?:\d+|two|three|four|five|six|several)\s(?:days|nights|weeks))\b"
)
_ONSET = re.compile(r"(?i)\s*(?:this|in)\b")
_FOR_MONTHS = re.compile(
    r"(?i)\A\s*for\s(?:\d+|an?(?:\scouple\sof)?|(?:the|a)\s(?:next|few)|two|three|four|five|six|nine)\s(?:\w+\s)?months?\b(?!\s(?:now|already))"
)
_NO_PLACE = re.compile(
    r"\A[\d.]+\Z|\A\d{1,5}[a-z]?\s|\b[^\W\d]\Z|\A(?:plan|phase|version|tier|level|windows|macos|ios|android|ubuntu|python|java|php|node|office)\b(?=.*\d|\s\w\Z)"
)
_HOUR = re.compile(r"\A\d+(?:[.:]\d+)?\s?(?:[ap]\.?m\.?|ish|h)?\Z")
_SITE = re.compile(r"\s(?:offices?|branch|sites?|location|campus|depot|plant|warehouse)\b")
_UNIT = re.compile(r"\s(?:team|department|dept|group|division|desk|role|position|job|project|plan|tier|version|class|course|app)\b")
_BORROWED = re.compile(r"\b(?:rented|rental|hired?|borrowed|loaner|courtesy)\b")
_CALENDAR = "|".join(name.capitalize() for name in (*WEEKDAYS, *MONTHS, "christmas", "easter"))
_TOY = re.compile(
    r"(?i)\b(?:toy|model(?!\s\w{1,2}\b)|miniature|mini(?:ature)?\smodel|die-?cast|lego|matchbox|inflatable|pedal|slot|rc|remote-controlled)\s"
)
_OF_A_MAKE = re.compile(
    r"(?i)(?:\s[\w-]+)?\s(?:shares?|stocks?|bonds?|options?|lego|sets?|kits?|toys?|replicas?|posters?|prints?|(?:t-|sweat)?shirts?|hood(?:ie|y)|jackets?|caps?|mugs?"
    r"|key\s?rings?|keychains?|keys?|games?|books?|magazines?|calendars?|badges?|stickers?|parts?|tyres?|tires?|wheels?|engines?|bikes?|bicycles?|scooters?"
    r"|guitars?|pianos?|mowers?|generators?|costumes?)\b"
)  # what bears the name of a make and is no car
_FOR_OTHERS = re.compile(
    rf"\s(?:[\w'-]+\s){{0,3}}?for\s(?:(?:him|her|them|you)\b|(?:my|our|his|her|their|a|the)\s(?:\w+\s)?(?:{'|'.join(KIN)})(?:s|ren)?\b|(?!I\b|(?:{_CALENDAR})\b){UPPER}\w+)"
)
_ONE_DAY = re.compile(r"(?i)\b(?:when(?:ever)?|once|as soon as)\s+(?:i|we|you)\b")
_ADDED = re.compile(r"(?i)\b(?:also|too|as well|besides|additionally|another|second|third|on the side)\b")
_DAY = rf"(?:today|tonight|tomorrow|{'|'.join(WEEKDAYS)}|(?:this|next)\s(?:\w+\s)?(?:morning|afternoon|evening|night|week|weekend|month|\w+day))"
_MEETING = re.compile(
    rf"(?i),?\s(?:(?:at|in|to|about|live|play|perform|again\s(?:at|on|in)|later|soon|off|there|over|{_DAY})\b|on\s(?!and\b)|for\s(?!\w+\s(?:\w+\s)?(?:days|weeks|months|years)"
    r"|an?\s(?:few\s|couple\sof\s)?(?:weeks?|months?|years?|while)\b))"
)  # what one says of a visit, not of a love
_GOING_ON = re.compile(
    r"(?i)\b(?:now|these\sdays|nowadays|currently|exclusively|seriously|steadily|lately|at\sthe\smoment|since|for\s(?:\w+\s){1,3}(?:weeks|months|years))\b"
)
_BEGUN = re.compile(r"\b(?:started|began|begun|stopped|used\sto)\b")
_MET = re.compile(rf"(?i)\b{_DAY}\b")
_WHERE_ABOUTS = ("residence", "employer", "school")
_PASSING = (*_WHERE_ABOUTS, "residence/address", "car", "diet")  # what may hold for a while only
_OF_USERS = wordset("joined joining quit")  # what users of a service do, as its staff does
_OF_MEMBERS = ("joined", "joining", "signed")
_AS_STAFF = re.compile(r"(?i)\s(?:as|full|to\slead|team)\b")
_DAYS_AND_MONTHS = frozenset((*WEEKDAYS, *MONTHS))
_NEVER = re.compile(r"(?i)\bnever\b")
_AT_ALL = re.compile(r"(?i)\s*(?:$|[.;!)]|at\sall\b|in\smy\slife\b|actually\b|,\s(?:actually|though|by\sthe\sway|ever|not)\b)")
_FLATLY = re.compile(r"(?i)\s*(?:$|[.,;!)]|(?:at\sall|any\s?more|any\s?longer|yet|either|though|or|nor|and|but)\b)")
_DENIABLE = ("residence", "employer", "school", "partner", "job_title", "car", "attr/hometown")
_PLANNED = re.compile(r"(?i)\b(?:plan\w*|decided|soon|hop\w+)\b")
_AVERSE = re.compile(r"hate|dislike|detest|stand|gone|went")

PREDICATES = frozenset(word for word, frames in BY_WORD.items() if all(frame.needs_be for frame, _ in frames))
WAKING = BY_WORD.keys() - PREDICATES


def by_verb(sentence: Sentence) -> Iterator[Fact]:
    """Yield the facts told with the verbs of the table."""
    sentence = _uncapitalised(sentence)
    frames = {id(frame): (frame, pattern) for word in sentence.words & BY_WORD.keys() for frame, pattern in BY_WORD[word]}
    is_predicative = not sentence.words.isdisjoint(COPULAS)
    for frame, pattern in frames.values():
        if frame.needs_be and not is_predicative:
            continue
        if frame.context and not re.search(frame.context, sentence.said):
            continue
        for found in pattern.finditer(sentence.text, sentence.start):
            fact = _read(sentence, frame, found)
            if fact is not None:
                yield dated(sentence, fact)


def _uncapitalised(sentence: Sentence) -> Sentence:
    """Return a sentence that opens with a verb ("Moved to Lisbon!") with a small first letter, as the tables spell it."""
    first = _FIRST.match(sentence.text, sentence.start)
    if first is None or first[1].casefold() not in _OPENERS:
        return sentence
    at = first.start(1)
    return replace(sentence, text=sentence.text[:at] + sentence.text[at].lower() + sentence.text[at + 1 :])


def blocked(text: str, start: int, end: int) -> bool:
    """Tell whether the clause that begins before `end` opens as a hypothesis, a report or somebody else's words."""
    head = clause_head(text, start, end)
    return bool(BLOCKED.search(head)) and not MY_WORDS.search(head)


def clause_head(text: str, start: int, end: int) -> str:
    """Return what stands before `end` in its clause."""
    cut = max(text.rfind(mark, start, end) for mark in ",;:—")
    return text[max(start, cut + 1) : end]


def _read(sentence: Sentence, frame: Frame, found: re.Match[str]) -> Fact | None:
    """Return the fact of one verb, or None where its subject, mood or value makes none."""
    left = read_left(sentence, found.start())
    if left is None or left.hedged or blocked(sentence.text, sentence.start, left.start):
        return None
    if not _is_finite(sentence, frame, left, found):
        return None
    value = _value(frame, found)
    if value is None or (frame.attribute not in ("partner", "attr/{x}", "pet_name/{x}") and is_known(value[0], sentence.people)):
        return None  # "I joined Anna"
    if frame.tells == "state" and frame.attribute in _PASSING and _is_part_time(sentence, left, max(value[1], found.end())):
        return None  # "I live in Porto in the summer": nothing ends by it
    if frame.tells == "state" and _ONE_DAY.search(clause_head(sentence.text, sentence.start, left.start)):
        return None  # "When I retire I live in Porto"
    if _is_something_else(sentence, frame, left, found, value):
        return None
    return _mood(sentence, frame, left, found, value)


def _is_something_else(sentence: Sentence, frame: Frame, left: Left, found: re.Match[str], value: tuple[str, int, Sort]) -> bool:
    """Tell whether the words are those of the table, and what they name is not of the kind."""
    text, groups = sentence.text, found.groupdict()
    if frame.attribute == "residence" and (_NO_PLACE.search(value[0]) or _UNIT.match(text, value[1]) or re.search(BANKING, sentence.said)):
        return True  # "I moved to the Sales team"
    if frame.attribute == "residence/address" and value[0].partition(" ")[0] in _DAYS_AND_MONTHS:
        return True  # "It is moved to December 4"
    if frame.attribute in _WHERE_ABOUTS and _is_elsewhere(sentence, frame, value):
        return True
    if frame.attribute == "employer" and frame.words in _OF_MEMBERS and re.search(rf"\b{CLUBS}\Z", value[0]):
        return True  # "I joined the Millpond Rowing Club"
    if frame.attribute == "employer" and found.group().find(" the ") > 0 and _SITE.match(text, value[1]):
        return True  # "I work at the Cambridge office"
    if frame.attribute in ("employer", "job_title") and frame.tells == "state" and _ABOUT_TO.search(text, left.start, found.start()):
        return True  # "I start work at Acme on Monday" is read from "start" on
    if frame.attribute == "car" and frame.tells != "end" and _is_no_drive(sentence, frame, found, value[1]):
        return True
    if groups.get("listed") and not goes_on(text, left.start, value[1]):
        return True  # "two kids, Disney fans"
    return bool(groups.get("seeing")) and not groups["someone"] and _is_visit(sentence, left, found.start(), value[1])


def _is_finite(sentence: Sentence, frame: Frame, left: Left, found: re.Match[str]) -> bool:
    """Tell whether subject, auxiliaries and verb go together, so that something is said and not only mentioned."""
    verb = found.group().split(maxsplit=1)[0]
    is_gerund = verb.endswith("ing") and verb != "sing"
    is_predicate = left.be or (frame.takes_get and left.get)
    if left.elliptic:
        if found.start() - sentence.start > 60 or (frame.needs_be and not (frame.takes_get and left.get)):
            return False
        if left.shared and frame.tells == "state":  # "my sister lives in Rome and works at Acme"
            return left.has_auxiliary or (verb in _BASE_FORMS) == (left.subject == sentence.me)
        return frame.tells != "state" or frame.needs_be or (is_gerund and bool(_CLOSED.match(sentence.text, found.end())))
    if left.named and not left.has_auxiliary and verb in _BASE_FORMS:
        return False  # "Sounds like", "Unconditional love": no person and no verb
    if frame.attribute == "likes/{v}" and ((left.be and verb in ("like", "likes")) or _is_relative(sentence, left)):
        return False  # "it's like", "the things I love"
    if frame.needs_be:
        return is_predicate
    return not is_gerund or left.be or left.get or left.change or left.negative


def _is_part_time(sentence: Sentence, left: Left, end: int) -> bool:
    """Tell whether what is said holds for a part of each year or week only."""
    head = clause_head(sentence.text, sentence.start, left.start)
    tail = sentence.text[end : end + 40]
    if left.change and _ONSET.match(tail):
        return False  # "I started living in Porto this month"
    is_for_long = not left.perfect and _FOR_MONTHS.match(tail)  # "I've been living in Porto for three months" goes on
    return bool(is_for_long or _PART_OF_YEAR.match(head) or _PART_OF_YEAR.match(tail))


def _is_elsewhere(sentence: Sentence, frame: Frame, value: tuple[str, int, Sort]) -> bool:
    """Tell whether one only uses what is named: "We moved to Linux", "I joined Discord", not "I joined Discord as an engineer"."""
    first = value[0].partition(" ")[0]
    if first in _DAYS_AND_MONTHS or (frame.attribute != "residence" and _HOUR.match(value[0])):
        return True  # "I start at Monday"
    if frame.attribute == "residence":
        return first in FIRMS or first in SOFTWARE
    if frame.attribute == "employer" and (frame.words.partition(" ")[0] not in _OF_USERS or _AS_STAFF.match(sentence.text, value[1])):
        return False
    return first in SOFTWARE


def _is_no_drive(sentence: Sentence, frame: Frame, found: re.Match[str], end: int) -> bool:
    """Tell whether it is no car or not one's own that is spoken of: "a toy Ferrari", "a Volvo share", "bought a Kia for Dan"."""
    if _TOY.search(f"{found.group()} ") or _OF_A_MAKE.match(sentence.text, end):
        return True
    return frame.tells == "event" and _FOR_OTHERS.match(sentence.text, end) is not None


def _is_visit(sentence: Sentence, left: Left, start: int, end: int) -> bool:
    """Tell whether one may see somebody on a day or for a purpose: "I'm seeing Bob for lunch", "I'm seeing Bob"."""
    if left.perfect or _BEGUN.search(sentence.text, left.start, start):
        return False
    is_lasting = left.negative or _GOING_ON.search(sentence.text, left.start, start) or _GOING_ON.search(sentence.text, end, end + 40)
    if left.subject == sentence.me and not is_lasting:
        return True
    return bool(_MEETING.match(sentence.text, end) or _MET.search(clause_head(sentence.text, sentence.start, left.start)))


def _is_relative(sentence: Sentence, left: Left) -> bool:
    """Tell whether a clause hangs on a noun before it: "the things I love"."""
    before = re.search(r"([\w']+)\s+\Z", clause_head(sentence.text, sentence.start, left.start))
    return before is not None and before[1].casefold() not in _JOINTS


def _value(frame: Frame, found: re.Match[str]) -> tuple[str, int, Sort] | None:
    """Return the value of a verb's object, where it ends, and what it looks like."""
    if frame.value or "v" not in found.re.groupindex or found["v"] is None:
        return frame.value, found.end(), "text"
    raw, end = found["v"], found.end("v")
    if frame.attribute == "car" and _BORROWED.search(found.group()):
        return None  # "I'm driving a rented Fiat"
    if found.groupdict().get("job") and not is_job(found["job"]):
        return None  # "a regular at Joe's"
    if frame.attribute == "residence/address":
        return address(raw), end, "name" if raw[:1].isupper() else "text"
    if frame.attribute == "age":
        years = number(raw)
        return (str(years), end, "number") if years is not None and 0 < years < 121 else None
    if frame.attribute == "birthday":
        date = when(raw, None)
        return (date[2], found.start("v") + date[1], "date") if date else None
    if frame.attribute in ("job_title", "likes/{v}", "allergy"):
        cut = phrase(raw)
        if not cut or (frame.attribute == "job_title" and not is_job(cut)):
            return None
        if frame.attribute == "likes/{v}" and (not is_thing(cut) or _NARROWED.match(raw, len(cut))):
            return None
        return plain(cut), found.start("v") + len(cut), "text"
    return plain(raw), end, "name" if raw[:1].isupper() else "text"


def _mood(sentence: Sentence, frame: Frame, left: Left, found: re.Match[str], value: tuple[str, int, Sort]) -> Fact | None:
    """Return the fact with tense, polarity and cue read from the form of the verb, its auxiliaries and what follows."""
    text, end, sort = value
    tail = _TAIL.split(sentence.text[end : end + 80])[0]
    negative = left.negative
    if frame.attribute == "likes/{v}" and _AVERSE.match(found.group()):
        if negative != found.group().startswith("stand"):
            return None
        negative = True
    if frame.tells in ("event", "next", "past") and left.negative and not left.ended:
        return _denial(sentence, frame, left, found, value)
    if frame.attribute == "language" and negative and not _FLATLY.match(sentence.text, end):
        return None  # "I don't speak German well"
    if frame.tells == "end" and (left.negative or left.future) and not left.ended:
        return None  # "I didn't quit Acme"
    if text == "omnivore" and negative:
        text, negative, left = "vegetarian", False, replace(left, ended=False, change=left.change or left.ended)
    tense = "now" if frame.attribute == "birthday" else _tense(sentence, frame, left, tail)
    if tense is None:
        return None
    attribute = _attribute(frame, found, text)
    ended = frame.tells == "end" or left.ended or bool(_NO_MORE.search(tail))
    if left.used_to and attribute.startswith("likes/"):
        negative, tense = not negative, "now"
    elif left.used_to:
        negative = False
    elif frame.tells == "end":
        negative, tense = True, "now"
    changes = frame.tells == "event" or left.change or (bool(NOW.search(tail)) and not negative)
    if tense == "future":  # what is announced, not only planned; `dated` takes it back where no date is named
        changes = left.subject == sentence.me and not _PLANNED.search(sentence.text, left.start, found.start())
    changes = changes and tense != "past" and not (left.still or left.several)
    cue: Cue = "end" if ended else "change" if changes else "statement"
    is_added = _ADDED.search(tail) or (frame.tells == "state" and _ADDED.search(sentence.text, left.start, end))  # "I have a Tesla too"
    is_one_more = attribute == "learning" and "instead" not in tail
    many = (
        left.several
        or is_added
        or is_one_more
        or attribute.startswith(("likes/", "pet_name", "allergy", "language"))
        or attribute in SEVERAL_NAMES
    )
    return Fact(
        left.start, end, left.subject, attribute, text, not negative, tense, cue, "many" if many else "one", replaces=_old(found), sort=sort
    )


def _denial(sentence: Sentence, frame: Frame, left: Left, found: re.Match[str], value: tuple[str, int, Sort]) -> Fact | None:
    """Return what "I never lived in Porto" denies, None where it may say something else ("never before", "never for long")."""
    text, end, sort = value
    is_flat = _NEVER.search(sentence.text, left.start, found.start()) and _AT_ALL.match(sentence.text, end)
    is_story = left.past or _BEFORE.search(sentence.said) or LONG_AGO.search(sentence.said)
    if not is_flat or is_story or not text or frame.tells == "next" or frame.attribute not in _DENIABLE:
        return None
    return Fact(left.start, end, left.subject, frame.attribute, text, False, cue="correction", sort=sort)


def _tense(sentence: Sentence, frame: Frame, left: Left, tail: str) -> Tense | None:
    """Return the tense, None for a form that says nothing of what is, was or will be."""
    if frame.tells == "past" and not left.perfect:
        return "past"
    if frame.tells == "event":
        if left.future:
            return "future"
        told_long_ago = _BEFORE.search(clause_head(sentence.text, sentence.start, left.start)) or LONG_AGO.search(sentence.said)
        return "past" if told_long_ago else "now"
    if frame.tells == "state" and (left.past or left.used_to):
        return "past"
    if frame.tells == "next":
        return "future" if left.future or (left.be and not left.past) or _is_scheduled(sentence, left) else None
    return "future" if frame.tells == "state" and left.future else "now"


def _is_scheduled(sentence: Sentence, left: Left) -> bool:
    """Tell whether one says of oneself in the plain present what is to come, as a time says: "I start at Acme tomorrow"."""
    is_plain = not (left.has_auxiliary or left.get or left.change or left.still or left.elliptic) and left.subject == sentence.me
    anchor = sentence.anchor
    return is_plain and anchor is not None and any(mention.earliest > anchor for mention in mentions(sentence.said, anchor))


def _attribute(frame: Frame, found: re.Match[str], value: str) -> str:
    if frame.attribute == "pet_name/{x}":
        named = noun(found["x"])
        return named.attribute if named else "pet_name"
    thing = (found.groupdict().get("x") or "").casefold()
    return frame.attribute.replace("{v}", value).replace("{x}", KINSFOLK.get(thing, thing))


def _old(found: re.Match[str]) -> str | None:
    """Return the value that the wording says was left ("moved from Porto to Lisbon")."""
    return plain(found["old"]) if found.groupdict().get("old") else None
