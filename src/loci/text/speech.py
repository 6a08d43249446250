"""What kind of speech a sentence is, whether it can be read alone, and its keywords."""

from __future__ import annotations

import re
from collections import Counter

from loci.text.tokens import STOPWORDS, words

# --- questions ------------------------------------------------------------------------------------------------------------

_ASKING_WORDS = "what which who whom whose when where why how whats whos wheres hows"
_VERB_FIRST_WORDS = """do does did is are was were am have has had can could will would should shall may might isnt arent
    wasnt werent dont doesnt didnt havent hasnt wont wouldnt cant couldnt shouldnt"""
_ASKING = frozenset(_ASKING_WORDS.split())
_VERB_FIRST = frozenset(_VERB_FIRST_WORDS.split())
_SUBJECTS = frozenset(["i", "you", "we", "they", "he", "she", "it", "there", "anyone", "anybody", "someone", "your", "u", "ya"])
_DIRECT = frozenset(["who", "whom", "whose", "why", "whats", "whos", "wheres", "hows"])
_HOW = frozenset(["come", "about", "many", "much", "long", "old", "often", "to", "far", "do", "does", "did", "if", "else", "time"])
_LEAD_INS = frozenset(["so", "and", "but", "hey", "hi", "hello", "ok", "okay", "well", "oh", "wow", "also", "then", "yeah", "btw", "now"])
_CLOSING = " \t\n\r\"'”’)]*_~"
_JOINERS = "\u200d\ufe0f"


def is_question(text: str) -> bool:
    """Return whether `text` asks something: its last sentence has a question mark, or it opens as questions do."""
    end = text.rstrip(_CLOSING)
    if not end.isascii():
        while end and (end[-1] in _JOINERS or "\u2600" <= end[-1] <= "\u27bf" or "\U0001f000" <= end[-1] <= "\U0001faff"):
            end = end[:-1].rstrip(_CLOSING)
    if end.endswith(("?", "？", "؟", "?!", "?!!", "??!")):
        return True
    if end.endswith((".", "…")):
        return False
    return _opens_as_question(words(text[:80]), end.endswith("!"))


def _opens_as_question(found: list[str], is_ended: bool) -> bool:
    """Return whether the words begin as a question does: with a question word and its verb, or the verb before its subject.

    A sentence that is ended by another mark (`is_ended`) must do so more plainly.
    """
    at = 0
    while at < len(found) and at < 3 and found[at] in _LEAD_INS:
        at += 1
    if len(found) < at + 2:
        return not is_ended and len(found) == at + 1 and found[at] in _ASKING
    first, second = found[at], found[at + 1]
    if first in _VERB_FIRST:
        return second in _SUBJECTS or (not is_ended and first in ("does", "did", "is", "was", "has") and len(found) > at + 2)
    if first not in _ASKING or second in ("a", "an") or second in _SUBJECTS:
        return False
    if first in _DIRECT or (first == "how" and second in _HOW):
        return not is_ended
    return any(word in _VERB_FIRST for word in found[at + 1 : at + 5]) and (not is_ended or second in _VERB_FIRST)


# --- kinds of speech ------------------------------------------------------------------------------------------------------

_SMALL_WORDS = """good great nice cool awesome amazing wonderful lovely fantastic perfect glad happy sorry see hear talk chat
    sounds sound soon later morning afternoon evening night day everyone guys dude man take care luck welcome congrats
    congratulations appreciate true agreed absolutely totally exactly love fun worries problem proud keep hope miss catch
    friend buddy awww aww yay cheers bless totally interesting beautiful super know understand think best say wish time
    point idea way thing things stuff today tomorrow inspiring impressive cute sweet kind job work today such right mean"""
_SMALL = frozenset(_SMALL_WORDS.split()) | STOPWORDS
_ASKS_AFTER = re.compile(
    r"\b(?:how(?:['’]s| are| is| have| has) (?:you|it|things|everything|life|your (?:day|week)|been)|what(?:['’]s| is) up|how goes)\b"
)
_VOCATIVE = re.compile(r"(?:,|\b(?:hey|hi|hello|thanks|wow|bye|yeah|yep|congrats|dear|oh|ok|okay|sure|yes)\b) ([a-z]+)")

_COMMAND_WORDS = """remind remember forget note call tell show give write answer respond reply explain list make use avoid stop
    send add create find help summarize summarise translate update delete remove set ensure include provide describe save store
    book schedule please generate suggest recommend compare analyze analyse rewrite convert calculate fix treat assume ask say
    rename restart install uninstall refactor debug deploy compile download upload execute rerun retry undo paste implement"""
_COMMANDS = frozenset(_COMMAND_WORDS.split())
_ACT_WORDS = "open close run start check read copy move change replace edit print search look build merge commit push turn play sort"
_ACTS = frozenset(_ACT_WORDS.split())
_THIS = frozenset(["the", "this", "that", "these", "those", "all", "my"])
"""What else an assistant is told to do; without such a word behind it, it may be a note ("run 5 km", "read Dune", "open on Tuesdays")."""
_ADVERBS = frozenset(["always", "never", "dont", "please", "only"])
_NO_COMMAND = frozenset(["me", "us", "it", "going", "love", "sense", "sure", "up", "in", "than", "how"]) | _SUBJECTS
_WITH_ME = frozenset(["call", "tell", "remind", "show", "give", "send", "ask", "help", "write"])
_REQUESTS = frozenset(["please", "remind", "forget", "sure", "now"])
_ASKING_YOU = frozenset(["can", "could", "would", "will"])
_REQUEST = re.compile(
    r"\bplease\b|(?:^|[.,!;] |\b(?:and|so|but|also|then|now) )(?:remind me|don['’]t forget|make sure|from now on)\b"
    r"|\bi (?:want|need|['’]d like|would like) you to\b"
    r"|^\W*(?:can|could|would|will) you (?:please |also |just )?(?:remind|remember|help|write|make|send|add|create|find|call|set|"
    r"book|schedule|summari[sz]e|translate|update|stop|generate)\b"
)

_PLAN_PHRASES = """going to |gonna|planning|plan to|plans to|plan on|plan for|planned to|my plan |thinking of |thinking about |hoping|
    hope to|looking forward|considering|wanna |intend to|aim to|aiming to|can't wait|can’t wait|cant wait|'ll |’ll |i want to|we want to|
    wants to|they want to|i will |we will |he will |she will |they will |i'd love|i’d love|i'd like|i’d like|would love|
    would like|let's |let’s """
_PLANS = tuple(phrase.lstrip() for phrase in _PLAN_PHRASES.split("|"))
_CUE_WORDS = """going gonna plan plans planning planned thinking hoping hope looking considering wanna intend aim aiming wait want
    wants will love like would let"""
_PLAN_CUES = frozenset(_CUE_WORDS.split())
_SOON = frozenset(["tomorrow", "tonight", "next", "soon", "upcoming"])
_LEAVING = frozenset(["going", "leaving", "meeting", "flying", "moving", "visiting", "starting", "seeing", "will"])

_TASTE_WORDS = """prefer prefers preferred hate hates enjoy enjoys favorite favourite favorites favourites dislike dislikes adore
    adores loves"""
_TASTES = frozenset(_TASTE_WORDS.split())
_TASTE_PHRASES = """fan of|can't stand|can’t stand|fond of|passionate about|obsessed with|addicted to|keen on|'d rather|’d rather|
    interested in|'m into|’m into|really into|so into|is into|are into"""
_TASTE_CUES = frozenset(["fan", "stand", "fond", "passionate", "obsessed", "addicted", "keen", "rather", "interested", "into"])
_PHRASES = tuple(phrase.strip() for phrase in _TASTE_PHRASES.split("|"))
_LIKING = frozenset(["love", "like", "likes"])
_LIKER_WORDS = "i we they you really always also still just dont doesnt never both kids parents friends he she who absolutely"
_LIKERS = frozenset(_LIKER_WORDS.split())
_POINTING = frozenset(["that", "this", "it"])

_PAST_WORDS = """went got came saw made took met gave found told said bought brought ate drank ran swam sang wrote drove flew
    rode left lost won paid spent sent slept sat taught caught fought built began broke chose fell forgot grew heard held led
    sold spoke threw woke wore became did felt kept stood beat gone been happened attended"""
_PAST = frozenset(_PAST_WORDS.split())
_NOT_PAST = frozenset(["need", "indeed", "excited", "interested", "tired", "supposed", "hundred", "used", "speed", "feed", "based"])
_STATE_WORDS = """is are am be being so very really feel feeling feels get getting the a an of more my as in too quite im its was
    were your our his her their and or by with for how"""
_STATES = frozenset(_STATE_WORDS.split())
_DATED = frozenset(["yesterday", "ago", "last"])


def semantic_type(text: str, found: list[str] | None = None) -> str:
    """Return what one sentence or turn is: fact, preference, event, plan, question, instruction or smalltalk.

    `found` are its `words`, where they are known already.
    """
    found = words(text) if found is None else found
    lower = text.lower()
    kinds = frozenset(found)
    if len(found) < 24 and _is_smalltalk(lower, found, kinds):
        return "question" if is_question(text) and not _ASKS_AFTER.search(lower) else "smalltalk"
    if _is_instruction(lower, found, kinds):
        return "instruction"
    if is_question(text):
        return "smalltalk" if len(found) < 8 and _ASKS_AFTER.search(lower) else "question"
    if _tells_taste(lower, found, kinds):
        return "preference"
    is_told = not _PAST.isdisjoint(kinds) or _tells_past(found)
    if not _DATED.isdisjoint(kinds) and (is_told or "was" in kinds or "were" in kinds):
        return "event"
    is_planned = not _PLAN_CUES.isdisjoint(kinds) or "'ll" in lower or "’ll" in lower
    if (is_planned and any(phrase in lower for phrase in _PLANS)) or not (_SOON.isdisjoint(kinds) or _LEAVING.isdisjoint(kinds)):
        return "plan"
    return "event" if is_told else "fact"


def _tells_taste(lower: str, found: list[str], kinds: frozenset[str]) -> bool:
    """Return whether the words say what somebody likes, rather than would like or praises ("love that")."""
    if not _TASTES.isdisjoint(kinds):
        return True
    if not _LIKING.isdisjoint(kinds):
        before = ""
        for at, word in enumerate(found):
            if word in _LIKING and before in _LIKERS and (at + 3 < len(found) or found[-1] not in _POINTING):
                return "would" not in found[max(0, at - 3) : at] and "'d " not in lower and "’d " not in lower
            before = word
    return not _TASTE_CUES.isdisjoint(kinds) and any(phrase in lower for phrase in _PHRASES)


def _is_smalltalk(lower: str, found: list[str], kinds: frozenset[str]) -> bool:
    """Return whether there is nothing in the words but courtesy, and perhaps the name of who it is for."""
    rest = kinds - _SMALL
    if not rest or (found[:3] == ["let", "me", "know"] and len(found) < 12):
        return True
    return len(rest) == 1 and len(found) < 10 and rest.issubset(_VOCATIVE.findall(lower))


def _tells_past(found: list[str]) -> bool:
    """Return whether one of the words is a regular past that is no adjective or passive."""
    before = ""
    for word in found:
        if word[-2:] == "ed" and len(word) > 4 and before not in _STATES and word not in _NOT_PAST:
            return True
        before = word
    return False


def _is_instruction(lower: str, found: list[str], kinds: frozenset[str]) -> bool:
    """Return whether the text tells its reader to do something."""
    at = 1 if found[0] in _LEAD_INS else 0
    if at < len(found) and found[at] in _ADVERBS:
        at += 1
    if at < len(found) and found[at] in _COMMANDS and not lower.startswith("let"):
        following = found[at + 1] if at + 1 < len(found) else ""
        if following not in _NO_COMMAND or (following == "me" and found[at] in _WITH_ME):
            return True
    if at + 1 < len(found) and found[at] in _ACTS and found[at + 1] in _THIS:
        return True
    if _lasts(lower.replace("’", "'")):
        return True
    if kinds.isdisjoint(_REQUESTS) and "you to" not in lower and found[0] not in _ASKING_YOU:
        return False
    return _REQUEST.search(lower) is not None


# --- what is wished for good -----------------------------------------------------------------------------------------------

_ANSWERS = r"(?:answers?|repl(?:y|ies)|responses?|messages|explanations?|summaries)"
_VERBS = (
    r"(?:answer|reply|respond|speak|talk|write|use|suggest|recommend|mention|bring up|call|address|ask|say|explain|include|cite|add|provide|show|send|delete|buy|book|"
    r"pay|share|check|confirm|apologi[sz]e|assume|format|translate|convert|end|start|begin|test|commit|push|sign)"
)
_QUALITY = (
    r"(?:brief|concise|short|terse|blunt|polite|formal|informal|casual|direct|honest|critical|friendly|kind|gentle|funny|serious|professional|"
    r"detailed|verbose|wordy|chatty|simple|clear|strict|creative|enthusiastic|apologetic|patronising|patronizing)"
)
_HEAD = re.compile(
    r"\W*(?:(?:please|also|and|but|just|now|so|ok|okay|no(?=,)|yes|actually|well|hey|hi|hello|instead|kindly|oh|remember to|make sure to|make sure you|i(?:'d| would) like you to|"
    r"i (?:want|need) you to|you (?:can|may|should|must)|(?:can|could|would|will) you)\W+)*"
)
_LASTING = re.compile(
    rf"(?:always|never|(?:do not|don't) ever)(?: please)? {_VERBS}\b|(?:from now on|going forward|in future|henceforth)\W|(?:keep|bear) in mind (?:that )?(?:i\b|i'm|my|we\b|we're|our)"
    r"|remember that (?:i\b|i'm|my|we\b|we're|our)|(?:if|when|whenever|every ?time|each time|any ?time) (?:i|we) (?:ask|say|mention|send|share|write|tell|paste|give|want|need|request|talk)\b[^,]*, (?!(?:then )?(?:i|we|he|she|they|it|you|my|our|the|there)\b)"
    rf"|ask me (?:first )?before\b|only ever {_VERBS}\b"
)
_MANNER = re.compile(
    r"(?:answer|reply|respond|speak|talk|write|explain)(?: (?:to )?(?:me|everything|things|it all))? (?:only )?(?:in|like) (?!\d|the |a moment|a minute|an hour|front|there|here|this|that)"
    r"|(?:call|address) me (?!back\b|later|a\b|an\b|at\b|when|if\b|tomorrow|tonight|today|now|in\b|on\b|after|before|as soon|asap|maybe|crazy|again|first|once|some|any|about|for|from|to\b|up\b)"
    rf"|be (?:more |very |less |as )?{_QUALITY}\b|(?:do not|don't) be (?:so |too )?{_QUALITY}\b|keep (?:it|them|things|everything) {_QUALITY}(?=(?: please)?\W*$)|(?:keep|make|limit) (?:all |every )?(?:your|the) {_ANSWERS}\b"
    rf"|(?:do not|don't|avoid|stop|quit)(?: (?:{_VERBS}|using|suggesting|recommending|mentioning|bringing up|calling|asking|saying|apologi[sz]ing|adding|sending|sharing))\b(?! (?:the|this|that|these|those|it|them|him|her|me why|me how)\b)"
    rf"|only (?:{_VERBS}) (?!the |this|that|these|those|it\b|them)|use (?:only )?(?:metric|imperial|celsius|fahrenheit|kilomet(?:er|re)s|british|american|plain|simple|short|iso|24|they|she|he)\b"
    r"|no (?:more )?(?:emojis?|bullet points|bullets|jargon|slang|markdown|small ?talk|apologies|disclaimers|exclamation marks)\b"
)
_ANYWHERE = re.compile(
    rf"\b(?:from now on|going forward|in future)\W*$|\bin (?:all |every |each (?:of )?)?(?:your|every|each) {_ANSWERS}\b|\b(?:all|each|every one|any) of your {_ANSWERS}\b|\bunless i (?:say|ask|tell)\b"
)
_FOR_GOOD = re.compile(r"\b(?:from now on|going forward|in future)\W*$")
_TOLD = re.compile(r"\W*(?:i|we|he|she|they|it|you|my|our|his|her|their|the|this|that)\b")
_AT_ONCE = re.compile(
    r"\b(?:for|in|with) this\b|\bthis (?:time|once)\b|\bfor now\b|\bright now\b|\btoday\b|\b(?:a|the) (?:story|poem|letter|mail|email)\b"
)
_SENTENCE_ENDS = re.compile(r"(?<=[.!?])\s+|\n+")
_SHORT_WISH, _LONGEST_WISH = 14, 160  # words: of how to answer, and of a text that wishes anything for good


def is_lasting(text: str) -> bool:
    """Return whether some sentence is an instruction for what comes after as well ("always answer in French", "call me Al"), rather than for the moment."""
    lower = text.lower().replace("’", "'")
    return len(lower.split()) <= _LONGEST_WISH and any(map(_lasts, _SENTENCE_ENDS.split(lower)))


def _lasts(sentence: str) -> bool:
    """Return whether a sentence in small letters is such an instruction."""
    head = _HEAD.match(sentence)
    start = head.end() if head else 0
    found = _LASTING.match(sentence, start)
    if found is None and ("?" not in sentence or _FOR_GOOD.search(sentence)) and len(sentence.split()) <= _SHORT_WISH:
        found = _MANNER.match(sentence, start) or (None if _TOLD.match(sentence, start) else _ANYWHERE.search(sentence))
    return found is not None and _AT_ONCE.search(sentence) is None


# --- whose it is --------------------------------------------------------------------------------------------------------

_FIRST_PERSON = frozenset(["i", "my", "me", "mine", "myself", "we", "our", "us", "im", "ive"])


def is_own(text: str) -> bool:
    """Return whether the text speaks in the first person, as statements of one's own facts and tastes do."""
    return not _FIRST_PERSON.isdisjoint(words(text))


# --- keywords -------------------------------------------------------------------------------------------------------------

_COMMON_WORDS = """good great nice cool awesome amazing really thing things stuff time day days way lot people know think feel want
    need make made take took go went come came see look looks say said tell told love like liked happy glad hope try keep
    give back new last next first today yesterday tomorrow week weeks month months year years guys fun best better super
    big little long right maybe something everything wonderful lovely fantastic excited check share help start started
    life hear sounds sound pretty important special"""
_COMMON = frozenset(_COMMON_WORDS.split()) - STOPWORDS


_DULL = STOPWORDS | _COMMON


def keywords(text: str, limit: int = 8, found: list[str] | None = None) -> list[str]:
    """Return at most `limit` distinct words that say what the text is about, the most telling first.

    A word weighs by its length, which stands in for its rarity; in a long text also by how often it is said. `found` are
    the `words` of the text, where they are known already.
    """
    found = words(text) if found is None else found
    telling = [word for word in dict.fromkeys(found) if word not in _DULL]
    if len(found) > 60:
        counts = Counter(found)
        telling.sort(key=lambda word: -counts[word] * min(len(word), 12))
    else:
        telling.sort(key=len, reverse=True)
    if len(telling) < limit:
        telling += [word for word in dict.fromkeys(found) if word in _COMMON]
    return telling[: max(0, limit)]
