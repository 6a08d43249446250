"""What stands in a turn and is no statement of its speaker's: text to work on, quotations, mail, a log of a chat, a part played,
what is to be forgotten.

"Translate to French: I live in Berlin." says nothing of who asks. What is material is decided by how it is introduced
(a request to work on text, "here is the draft:", "Jane wrote:", a name and a colon, the head or the foot of a letter, marks
of quotation), never by what it says. When unsure it is material: no claim is made of it, and its words are kept as all are.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise

from loci.text.wording.subjects import key, person
from loci.text.wording.verbs import KIN, UPPER
from loci.text.wording.words import wordset

Span = tuple[int, int]

_HEAD = 240  # characters of a sentence in which what introduces material is looked for
_LETTER = r"[^\W\d_]"  # where upper and lower case are one

_TEXT = (
    r"(?:texts?|e-?mails?|letters?|messages?|repl(?:y|ies)|responses?|sentences?|paragraphs?|passages?|essays?|articles?|posts?|tweets?"
    r"|captions?|poems?|haikus?|limericks?|songs?|lyrics|raps?|verses?|stor(?:y|ies)|tales?|novels?|chapters?|scenes?|scripts?|screenplays?"
    r"|dialog(?:ue)?s?|monologues?|speech(?:es)?|toasts?|jokes?|quot(?:e|ation)s?|drafts?|bios?|biograph(?:y|ies)|blurbs?|cvs?|r[eé]sum[eé]s?"
    r"|summar(?:y|ies)|transcripts?|reviews?|statements?|ads?|adverts?|slogans?|testimonials?|descriptions?|conversations?)"
)
_DETERMINER = rf"(?:an?|the|this|that|these|my|our|your|his|her|their|some|another|one|two|three|\d+|{_LETTER}[\w-]*'s)"
_LEAD = (
    r"\W{0,8}(?:(?:please|pls|hey|hi|hello|okay|ok|so|now|and|then|also|next|first|just|great|thanks|thank\syou|perfect)\b[\s,!.-]*+)*+"
    rf"(?:{_LETTER}\w*,\s)?"
)
_ASKING = (
    r"(?:(?:can|could|would|will)\s(?:you|u|we)\s|would\syou\smind\s|(?:i'd\slike|i\swould\slike|i\swant|i\sneed)\syou\sto\s"
    r"|(?:let's|let\sus)\s|help\s(?:me|us)\s(?:to\s|with\s)?|(?:please|kindly|just|also|quickly|now)\s|go\sahead\sand\s)*+"
)
# verbs that are of text whatever their object is; verbs that are where it is; and those that make text
_WORKS = (
    r"(?:translat|re-?writ|rephras|paraphras|summari[sz]|transcrib)(?:e|ing)\b|(?:reword|proof-?read|spell-?check|copy-?edit)(?:ing)?\b"
)
_WORKS_ON = (
    rf"(?:edit|correct|fix|improve|polish|shorten|lengthen|expand|(?:re)?format|convert|check|review|analy[sz]e|classify|parse|read|grade|turn"
    rf"|explain|continue|complete|finish|reply\sto|respond\sto|answer|tidy\sup|clean\sup|look\s(?:at|over)|extract\s[\w\s]{{1,30}}?\sfrom)\s"
    rf"{_DETERMINER}\s(?:[\w'-]+\s){{0,3}}?{_TEXT}\b"
    r"|(?:edit|correct|fix|improve|polish|shorten|format|convert|turn|put)\s(?:this|these|the\sfollowing)(?=\s*:|\s(?:into|in)\b)"
    r"|make\s(?:this|it)\ssound\b"
)
_MAKES = (
    rf"(?:writ(?:e|ing)|draft(?:ing)?|compos(?:e|ing)|generate|create|craft|invent|make\sup|come\sup\swith|give|tell|sing|recite)\s"
    rf"(?:(?:me|us|him|her)\s)?(?:{_DETERMINER}\s)?(?:[\w'-]+\s){{0,4}}?{_TEXT}\b"
    r"|(?:write|say|repeat|type|print|output|echo|spell|pronounce)(?:\s(?:this|the\sfollowing|after\sme|exactly))?(?=\s?:)"
)
_REQUEST = re.compile(rf"(?i:{_LEAD}{_ASKING}(?:(?P<on>{_WORKS}|{_WORKS_ON})|{_MAKES}))")
_POINTING = re.compile(
    r"(?i)\b(?P<this>these|(?:this|that|it)(?!\s(?:week|month|year|morning|afternoon|evening|weekend|summer|winter|spring|autumn|fall|day)))\b"
    r"|\b(?P<after>the\sfollowing|below)\b|\babove\b"
)
_FEIGNED = re.compile(
    rf"""(?ix) {_LEAD} (?:
      (?:let's\ssay|let's\spretend|let's\simagine|let's\sassume|let's\ssuppose|imagine|pretend|suppose|assume|what\sif|hypothetically)
        ,?\s(?:that\s)?(?:i|i'm|you|you're|we|we're|he|she|they|my|it's|there|an?|the)\b
    | (?:{_ASKING}|i(?:'d\slike|\swant|\swould\slike)\sto\s)(?:(?:do|try|play|start|have)\s)?(?:(?:an?|some|another)\s(?:\w+\s)?)?role-?\s?play
    | in\s(?:this|our|the)\s(?:role-?play|story|game|scene|scenario|novel)\b
      (?!\s(?:industry|business|world|sector|studio|company|development|design)\b))"""
)
_GAMES = (
    r"sims|minecraft|animal\scrossing|stardew(?:\svalley)?|skyrim|second\slife|roblox|gta|fallout|zelda|pok[eé]mon|d&d|dungeons\s(?:&|and)\sdragons"
    r"|world\sof\swarcraft|wow|cyberpunk|monopoly"
)
_IN_A_TALE = rf"""(?:
      in\s(?:an?|the|this|that|another|one\sof\smy|my|our|his|her)\s(?:[\w'-]+\s){{0,2}}(?:novels?|stor(?:y|ies)|games?|dreams?|films?|movies?|plays?|series|show
        |campaign|screenplay|comics?|fan\s?fic(?:tion)?|fantasy|imagination|simulation)
    | in\s(?:the\s)?(?:{_GAMES})(?:\s\d)?)"""  # verbose
_TRAILING = re.compile(
    rf"""(?ix) ,?\s (?:but\s)? (?:at\sleast\s|only\s|just\s)* {_IN_A_TALE}
      (?:\s(?:(?:that|which)\s|(?:i'm|i\sam|we're|we\sare)\s(?:writing|reading|playing|making|watching|running|working))[^.!?;\n]*)?
      (?: \W*\Z | \s*[.!?;)\n] | ,\s | \s(?:and|but|so)\b )"""
)
_ELSEWHERE = re.compile(
    rf"""(?ix) {_LEAD} (?:
      {_IN_A_TALE}
    | according\sto\s(?:the\s(?:internet|app|website|site|papers?|press|news)|(?:my|his|her|their)\s(?:[\w'-]+\s)?(?:profile|cv|bio|horoscope|page|account)
        |(?!(?:me|my|our|his|the|this|that|dr|doctors?)\b)[\w'.-]+(?:\s(?!I\b)(?-i:[A-Z])[\w-]*){{0,2}})
    ) (?:,\s|\s(?=(?:i|i'm|i've|im|we|we're|my|our)\b))"""
)
_UNSAID = re.compile(
    rf"""(?ix) {_LEAD} (?:you\s(?:can|may|should|must)\s|{_ASKING})
    (?:forget|(?:don't|dont|do\snot|never|stop|no\sneed\sto)\s(?:remember|stor|sav|keep|kept|not|record)(?:e|ing)?)
      \s(?:(?:about\s)?the\sfact\s)?(?=that\s\w|i\b|my\b|we\b|our\b|what\s)
    | {_LEAD} {_ASKING} (?:erase|delete|remove|ignore|disregard)\s(?:the\sfact\s)?(?=that\s\w)"""
)
_AFRESH = re.compile(r"(?i)[,;:—–]\s(?:and\s|but\s|because\s|since\s)?(?:i|i'm|we|my|it|it's)\b")
_REPORTING = (
    r"(?:wrote|writes|said|says|told|tells|asked|texted|e-?mailed|messaged|replied|answered|commented|posted|tweeted|reads|claimed|claims|sent"
    r"|shouted|quoted|quotes|quoting)"
)
_REPORT = re.compile(rf"(?i)(?:\b{_REPORTING}|\b(?:got|received|have)\b[^:\n]{{1,60}}\bfrom)(?:\s[\w'@.,-]+){{0,5}}\s*\Z")
_MY_REPORT = re.compile(rf"(?i)\b(?:i|i've|we|you|you've)\s+(?:\w+\s+)?{_REPORTING}\b(?!.*\b{_REPORTING}\b)")
_REPORT_COMMA = re.compile(
    rf"\W*(?:{UPPER}[\w-]*(?:\s{UPPER}[\w-]*)?|[Hh]e|[Ss]he|[Tt]hey|[Mm]y\s(?:{'|'.join(KIN)})(?:\s{UPPER}[\w-]*)?)"
    r"(?<!\bI)(?<!\bYou)(?<!\bWe)\s(?:said|says|wrote|replied|answered),\s"
)
_HERE_IS = re.compile(
    rf"""(?ix) (?:\b(?:here(?:'s|\sis|\sare)|this\sis|below\sis|attached\sis|following\sis)\b[^:\n]*\b{_TEXT}\b
      |\b(?:the|his|her|their|{_LETTER}[\w-]*'s)\s(?:[\w'-]+\s){{0,3}}{_TEXT})(?:\s[\w'-]+){{0,5}}\s*\Z"""
)
_HOW_TO_SAY = re.compile(
    r"(?i)\W*(?:how|what|what's|which|is|does|did|why)\b[^:\n]*\b(?:say|spell|pronounce|translat\w+|means?|phrases?|words?|sentences?|text"
    r"|grammar\w*|correct|wrong\swith|sounds?)\b"
)
_COLON = re.compile(r":(?=\s|\Z|[\"'“‘«])")

_HEADER = re.compile(
    r"(?m)^[*_>\s]{0,4}(?:(?:Subject|Fwd|FW|Cc|Bcc|Reply-To)\**:\s|(?:From|To|Sent|Date):[^\n]*\n(?:From|To|Sent|Date|Subject|Cc):"
    r"|-{2,}\s?(?:Original|Forwarded)\s[Mm]essage)"
)
_SIGNED = re.compile(
    r"(?m)^(?i:(?:all\s(?:the|my)\s)?best(?:\s(?:wishes|regards))?|(?:kind(?:est)?|warm(?:est)?|many)\s(?:regards|wishes|thanks)|regards|sincerely"
    r"|yours(?:\s(?:sincerely|truly|faithfully))?|cheers|love|thanks|thank\syou|respectfully|xoxo)[,.!]?[ \t]*\n\s{0,4}"
    rf"(?P<name>{UPPER}[\w.'-]*(?:\s{UPPER}[\w.'-]*){{0,2}})[ \t]*$"
)
_GREETING = re.compile(r"(?m)^(?i:hi|hello|hey|dear|good\s(?:morning|afternoon|evening))\b[^\n.?]{0,40}[,:!]?[ \t]*$")
_NAMED_LINE = re.compile(
    rf"(?m)^[ \t]*(?:[\[(]?\d[\d/.,: -]{{2,20}}(?:[AaPp]\.?[Mm]\.?)?[\])]?[\s-]*)?[*_]{{0,2}}(?P<name>{UPPER}[\w'-]*(?:\s{UPPER}[\w'-]*){{0,2}})"
    r"(?:\s?\([^()\n]{1,30}\))?[*_]{0,2}:[*_]{0,2}\s"
)
_LABELS = wordset(
    """me notes reminder remember remind info information ps p.s nb n.b tldr tl;dr summary important attention warning status personal work
    job background context announcement reason conclusion disclaimer spoiler hint tip example location address residence city country name
    phone email contact employer company occupation profession title role hobbies hobby pets pet diet allergy allergies birthday family
    health bio profile edit clarification addendum reality truth confession decision plan goal memo heads-up intro introduction preferences
    preference partner wife husband children kids car school education likes dislikes details confirmation confirmed headline breaking
    good bad big quick small life more yep nope correct right sorry thing point one two three here there lol basics facts statement typo oops whoops
    wait erratum corrected"""
)
_QUOTED_LINE = re.compile(r"(?m)^[ \t]*>[^\n]*")
_FENCED = re.compile(r"```|~~~")
_PAIRS = (('"', '"'), ("“", "”"), ("«", "»"), ("‘", "'"), ("'", "'"), ("`", "`"))
_OPENED = {mark: re.compile(rf"(?<!\w){mark}(?=\w)(?!(?:cause|til|em|tis|twas|n|bout|round|\d+s)\b)") for mark, _ in _PAIRS}
_CLOSED = {mark: re.compile(rf"(?<=[\w.!?,…;:)]){mark}(?!\w)") for _, mark in _PAIRS}
_FEWEST_QUOTED = 3  # words: two may be a name ("Miss Piggy")


def material(text: str, sentences: Sequence[Span], me: str, people: Collection[str]) -> list[Span]:
    """Return the spans of `text` that are material, in no order; `sentences` are its sentences, `me` is the key of the speaker.

    Linear in the length of `text`.
    """
    found = [*_quotations(text), *_blocks(text, me, people)]
    for place, (start, end) in enumerate(sentences, 1):
        span = _introduced(text, start, end, place > 1, place < len(sentences))
        if span is not None:
            found.append(span)
            if span[1] == len(text):
                break
    return found


def is_tale(text: str, end: int) -> bool:
    """Tell whether what is said up to `end` is said to be so in a game, a novel or a dream: "I live in Pelican Town, in my game"."""
    return _TRAILING.match(text, end) is not None


def _introduced(text: str, start: int, end: int, is_later: bool, goes_on: bool) -> Span | None:
    """Return what a sentence introduces as material: a part of itself, what follows it, or what stands before it, if sentences do."""
    head = text[start : min(end, start + _HEAD)]
    if feigned := _FEIGNED.match(head):
        return start + feigned.end(), len(text)
    if elsewhere := _ELSEWHERE.match(head):
        return start + elsewhere.end(), end
    if unsaid := _UNSAID.match(head):
        afresh = _AFRESH.search(text, start + unsaid.end(), end)
        return start + unsaid.end(), afresh.start() if afresh else end
    colon = _COLON.search(head)
    before = head[: colon.start()] if colon else ""
    if request := _REQUEST.match(head):
        begin = start + request.start("on") if request["on"] else start + request.end()
        if colon and colon.end() >= request.end():
            return start + colon.end(), len(text)
        pointing = _POINTING.search(head, request.start("on")) if request["on"] else None
        if pointing is None:
            return begin, end
        if goes_on:
            return begin, len(text)
        return (0, end) if is_later and not pointing["after"] else (begin, end)
    if colon and (_HERE_IS.search(before) or _HOW_TO_SAY.match(before)):
        return start + colon.end(), len(text)
    if colon and _REPORT.search(before) and not _MY_REPORT.search(before):
        newline = text.find("\n", start + colon.end())
        is_below = not text[start + colon.end() : newline].strip() if newline >= 0 else False
        return start + colon.end(), len(text) if newline < 0 or is_below else newline
    if comma := _REPORT_COMMA.match(head):
        return start + comma.end(), end
    return None


def _blocks(text: str, me: str, people: Collection[str]) -> Iterator[Span]:
    """Yield what its lines show to be of another hand: mail, a letter signed by somebody else, lines that a name opens, quoted lines."""
    if header := _HEADER.search(text):
        yield header.start(), len(text)
    foreign = [signed for signed in _SIGNED.finditer(text) if person(signed["name"], people) != me]
    if foreign:
        greeting = _GREETING.search(text, 0, foreign[0].start())
        yield (greeting.start() if greeting else 0), foreign[-1].end()
    if ":" in text:
        for line in _NAMED_LINE.finditer(text):
            if _is_other(line["name"], me, people):
                newline = text.find("\n", line.end())
                yield line.end(), newline if newline >= 0 else len(text)
    if ">" in text:
        yield from (line.span() for line in _QUOTED_LINE.finditer(text))
    fences = [fence.start() for fence in _FENCED.finditer(text)]
    yield from list(pairwise([*fences, len(text)]))[::2] if fences else ()


def _is_other(name: str, me: str, people: Collection[str]) -> bool:
    """Tell whether a word before a colon names somebody else; "Note:", "FYI:" and "Today:" do not, nor does the speaker's own name."""
    words = name.casefold().split()
    is_shouted = name.isupper() and len(name) < 6
    if is_shouted or not _LABELS.isdisjoint(words) or key(name) == me:
        return False
    who = person(name, people)
    return who is not None and who != me and me.split(" ")[0] != who


def _quotations(text: str) -> Iterator[Span]:
    """Yield what stands between marks of quotation, if it is three words or more."""
    for opening, closing in _PAIRS:
        at = 0
        while opening in text and (opened := _OPENED[opening].search(text, at)):
            closed = _CLOSED[closing].search(text, opened.end())
            if closed is None:
                break
            if len(text[opened.end() : closed.start()].split()) >= _FEWEST_QUOTED:
                yield opened.start(), closed.end()
            at = closed.end()
