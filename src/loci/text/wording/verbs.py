"""The wordings in which people tell keyed facts, as tables: one row a wording, each with an example that a test reads.

A `Frame` starts at a verb; its subject and auxiliaries are read to the left of it by `facts`. {NAME} and {PHRASE} stand for
a proper name and for a short phrase, group `v` is the value. `tells` says what the form of the verb means:
`state` (live, works), `past` (lived), `event` (moved), `next` (moving), `end` (quit).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from loci.text.wording.values import MONTHS, WEEKDAYS
from loci.text.wording.words import listed, wordset

Tells = Literal["state", "past", "event", "next", "end"]

UPPER = r"[^\W\d_a-zß-öø-ÿ]"
_PART = rf"(?!I\b)(?:{UPPER}|\d)[\w'&.-]*(?<![.'])"
NAME = rf"(?:[Tt]he\ )?(?:(?:Dr|Mrs?|Ms|Prof|St|Mt)\.\ )?{_PART}(?:(?:\ |\ (?:of|de|la|le|van|von|del|da|do|dos|das|los|las|der|den|des|du|upon)\ (?:the\ )?|\ &\ ){_PART})*"
PHRASE = r"[^\s,.;:!?()\n\"—–][^,.;:!?()\n\"—–]{0,60}"
_CALENDAR = "|".join(name.capitalize() for name in (*WEEKDAYS, *MONTHS))
EMAIL = r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
PHONE = r"\+?\(?\d[\d\s().-]{4,18}\d"
_STREET_WORD = rf"(?:{UPPER}[\w'.-]*|d[aeo]s?|del|du|la|le|von|der|of|the)"
ADDRESS = (
    rf"(?:\d{{1,5}}[A-Za-z]?(?:[-/]\d{{1,5}})?,?\s(?:{_STREET_WORD}\s){{0,4}}{UPPER}[\w'-]*(?<!')"
    rf"|{UPPER}[\w'.-]*\s(?:{_STREET_WORD}\s){{0,4}}\d{{1,5}}[A-Za-z]?\b)(?:(?:,\s(?:\d{{4,5}}(?:-\d{{3}})?\s)?|\sin\s(?!\d|(?:{_CALENDAR})\b))(?:{NAME})){{0,2}}"
)

KIN = listed(
    """mother mom mum mama mommy mummy dad father papa daddy parents sister brother son daughter wife husband girlfriend boyfriend
    partner fiance fiancé fiancee fiancée spouse aunt auntie uncle cousin niece nephew grandma grandmother granny grandpa
    grandfather granddad grandson granddaughter stepmother stepfather stepsister stepbrother friend bestie boss manager supervisor
    colleague coworker co-worker roommate flatmate housemate neighbour neighbor landlord landlady teacher coach doctor dentist
    therapist assistant ex buddy mate kid baby twin classmate teammate mentor trainer professor in-laws mother-in-law father-in-law
    sister-in-law brother-in-law daughter-in-law son-in-law godmother godfather goddaughter godson"""
)
SEVERAL_OF = wordset(
    """friend colleague coworker co-worker neighbour neighbor cousin aunt uncle niece nephew teacher buddy mate kid classmate teammate
    professor baby ex doctor"""
)  # fmt: skip
# the attributes that tell the name of one of several: a second daughter is no other name of the first
SEVERAL_NAMES = frozenset(
    f"attr/{kin}"
    for kin in SEVERAL_OF | wordset(
        """brother sister son daughter twin stepbrother stepsister grandson granddaughter godson goddaughter brother-in-law sister-in-law
        son-in-law daughter-in-law"""
    )
)  # fmt: skip
SPECIES = {
    "dog": "dog pup puppy beagle spaniel labrador lab poodle retriever terrier dachshund collie husky corgi mutt bulldog pug greyhound "
    "whippet shepherd chihuahua boxer dalmatian schnauzer",
    "cat": "cat kitten kitty tabby siamese ragdoll tomcat",
    "rabbit": "rabbit bunny",
    "hamster": "hamster",
    "horse": "horse pony mare foal",
    "parrot": "parrot budgie parakeet cockatiel",
    "turtle": "turtle tortoise",
    "fish": "goldfish",
    "guinea pig": "guinea pig",
    "pet": "pet",
}
SPECIES_OF = {word: species for species, words in SPECIES.items() for word in words.split()} | {"guinea pig": "guinea pig"}
BREED = "|".join(sorted(SPECIES_OF, key=len, reverse=True))
KINSFOLK = {f"{kin}s": kin for kin in listed(
    """kid son daughter brother sister twin stepbrother stepsister grandson granddaughter cousin niece nephew roommate flatmate housemate"""
)} | {"children": "kid", "child": "kid"}  # fmt: skip
"""Words for several of one's own people, and what one of them is filed under."""
KINDS = "|".join(sorted((*(f"{species}s" for species in SPECIES_OF), *KINSFOLK.keys() - {"child"}), key=len, reverse=True))
"""Words for several pets or people."""
CAR_MAKES = (
    "Audi BMW Bentley Buick Cadillac Chevrolet Chevy Chrysler Citroën Citroen Corvette Cupra Dacia Dodge Ferrari Fiat Ford GMC Honda Hyundai "
    "Infiniti Jaguar Jeep Kia Lada Lamborghini Lancia Lexus Lincoln Maserati Mazda Mercedes Mini Mitsubishi Nissan Opel Peugeot Polestar "
    "Porsche Prius Renault Rivian Rover Saab Seat Skoda Škoda Smart Subaru Suzuki Tesla Toyota Vauxhall Volkswagen Volvo VW"
)
PARTNERS = "wife|husband|girlfriend|boyfriend|partner|spouse|fianc[eé]e?"


@dataclass(frozen=True, slots=True)
class Frame:
    """One wording: the words that wake it, its pattern from the verb on, its attribute, and an example of it."""

    words: str
    pattern: str
    attribute: str
    tells: Tells
    example: str
    value: str = ""  # the value where the wording itself is the value
    needs_be: bool = False  # predicate of "to be", "to get" or the like, not a verb of its own
    takes_get: bool = False  # ... or of "to get", "to go", "to turn"
    context: str = ""  # what else the sentence must hold, for wordings that alone may mean something else


LANGUAGE = (
    r"(?:(?:an?\s(?:little|bit\sof)|some|fluent|basic|broken|good|decent|native|conversational|only|both|mostly|mainly)\s)*"
    rf"(?P<v>(?!I\b|(?:{_CALENDAR})\b)(?:(?:Mandarin|Brazilian|European|Swiss|Latin\sAmerican|Canadian|British|American|Egyptian)\s)?{UPPER}[^\W\d_]{{2,}})\b(?!')"
)
INSTITUTION = (
    r"[Tt]he\s(?:[a-z]+\s)?(?:post\soffice|library|hospital|bank|police|army|navy|air\sforce|fire\s(?:department|brigade)|council|museum|zoo|"
    r"clinic|airport|ministry|courthouse|theatre|theater|orchestra|newspaper|factory|shipyard|bakery)"
)
_V = rf"(?P<v>{NAME})"
_COUNT = r"(?:two|three|four|five|six|seven|eight|[2-9]|several|some|a\scouple\sof|a\sfew)"
_THOSE = r"(?:(?P<listed>,|:|\s[-–—])|\s(?:called|named))\s+"  # behind a comma only a list tells their names
PETS = " ".join((*SPECIES_OF, *(f"{species}s" for species in SPECIES_OF))).replace("guinea pig", "guinea")
_THING = rf"(?P<v>{PHRASE})"
_WHERE = r"(?:(?:back|here|over|out|down|up|right|together|alone)\s+)*(?:in|near|outside(?:\sof)?)\s+(?:the\s(?:city|town|village)\sof\s)?"
_TO = r"(?:(?:back|over|out|down|up|here|away|there|house|permanently)\s+)*(?:from\s(?P<old>[\w\s'.&-]{2,40}?)\s)?(?:to|into)\s+"
_AT = r"(?:(?:here|over|out|part-time|full-time|remotely)\s+)?(?:as\s(?:an?\s|the\s)?[\w\s-]{3,30}?\s)?(?:at|for)\s+"
_FIRM = rf"(?P<v>{NAME}|{INSTITUTION})"
_JOB = r"(?P<v>(?!name\b)[a-z][\w-]+(?:\s[\w-]+){0,3})"
_MAKE = rf"(?P<v>(?:{'|'.join(CAR_MAKES.split())})\b(?:\s(?:{UPPER}|\d)[\w-]*){{0,2}})"
SCHOOL = r"(?:(?:[Tt]he\s)?(?:[A-Z][\w'-]+\s)*(?:University|College|School|Elementary|High|Primary|Nursery|Kindergarten|Preschool|Grammar|Academy|Institute|Uni|Polytechnic|Conservatory)(?:\sof(?:\s[A-Z][\w'-]+)+)?)"
_SCHOOL = rf"(?P<v>{SCHOOL})"
_STUDY = (
    r"stud(?:y|ies|ied|ying|ents?)|semester|schools?|universit\w+|uni|unis|college|class\w*|transferred|degree|campus|freshman|course|term"
)
_AT_WORK = rf"(?i)^(?!.*\b(?:{_STUDY})\b).*\b(?:jobs?|work\w*|quit|left|start\w*|hired|offer|signed|compan\w+|employ\w+|office|boss|switched|team)\b"
_AT_HOME = r"(?i)\b(?:liv\w+|mov\w+|home|settled|for good|based|resident|unpacked|relocat\w+)\b"
_NOT_STUDYING = rf"(?i)^(?!.*\b(?:{_STUDY})\b)"
_STUDYING = rf"(?i)\b(?:{_STUDY})\b"
_SINCE_WHEN = (
    r"\s*(?:$|[.,;!)…—–])|\s(?:in|at|on)\s(?!(?:bed|my|the|his|her|our|a)\b)|\s(?:last|this)\s(?!night)|\s(?:yesterday|today|recently|early(?=\W*$)|now|and|but"
    r"|because|after|when|so|\w+\s(?:days?|weeks?|months?|years?)\sago|a\s(?:few|couple\sof)\s\w+\sago|for\sgood|already|finally)\b"
)
BANKING = r"\b(?:changed|switched)\sbanks?\b|\bclosed\s(?:my|the|our)\s(?:[\w'-]+\s){0,2}account\b"  # who then moves, moves to a bank
# clubs and the like, of which one is a member, and is not employed by
CLUBS = r"(?i:club|team|choir|gym|band|orchestra|society|league|association|squad|ensemble|guild)"
_CLUB = rf"(?:an?\s|the\s|my\s(?:local\s)?|our\s(?:local\s)?)?(?:local\s|new\s)?(?P<v>(?!local|new)(?:(?!(?:with|the|an?|my|our|of|in|for|at|and|to|on)\s)[\w'&-]+\s){{1,3}}?{CLUBS}|(?i:gym|choir|band|orchestra))\b(?!\s(?:leader|lead|manager|meeting|lunch|dinner|call|thing))"
DOSE = r"\d[\d.,]*\s?(?:mg|mcg|µg|g|ml|units?|IU)"
DRUG = (
    r"(?i:[a-z]{3,}(?:pril|sartan|olol|statin|azole|[ie]llin|mycin|cycline|profen|xetine|traline|zepam|formin|tadine|izine|roxine|dipine|nisolone"
    r"|nisone|semide|thiazide|farin|barbital|lukast|setron|triptan|gabalin|pentin|azine|lopram)|antibiotics|antidepressants|antihistamines|insulin"
    r"|aspirin|paracetamol|melatonin|painkillers|statins|steroids|beta\sblockers|vitamin\s[a-k]\d*)"
)
_SUBJECT = (
    r"(?P<v>(?i:(?:[a-z]+\s)?(?:science|engineering|studies|history|literature|management|administration|therapy|design|law)|biology|chemistry|physics|math(?:s|ematics)"
    r"|economics|medicine|nursing|pharmacy|psychology|sociology|philosophy|linguistics|architecture|business|marketing|accounting|finance|journalism"
    r"|geography|geology|politics|statistics|dentistry|education|anthropology|archaeology|biochemistry|theology|theatre|music|fine\sarts?))\b"
)
DIET = r"(?P<v>intermittent\sfasting|vegetarian|vegan|pescatarian|keto|ketogenic|paleo|plant-based|[Mm]editerranean|low-carb|carnivore|flexitarian)"
_WITHOUT = r"(?P<x>(?:gluten|dairy|lactose|sugar|nut|wheat|alcohol)-free|halal|kosher|low-(?:sodium|salt|fat|FODMAP))"
TELEPHONE = (
    rf"(?P<v>(?:(?:iPhone|Galaxy|Pixel|Samsung(?:\sGalaxy)?|Google\sPixel|Nokia|Motorola|OnePlus|Xiaomi|Redmi|Huawei|Oppo|Fairphone|Sony\sXperia|Xperia)\b"
    rf"(?!\s(?i:tv|laptop|tablet|watch|charger|case|store))(?:\s(?:{UPPER}|\d)[\w+-]*){{0,3}}))"
)
_COMPUTER = r"(?P<v>(?:MacBook|ThinkPad|Chromebook|Surface|Dell|Lenovo|XPS)\b(?:\s(?:[A-Z]|\d)[\w+-]*){0,2})"
_GOT = r"(?:bought|got|upgraded\sto|switched\sto|changed\sto|moved\sto|purchased)"
BELONGINGS = (
    r"(?P<x>notes?|tasks?|to-?dos?|(?:to-?do|shopping|reading)\slists?|lists?|calendar|e-?mails?|passwords|photos|pictures|files|documents|budget|budgeting"
    r"|backups|music|podcasts|workouts|recipes|invoices|taxes|contacts|bookmarks|diary|journal)\b"
)
_MY_USE = rf"(?:for|with)\s(?:all\s)?(?:of\s)?my\s{BELONGINGS}"
_NEW_ONE = r"(?:an?|my|the)\s+(?:\w+\s){0,2}(?:jobs?|position|role|gig|post)\s+(?:as\s(?:an?\s)?[\w\s-]{3,30}?\s)?(?:at|with|for)\s+"

# fmt: off
FRAMES: tuple[Frame, ...] = (
    # where somebody lives
    Frame("live lives living", rf"liv(?:es?|ing)\s+{_WHERE}{_V}", "residence", "state", "I live in Porto."),
    Frame("reside resides residing", rf"resid(?:es?|ing)\s+{_WHERE}{_V}", "residence", "state", "We reside in Porto."),
    Frame("live lives living reside resides", rf"(?:live|lives|living|resides?)\s+(?:at|on)\s+(?P<v>{ADDRESS})", "residence/address", "state", "I live at 5 Elm Road."),
    Frame("moved relocated", rf"(?:moved|relocated)\s+{_TO}(?P<v>{ADDRESS})", "residence/address", "event", "I moved to 5 Elm Road, Leeds."),
    Frame("renting", rf"renting\s+(?:an?\s\w+\s)?at\s+(?P<v>{ADDRESS})", "residence/address", "state", "I'm renting at 5 Elm Road."),
    Frame("at", rf"at\s+(?P<v>{ADDRESS})(?=\s+now\b)", "residence/address", "state", "I'm at 5 Elm Road now.", needs_be=True),
    Frame("based", rf"based\s+(?:out\sof\s|{_WHERE}){_V}", "residence", "state", "I'm based in Porto.", needs_be=True),
    Frame("settled", rf"settled\s+(?:down\s+)?{_WHERE}{_V}", "residence", "event", "We settled in Porto."),
    Frame("in", rf"(?:back\s)?in\s{_V}", "residence", "state", "I'm in Porto for good.", needs_be=True, context=_AT_HOME),
    Frame("resident", rf"an?\s{_V}\s+resident", "residence", "state", "I'm a Porto resident.", needs_be=True),
    Frame("call calls", rf"calls?\s+{_V}\s+(?:my\s|our\s)?home", "residence", "state", "I call Porto home."),
    Frame("flat apartment house place home", rf"(?:have|has|got|rent|own|bought|live\sin)\s+an?\s+(?:\w+\s){{0,2}}(?:flat|apartment|house|place|home)\s+{_WHERE}{_V}", "residence", "state", "I rent a flat in Porto."),
    Frame("lived resided", rf"(?:lived|resided)\s+{_WHERE}{_V}", "residence", "past", "I lived in Porto."),
    Frame("spent", rf"spent\s[\w\s]{{1,20}}?(?:years?|months|decade)\s+{_WHERE}{_V}", "residence", "past", "I spent three years in Porto."),
    Frame("grew", rf"grew\s+up\s+{_WHERE}{_V}", "attr/hometown", "event", "I grew up in Porto."),
    Frame("moved relocated emigrated shifted", rf"(?:moved|relocated|emigrated|shifted)\s+{_TO}{_V}", "residence", "event", "I moved from Porto to Lisbon."),
    Frame("move", rf"made\s+the\s+move\s+{_TO}{_V}", "residence", "event", "We made the move to Lisbon."),
    Frame("moving", rf"ended\s+up\s+(?:moving\s+to|living\s+in|in)\s+{_V}", "residence", "event", "I ended up moving to Lisbon."),
    Frame("moving relocating", rf"(?:moving|relocating)\s+{_TO}{_V}", "residence", "next", "I'm moving to Lisbon."),
    Frame("move relocate", rf"(?:move|relocate)\s+{_TO}{_V}", "residence", "next", "I'll move to Lisbon."),
    # whom somebody works for
    Frame("work works working", rf"work(?:s|ing)?\s+{_AT}{_FIRM}", "employer", "state", "I work for Acme."),
    Frame("at for", rf"an?\s+(?P<job>[a-z][\w-]+(?:\s[a-z][\w-]+){{0,2}})\s+(?:at|for)\s+{_FIRM}", "employer", "state", "I'm a nurse at Acme.", needs_be=True),
    Frame("work works working", rf"work(?:s|ing)?\s+(?:at|for|in|with)\s+an?\s+(?:[a-z]+\s){{1,3}}?(?:called|named)\s+{_FIRM}", "employer", "state", "I work for a law firm called Acme."),
    Frame("teach teaches teaching", rf"teach(?:es|ing)?\s+(?:[a-z]+\s){{0,3}}?at\s+{_FIRM}", "employer", "state", "I teach maths at Acme High."),
    Frame("job", rf"(?:have|has|'ve\sgot|hold)\s+{_NEW_ONE}{_FIRM}", "employer", "state", "I have a job at Acme."),
    Frame("employed", rf"employed\s+(?:at|by|with)\s+{_FIRM}", "employer", "state", "I'm employed by Acme.", needs_be=True),
    Frame("living", rf"(?:earn|make)s?\s+(?:a|my)\sliving\s+(?:at|with)\s+{_FIRM}", "employer", "state", "I earn my living at Acme."),
    Frame("at", rf"at\s+{_V}", "employer", "state", "I left, I'm at Acme now.", needs_be=True, context=_AT_WORK),
    Frame("years", rf"at\s+{_FIRM}\s+for\s+(?:\w+\s){{1,2}}years", "employer", "state", "I've been at Acme for two years.", needs_be=True),
    Frame("worked", rf"worked\s+{_AT}{_FIRM}", "employer", "past", "I worked at Acme."),
    Frame("job", rf"had\s+{_NEW_ONE}{_FIRM}", "employer", "past", "I had a job at Acme."),
    Frame("joined", rf"joined\s+(?:the\s(?:team|staff|crew)\s(?:at|of)\s)?(?P<v>{NAME}|{INSTITUTION})", "employer", "event", "I joined Acme.", context=_NOT_STUDYING),
    Frame("joining", rf"joining\s+{_V}", "employer", "next", "I'm joining Acme.", context=_NOT_STUDYING),
    Frame("job jobs position role", rf"(?:started|got|landed|accepted|took|taken|found|began)\s+{_NEW_ONE}{_FIRM}", "employer", "event", "I started a new job at Acme."),
    Frame("hired", rf"hired\s+(?:by|at)\s+{_FIRM}", "employer", "event", "I was hired by Acme.", needs_be=True, takes_get=True),
    Frame("started", rf"started\s+(?:out\s|work\s|working\s)?(?:at|for)\s+(?!{_SCHOOL.replace('?P<v>', '?:')}){_FIRM}", "employer", "event", "I started working at Acme.", context=_NOT_STUDYING),
    Frame("starting start", rf"start(?:ing)?\s+(?:work\s|working\s)?(?:at|for)\s+{_V}", "employer", "next", "I'm starting at Acme.", context=_NOT_STUDYING),
    Frame("signed", rf"signed\s+(?:on\s)?with\s+{_V}", "employer", "event", "I took the offer and signed with Acme.", context=_AT_WORK),
    Frame("quit resigned", rf"(?:quit|resigned\sfrom)\s+{_V}", "employer", "end", "I quit Acme."),
    Frame("left quit", rf"(?:left|quit)\s+(?:my\s(?:old\s)?(?:job|position|role|post)\s(?:at|with)\s){_FIRM}", "employer", "end", "I left my job at Acme."),
    Frame("left quit lost resigned notice", r"(?:(?:left|quit|lost)\s+(?:my|the)\s+(?:old\s|current\s)?job|resigned|handed\sin\smy\snotice)\b", "employer", "end", "I quit my job."),
    Frame("fired laid go redundant", rf"(?:fired|laid\soff|let\sgo|made\sredundant)\b(?:\s(?:from|by|at)\s{_V})?", "employer", "end", "I got laid off.", needs_be=True, takes_get=True),
    Frame("retired", rf"retired(?:\s+(?:as\san?\s[\w\s-]{{3,30}}?\s)?from\s{_FIRM}|\s+from\s(?:work|my\s(?:old\s)?(?:job|career|work)))?(?={_SINCE_WHEN})", "employer", "end", "I retired last month."),
    Frame("unemployed retired between", r"(?:unemployed|retired|between\sjobs|out\sof\swork)\b", "employer", "end", "I'm retired.", needs_be=True),
    # what somebody is
    Frame("work works working", rf"work(?:s|ing)?\s+as\s+(?:an?|the)\s+{_JOB}", "job_title", "state", "I work as a nurse."),
    Frame("worked", rf"worked\s+as\s+(?:an?|the)\s+{_JOB}", "job_title", "past", "I worked as a nurse."),
    Frame("living", rf"(?:earn|make)s?\s+(?:a|my)\sliving\s+as\s+an?\s+{_JOB}", "job_title", "state", "I earn a living as a nurse."),
    Frame("became become", rf"(?:became|become)\s+(?:an?|the)\s+{_JOB}", "job_title", "event", "I became a nurse."),
    Frame("promoted", rf"promoted\s+to\s+(?:an?\s|the\s)?{_JOB}", "job_title", "event", "I got promoted to head nurse.", needs_be=True, takes_get=True),
    Frame("hired", rf"hired\s+as\s+(?:an?\s|the\s)?{_JOB}", "job_title", "event", "I was hired as a nurse.", needs_be=True, takes_get=True),
    Frame("job", rf"(?:got|started|found|landed|took)\s+(?:an?|my)\s(?:new\s)?(?:job|position|role)\s+as\s+(?:an?|the)\s+{_JOB}", "job_title", "event", "I got a job as a nurse."),
    Frame("a an the", rf"(?:an?|the)\s+{_JOB}", "job_title", "state", "I'm a nurse.", needs_be=True),
    # how old
    Frame("turned", r"turned\s+(?P<v>\d{1,3}|[a-z]+(?:-[a-z]+)?)\b(?!\s+(?!yesterday|today|last|this|on|in|and|so|but|now)[a-z])", "age", "event", "I turned 31."),
    Frame("turn", r"turn\s+(?P<v>\d{1,3})\b", "age", "event", "Today I turn 31.", context=r"(?i)\btoday\b"),
    Frame("years", r"(?P<v>\d{1,3}|[a-z]+(?:[- ][a-z]+)?)\s*years?[\s-]old", "age", "state", "I'm 31 years old.", needs_be=True),
    Frame("#", r"(?P<v>\d{1,3})(?=\s*(?:$|[.,;!)…]|\b(?:now|today|already|and|but|by\sthe\sway|btw|after\sall|remember)\b))(?![.,]\d)", "age", "state", "I'm 31.", needs_be=True),
    Frame("#", r"an?\s(?P<v>\d{1,3})[\s-]years?[\s-]old", "age", "state", "I'm a 31-year-old.", needs_be=True),
    # marital status
    Frame("single", r"(?:a\s)?(?P<v>single)\b(?!\s(?!now|again|and|but|these|for|at|since|man|woman|mom|mum|mother|dad|father|parent)\w)", "marital_status", "state", "I'm single.", needs_be=True, takes_get=True),
    Frame("married", r"(?:a\s)?(?P<v>married)\b(?!\sto\s(?:my|the|his|her)\s(?!wife|husband|best|college|high|love)|\scouple)", "marital_status", "state", "I'm married.", needs_be=True, takes_get=True),
    Frame("engaged", r"(?P<v>engaged)\b(?!\s(?:in|with))", "marital_status", "state", "I'm engaged.", needs_be=True, takes_get=True),
    Frame("divorced", r"(?P<v>divorced)\b", "marital_status", "state", "We got divorced.", needs_be=True, takes_get=True),
    Frame("divorced", rf"(?P<v>divorced)\b(?=\s+{NAME}|\s*(?:$|[.,;!])|\s+(?:in|on|last|this|two|three|years|after)\b)", "marital_status", "event", "I divorced Freya."),
    Frame("separated", r"(?P<v>separated)\b", "marital_status", "state", "We are separated.", needs_be=True, takes_get=True),
    Frame("widowed", r"(?P<v>widowed)\b", "marital_status", "state", "I am widowed.", needs_be=True, takes_get=True),
    Frame("tied", r"tied\s+the\s+knot", "marital_status", "event", "We tied the knot.", "married"),
    Frame("boyfriend girlfriend", r"(?:have|has|got)\s+an?\s+(?:new\s)?(?:boyfriend|girlfriend)\b", "marital_status", "state", "I have a girlfriend.", "in a relationship"),
    Frame("broke broken split", r"(?:broke|broken|split)\s+up\b(?!\s(?:the|a|into))", "marital_status", "event", "We broke up.", "single"),
    # partner
    Frame("dating seeing", rf"(?:dating|(?P<seeing>seeing)(?!\s(?:Dr|Prof|Mrs?|Ms|Doctor|Professor|Father|Santa)\b))\s+(?P<someone>(?:some(?:one|body)(?:\s(?:new|special))?|an?\s(?:\w+\s)?(?:girl|guy|boy|woman|man))\s?,?\s(?:(?:called|named|(?:her|his)\sname\sis)\s)?)?{_V}", "partner", "state", "I'm dating Freya."),
    Frame("married engaged together relationship", rf"(?:married\sto|engaged\sto|together\swith|in\sa\srelationship\swith)\s+{_V}", "partner", "state", "I'm married to Freya.", needs_be=True, takes_get=True),
    Frame("married", rf"married\s+{_V}", "partner", "event", "I married Freya."),
    Frame("dated", rf"dated\s+{_V}", "partner", "past", "I dated Freya."),
    Frame("date", rf"date\s+{_V}", "partner", "state", "I used to date Freya."),
    Frame("broke broken split", rf"(?:broke|broken|split)\s+up\s+with\s+{_V}", "partner", "end", "I broke up with Freya."),
    Frame("divorced separated", rf"(?:divorced\s+(?:from\s+)?|separated\s+from\s+){_V}", "partner", "end", "I divorced Freya."),
    Frame("with", rf"with\s+{_V}", "partner", "state", "I'm no longer with Freya.", needs_be=True, context=r"(?i)\b(?:no longer|any\s?more)\b"),
    Frame("stepped", rf"stepped\s+down\s+as\s+(?:an?\s|the\s)?{_JOB}", "job_title", "end", "I stepped down as manager."),
    # diet, and how somebody takes things
    Frame("take takes drink drinks have has", r"(?:take|drink|have)s?\s+my\s+(?P<x>coffee|tea|steak|eggs)\s+(?:now\s)?(?P<v>(?:black|white|medium|rare|well|with(?:out)?\s(?!you\b|him\b|her\b|them\b|friends\b|my\b)[a-z]+)\b(?:\s(?!now\b|these\b|and\sI\b|because\b)[a-z]+){0,4})", "takes/{x}", "state", "I take my coffee with milk."),
    Frame("take takes have has", r"(?:take|have)s?\s+(?P<v>(?!it\b)(?:[a-z]+\s){0,3}[a-z]+)\s+in\s+my\s+(?P<x>coffee|tea)(?=\W*$|\s*[.,;!]|\s(?:and|now|every)\b)", "takes/{x}", "state", "I take two sugars in my coffee."),
    Frame("prefer prefers", r"prefers?\s+(?:an?|the)\s+(?P<v>[a-z-]+)\s+(?P<x>seat|room|bed|pillow|mattress|table|view|shift|desk|keyboard|mouse)\b", "prefers/{x}", "state", "I prefer a window seat."),
    Frame("vegetarian vegan pescatarian flexitarian keto", r"(?:an?\s)?(?:strict\s|full\s)?(?P<v>vegetarian|vegan|pescatarian|flexitarian|keto)\b(?!\s(?!again|now|any|since|for|and|but|these|as|so|in|too|because|last|this)[a-z])", "diet", "state", "I'm vegan.", needs_be=True, takes_get=True),
    Frame("diet", rf"(?:eat|eats|eating|follow|follows|following|on|have|keep)\s+(?:an?|the)\s+(?:strict\s)?{DIET}\s+diet", "diet", "state", "I follow a vegan diet."),
    Frame("switched changed moved started went", rf"(?:switched|changed|moved|went\sover|gone\sover|started)\s+(?:from\s[\w-]+\s)?(?:to|on)\s+(?:an?\s|the\s)?(?:strict\s)?{DIET}(?:\s+(?:diet|eating))?\b(?!-)", "diet", "event", "I switched to a vegan diet."),
    Frame("doing", rf"doing\s+{DIET}(?=\W*$|\s*[.,;!]|\s(?:now|again|at|since|for|because|and|this|these)\b)", "diet", "state", "I'm doing keto."),
    Frame("stopped quit gave", rf"(?:stopped|quit|gave\sup|given\sup)\s+(?:doing\s|eating\s|being\s|the\s)?{DIET}(?:\s+diet)?\b", "diet", "end", "I stopped keto."),
    Frame("diet eating", rf"(?:on|follow|follows|following|have|keep|eat|eats|eating)\s+(?:(?:an?|the)\s+(?:strict\s)?)?{_WITHOUT}(?:\s+diet)?\b", "avoids/{x}", "state", "I'm on a gluten-free diet.", "yes"),
    Frame("gluten-free dairy-free lactose-free sugar-free nut-free wheat-free alcohol-free halal kosher low-sodium low-salt low-fat", rf"{_WITHOUT}\b(?!\s(?:bread|food|pasta|beer|flour|milk|snack|recipe|option|product|meal|restaurant))", "avoids/{x}", "state", "I'm gluten-free.", "yes", needs_be=True, takes_get=True),
    Frame("meat", r"eat(?:ing)?\s+(?:any\s)?meat\b", "diet", "state", "I eat meat again.", "omnivore"),
    Frame("fish", r"eat(?:ing)?\s+fish\s+(?:now|again|these\sdays)\b", "diet", "state", "I eat fish now.", "pescatarian"),
    Frame("meat", r"(?:gave|given)\s+up\s+(?:eating\s)?meat\b", "diet", "event", "I gave up meat.", "vegetarian"),
    # car
    Frame("drive drives driving", rf"driv(?:es?|ing)\s+(?:an?|the|my|our)\s+(?:[a-z]\w*\s)?{_V}", "car", "state", "I drive a Volvo."),
    Frame("own owns have has got", rf"(?:owns?|have|has|got)\s+(?:an?|the)\s+(?:[a-z]\w*\s)?{_MAKE}", "car", "state", "I own a Volvo."),
    Frame("bought purchased leased", rf"(?:bought|purchased|leased)\s+(?:myself\s|ourselves\s)?(?:an?\snew\scar[,:]\s)?(?:an?|the)\s+(?:[a-z]\w*\s)?{_MAKE}", "car", "event", "I bought a Volvo."),
    Frame("car", rf"(?:bought|got)\s+an?\snew\scar[,:]\s(?:it's\s)?(?:an?|the)\s+{_V}", "car", "event", "I got a new car, a Volvo."),
    Frame("switched traded swapped replaced exchanged part-exchanged", rf"(?:switched|traded|swapped|replaced|(?:part-)?exchanged)\s[\w\s'-]{{0,40}}?(?:to|for|with)\s+(?:an?|the)\s+(?:[a-z]\w*\s)?{_MAKE}", "car", "event", "I traded my Ford for a Volvo."),
    Frame("sold rid", rf"(?:sold|got\srid\sof)\s+(?:my|our|the)\s+(?:old\s)?(?:car\b|{_MAKE})", "car", "end", "I sold my Volvo."),
    Frame("car", r"(?:have|own|drive)\s+(?:a|any|my)\s+car\b", "car", "state", "I no longer have a car."),
    # what somebody's own people are called
    Frame("called named", rf"(?:have|has|had|got)\s+(?:an?|two|another)\s+(?:\w+\s)?(?P<x>(?!(?:{PARTNERS})\b){'|'.join(sorted(KIN, key=len, reverse=True))})\s(?:called|named)\s+{_V}", "attr/{x}", "state", "I have a colleague called Max."),
    Frame(" ".join(KINSFOLK), rf"(?:have|has|got)\s+(?P<v>{_COUNT})\s+(?:\w+\s){{0,2}}?(?P<x>{'|'.join(KINSFOLK)})(?=\W*$|\s*[.,;!:]|\s(?:now|and|already)\b)", "count/{x}", "state", "I have three kids."),
    Frame(" ".join(KINSFOLK), rf"(?:have|has|had|got)\s+{_COUNT}\s+(?:\w+\s){{0,2}}(?P<x>{'|'.join(KINSFOLK)}){_THOSE}{_V}", "attr/{x}", "state", "I have two sons, Max and Ben."),
    # school
    Frame("study studies studying", rf"stud(?:y|ies|ying)\s+(?:[a-z]+\s){{0,3}}?at\s+(?!(?i:present|home|night|the\smoment)\b){_V}", "school", "state", "I study at Delft."),
    Frame("student freshman sophomore junior senior undergrad", rf"an?\s(?:[a-z]+\s){{0,2}}(?:student|freshman|sophomore|junior|senior|undergrad)\sat\s{_V}", "school", "state", "I'm a student at Delft.", needs_be=True),
    Frame("attend attends attending", rf"attend(?:s|ing)?\s+{_V}", "school", "state", "I attend Delft."),
    Frame("go goes going", rf"go(?:es|ing)?\s+to\s+(?:school|uni|university|college)\s+(?:at|in)\s+{_V}", "school", "state", "I go to school at Delft."),
    Frame("nursery kindergarten preschool primary", rf"go(?:es)?\s+to\s+(?P<v>{NAME}\s(?:nursery|kindergarten|preschool|primary))\b", "school", "state", "My son goes to Oakfield nursery."),
    Frame("go goes", rf"go(?:es)?\s+to\s+{_SCHOOL}", "school", "state", "I go to Delft University."),
    Frame("studied", rf"studied\s+(?:[a-z]+\s){{0,3}}?at\s+{_V}", "school", "past", "I studied at Delft."),
    Frame("graduated degree", rf"(?:graduated\s+from|got\s+my\s+degree\s+(?:from|at))\s+{_V}", "school", "past", "I graduated from Delft."),
    Frame("went", rf"went\s+to\s+{_SCHOOL}", "school", "past", "I went to Delft University."),
    Frame("transferred", rf"transferred\s+to\s+{_V}", "school", "event", "I transferred to Delft.", context=r"^(?!.*\b(?:work|job|office|team)\b)"),
    Frame("enrolled", rf"enrolled\s+(?:at|in)\s+{_V}", "school", "event", "I enrolled at Delft."),
    Frame("started switched", rf"(?:started\s+at|switched\s+to)\s+{_SCHOOL}", "school", "event", "I started at Delft University."),
    Frame("started at", rf"(?:started\s)?at\s+{_V}", "school", "event", "I switched schools, I'm at Delft now.", needs_be=True, context=_STUDYING),
    Frame("started", rf"started\s+at\s+{_V}", "school", "event", "I started at Delft this semester.", context=_STUDYING),
    Frame("dropped finished left", r"(?:dropped\s+out|(?:finished|left)\s+(?:my\sstudies|university|college|uni))\b", "school", "end", "I dropped out."),
    Frame("grade", r"in\s+(?:the\s)?(?P<v>\d{1,2}(?:st|nd|rd|th)|first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth)\s+grade\b", "attr/grade", "state", "I'm in 10th grade.", needs_be=True),
    Frame("year class grade", r"in\s+(?:year|class|grade)\s+(?P<v>\d{1,2}[A-Da-d]?)\b(?!\s(?:days|hours|times|weeks|of))", "attr/grade", "state", "My son is in class 4B.", needs_be=True),
    # what somebody studies, learns and attends
    Frame("majoring major majored", rf"major(?:ing)?\s+in\s+{_SUBJECT}", "attr/major", "state", "I'm majoring in biology."),
    Frame("study studies studying", rf"stud(?:y|ies|ying)\s+{_SUBJECT}", "attr/major", "state", "I study biology."),
    Frame("student", rf"an?\s{_SUBJECT}\s+(?:student|major)\b", "attr/major", "state", "I'm a biology student.", needs_be=True),
    Frame("switched changed transferred", rf"(?:switched|changed|transferred)\s+(?:my\s(?:major|course|degree)\s)?(?:from\s(?P<old>[a-z][a-z ]{{2,30}}?)\s)?to\s+{_SUBJECT}", "attr/major", "event", "I switched to pharmacy."),
    Frame("learning", rf"(?:(?:swapped|switched|changed)\s+to\s+)?learning\s+{LANGUAGE}", "learning", "state", "I'm learning Spanish."),
    Frame("learn learns", rf"learns?\s+{LANGUAGE}", "learning", "state", "I learn Spanish."),
    Frame("course class", r"(?:taking|doing|take|takes|attending|on|enrolled\sin)\s+an?\s+(?:(?:evening|online|night|weekend|part-time)\s)?(?:course|class)\s+(?:in|on)\s+(?P<v>(?!that|this|it\b|the\b|my\b|[a-z]+days?\b)[a-z][\w-]+(?:\s[a-z][\w-]+)?)", "course/{v}", "state", "I'm taking a course in accounting."),
    Frame("course class", r"(?:taking|doing|take|takes|attending|on)\s+an?\s+(?:(?:evening|online|night|weekend|part-time)\s)?(?P<v>(?!evening|online|night|weekend)[a-z][\w-]+)\s+(?:course|class)\b", "course/{v}", "state", "I'm taking a pottery class."),
    Frame("finished completed dropped quit left stopped", r"(?:finished|completed|dropped(?:\sout\sof)?|quit|left|stopped)\s+(?:the|my)\s+(?:(?:evening|online|night)\s)?(?P<v>[a-z][\w-]+)\s+(?:course|class)\b", "course/{v}", "end", "I finished the accounting course."),
    # clubs, what is taken and what is used
    Frame("member", rf"an?\s+member\s+(?:of|at)\s+{_CLUB}", "member/{v}", "state", "I'm a member of a chess club.", needs_be=True),
    Frame("play plays playing sing sings singing row rows run runs train trains swim swims dance act", rf"(?:play|sing|row|run|train|swim|dance|act)(?:s|ing)?\s+(?:[a-z]+\s){{0,2}}?(?:in|for|with|at)\s+{_CLUB}", "member/{v}", "state", "I sing in the Riverside Choir."),
    Frame("belong belongs", rf"belongs?\s+to\s+{_CLUB}", "member/{v}", "state", "I belong to a chess club."),
    Frame("joined", rf"joined\s+{_CLUB}", "member/{v}", "event", "I joined a chess club."),
    Frame("done through", rf"(?:done|through|finished)\s+with\s+(?:the|my)\s+(?P<v>{DRUG})\b", "medicine/{v}", "end", "I'm done with the antibiotics.", needs_be=True),
    Frame("in", rf"in\s+{_CLUB}", "member/{v}", "state", "I'm in a chess club.", needs_be=True),
    Frame("take takes taking", rf"tak(?:e|es|ing)\s+(?:{DOSE}\s(?:of\s)?)?(?P<v>{DRUG})\b(?!\s+for\s+my\s)", "medicine/{v}", "state", "I take sertraline every day."),
    Frame("take takes taking", rf"tak(?:e|es|ing)\s+(?:{DOSE}\s(?:of\s)?)?(?P<v>{DRUG})\s+for\s+my\s+(?P<x>[a-z][a-z-]+(?:\s(?:fever|pressure|pain|disease|problems?|attacks?|levels?|failure))?)", "medicine/for {x}", "state", "I take cetirizine for my hay fever."),
    Frame("finished", rf"finished\s+(?:the|my)\s+(?:course\sof\s)?(?P<v>{DRUG})\b", "medicine/{v}", "end", "I finished the antibiotics."),
    Frame("subscription membership", rf"(?:have|has|got)\s+an?\s+(?P<v>{NAME})\s+(?:subscription|membership)\b", "subscription/{v}", "state", "I have a Netflix subscription."),
    Frame("pay pays paying", rf"pay(?:s|ing)?\s+for\s+(?:an?\s)?{_V}(?:\s+(?:subscription|membership))?", "subscription/{v}", "state", "I pay for Netflix."),
    Frame("subscribe subscribes", rf"subscribes?\s+to\s+{_V}(?!')(?<!'s)", "subscription/{v}", "state", "I subscribe to Netflix."),
    Frame("subscribed", rf"subscribed\s+to\s+{_V}", "subscription/{v}", "state", "I'm subscribed to Netflix.", needs_be=True),
    Frame("bank banks banking", rf"bank(?:s|ing)?\s+(?:with|at)\s+{_V}", "attr/bank", "state", "I bank with Barclays."),
    Frame("moved switched changed", rf"(?:moved|switched|changed)\s+(?:everything|(?:all\s)?(?:of\s)?my\s(?:accounts?|money|banking|savings))\s+(?:over\s)?to\s+{_V}", "attr/bank", "event", "I changed banks and moved everything to Starling.", context=r"(?i)\b(?:banks?|banking|accounts?)\b"),
    Frame("moved switched changed", rf"(?:moved|switched|changed)\s+(?:over\s)?to\s+{_V}", "attr/bank", "event", "I closed the Acme account and moved to Starling.", context=BANKING),
    Frame("instagram facebook twitter tiktok linkedin bluesky mastodon threads snapchat reddit whatsapp signal telegram", r"on\s+(?P<v>Instagram|Facebook|Twitter|TikTok|LinkedIn|Bluesky|Mastodon|Threads|Snapchat|Reddit|WhatsApp|Signal|Telegram)(?=\W*$|\s(?:as|under|too|now)\b)", "uses/{v}", "state", "I'm on Instagram.", needs_be=True),
    Frame("keep keeps store", rf"(?:keeps?|store)\s+(?:all\s)?(?:of\s)?my\s+{BELONGINGS}\s+(?:in|on)\s+{_V}", "uses for/{x}", "state", "I keep my notes in Evernote."),
    Frame("use uses using", rf"us(?:e|es|ing)\s+{_V}\s+{_MY_USE}", "uses for/{x}", "state", "I use Evernote for my notes."),
    Frame("switched moved changed", rf"(?:switched|moved|changed)\s+(?:over\s)?to\s+{_V}\s+{_MY_USE}", "uses for/{x}", "event", "I switched to Notion for my notes."),
    Frame("moved", rf"moved\s+(?:all\s)?(?:of\s)?my\s+{BELONGINGS}\s+(?:over\s)?(?:from\s{NAME}\s)?to\s+{_V}", "uses for/{x}", "event", "I moved my notes to Notion."),
    Frame("have has own owns use uses using", rf"(?:have|has|owns?|us(?:e|es|ing))\s+(?:an?|the|my)\s+(?:new\s)?{TELEPHONE}", "device/phone", "state", "I have an iPhone 12."),
    Frame("bought got upgraded switched changed moved purchased", rf"{_GOT}\s+(?:myself\s)?(?:an?|the)\s+(?:new\s)?{TELEPHONE}", "device/phone", "event", "I bought a Pixel 8."),
    Frame("replaced", rf"replaced\s+my\s+(?:old\s)?phone\s+with\s+(?:an?|the)\s+(?:new\s)?{TELEPHONE}", "device/phone", "event", "I replaced my phone with a Pixel 8."),
    Frame("use uses using", rf"us(?:e|es|ing)\s+(?:an?|my)\s+{_V}", "uses/{v}", "state", "I use a Fitbit."),
    Frame("have has own owns use uses using", rf"(?:have|has|owns?|us(?:e|es|ing))\s+(?:an?|the|my)\s+(?:new\s)?{_COMPUTER}", "device/laptop", "state", "I have a ThinkPad."),
    Frame("bought got upgraded switched changed moved purchased", rf"{_GOT}\s+(?:myself\s)?(?:an?|the)\s+(?:new\s)?{_COMPUTER}", "device/laptop", "event", "I bought a MacBook."),
    # birthday
    Frame("born", rf"born\s+on\s+{_THING}", "birthday", "state", "I was born on May 4.", needs_be=True),
    Frame("birthday", rf"have\s+my\s+birthday\s+on\s+{_THING}", "birthday", "state", "I have my birthday on May 4."),
    # allergies
    Frame("allergic", rf"allergic\s+to\s+(?:is\s)?{_THING}", "allergy", "state", "I'm allergic to peanuts.", needs_be=True),
    Frame("allergy", rf"an?\s+(?:severe\s|bad\s)?allergy\s+to\s+{_THING}", "allergy", "state", "I have an allergy to peanuts."),
    Frame("allergy", r"(?:have|has|got)\s+an?\s+(?:severe\s|bad\s)?(?P<v>(?!severe|bad|food|mild)[\w-]+(?:\s\w+)?)\s+allergy", "allergy", "state", "I have a peanut allergy."),
    Frame("outgrown outgrew", r"outgr(?:own|ew)\s+(?:my|his|her|their|the)\s+(?P<v>[a-z]+)\s+allergy", "allergy", "end", "I've outgrown my egg allergy."),
    # likes
    Frame("like likes love loves enjoy enjoys adore adores", rf"(?:likes?|loves?|enjoys?|adores?)\s+(?!(?:by|at|in|on|for|with|from)\s){_THING}", "likes/{v}", "state", "I love mushrooms."),
    Frame("liking loving enjoying", rf"(?:liking|loving|enjoying)\s+{_THING}", "likes/{v}", "state", "I started liking mushrooms.", context=r"(?i)\b(?:started|began|stopped)\b"),
    Frame("hate hates dislike dislikes detest detests", rf"(?:hates?|dislikes?|detests?)\s+{_THING}", "likes/{v}", "state", "I hate mushrooms."),
    Frame("stand", rf"stand\s+{_THING}", "likes/{v}", "state", "I can't stand mushrooms."),
    Frame("gone went", rf"(?:gone|went)\s+off\s+{_THING}", "likes/{v}", "event", "I've gone off mushrooms."),
    Frame("fan", rf"an?\s+(?:big\s|huge\s|great\s)?fan\s+of\s+{_THING}", "likes/{v}", "state", "I'm a big fan of mushrooms.", needs_be=True),
    # pets
    Frame(PETS, rf"(?:(?:adopted|got|bought|rescued)\s+)?(?:an?|two|the)\s+(?:\w+\s){{0,2}}(?P<x>{BREED})s?(?:\s(?:is|was|will\sbe))?,?\s+(?:called|named|whose\sname\sis|by\sthe\sname\sof)\s+{_V}", "pet_name/{x}", "state", "I have a dog called Rex."),
    Frame(PETS, rf"(?:have|has|got|adopted)\s+an?\s+(?:\w+\s){{0,2}}(?P<x>{BREED}),\s+{_V}", "pet_name/{x}", "state", "I have a dog, Rex."),
    Frame(PETS, rf"(?:have|has|got|adopted)\s+{_COUNT}\s+(?:\w+\s){{0,2}}(?P<x>{BREED})s{_THOSE}{_V}", "pet_name/{x}", "state", "We have two dogs, Rex and Luna."),
    # languages
    Frame("speak speaks", rf"(?:can\s+)?speaks?\s+{LANGUAGE}", "language", "state", "I speak French."),
)
# fmt: on


def _compiled() -> dict[str, list[tuple[Frame, re.Pattern[str]]]]:
    """Return the frames by the words that wake them."""
    index: dict[str, list[tuple[Frame, re.Pattern[str]]]] = {}
    for frame in FRAMES:
        pattern = re.compile(r"(?<![\w'])" + frame.pattern)
        for word in frame.words.split():
            index.setdefault(word, []).append((frame, pattern))
    return index


BY_WORD = _compiled()
