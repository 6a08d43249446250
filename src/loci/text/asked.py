"""Which keyed fact a question asks for: "Where does Alice live?" asks for alice's residence.

A question is turned into the statement that would answer it, with a stand-in for the value, and that statement is read by
the very rules that read statements. So a key is asked for by the name under which it is stored.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from loci.text.facts import facts, key
from loci.text.wording.verbs import KIN
from loci.types import Chain

WHO = r"(?P<who>my [\w' -]+?|[\w.'-]+(?: [A-Z][\w.'-]*)*?(?:['’]s? [\w -]+?){0,3})"
PLAIN = 500  # characters: a longer question is an account of something
MOST = 3  # keys: what a question asks for, and other names of it
VERY = r"(?: currently| now| presently| these days| right now)?"

# a noun of a question, the statement with a verb that answers it; tried before the statement with the noun itself
RELATIONS = (
    ("birthplace|place of birth", "{x} was born in Xoxo."),
    ("spouse|husband|wife", "{x} is married to Xoxo."),
    ("employer", "{x} is employed by Xoxo."),
    ("sport", "{x} is associated with the sport of Xoxo."),
    ("native language|language", "{x} speaks the language of Xoxo."),
    ("founder|founders", "{x} was founded by Xoxo."),
    ("developer|developers", "{x} was developed by Xoxo."),
    ("author|writer", "{x} was written by Xoxo."),
    ("team|club", "{x} plays for Xoxo."),
    ("nationality|citizenship", "{x} is a citizen of Xoxo."),
    ("child|son|daughter", "{x}'s child is Xoxo."),
    ("head of state", "The name of the current head of state of {x} is Xoxo."),
    ("chief executive|ceo", "The chief executive officer of {x} is Xoxo."),
    ("headquarters", "The headquarters of {x} is located in Xoxo."),
)
# question, the statement that answers it; {who} is whom it is about, {x} what it names
FORMS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), statement)
    for pattern, statement in (
        (rf"^(?:so )?(?:where|(?:in )?(?:what|which) (?:city|town|country|place)) (?:do|does|did|is|are|am|was|were) {WHO}{VERY} (?:liv\w+|stay\w*|resid\w+|based|located)", "{who} lives in Xville."),
        (rf"^(?:where|who|which company|what company|for whom|at which company) (?:do|does|did|is|are|am) {WHO}{VERY} (?:work\w*|employed)", "{who} works at Xcorp."),
        (rf"^who is {WHO}'s? (?:current )?employer", "{who} works at Xcorp."),
        (rf"^what (?:do|does|did) {WHO}{VERY} do(?: for (?:a living|work))?\b\W*$", "{who} works as an engineer."),
        (rf"^what (?:is|'s|are) {WHO}'s? (?:current )?(?:job|job title|occupation|profession|position|role)\b", "{who} works as an engineer."),
        (r"^what (?:is|'s|are) (?P<who>my) (?:current )?(?:job|job title|occupation|profession|position|role)\b", "I work as an engineer."),
        (rf"^how old (?:is|are|am) {WHO}{VERY}\W*$", "{who} is 99 years old."),
        (rf"^when (?:is|'s) {WHO}'s? birthday", "{who}'s birthday is June 3."),
        (r"^when (?:is|'s) (?P<who>my) birthday", "My birthday is June 3."),
        (rf"^when (?:is|was|were) {WHO} born", "{who}'s birthday is June 3."),
        (rf"^what (?:do|does) {WHO} eat\b", "{who} is a vegetarian."),
        (rf"^(?:is|are|am) {WHO}{VERY} (?:a )?(?:vegan|vegetarian)", "{who} is a vegetarian."),
        (rf"^(?:what|which) allergies (?:do|does) {WHO} have", "{who} is allergic to nuts."),
        (rf"^what (?:do|does) {WHO}{VERY} drive", "{who} drives a Fiat."),
        (rf"^who (?:is|are) {WHO}{VERY} (?:with|together with)\W*$", "{who} is dating Xavier."),
        (rf"^(?:what|which) (?:else )?(?:do|does) {WHO}{VERY} (?:really )?(?:like|love|enjoy|adore)\W*$", "{who} likes Xoxo."),
        (rf"^(?:what|which) (?:(?:kinds?|sorts?|types?|genres?) of )?(?P<x>(?!time\b|day\b)[\w -]+?) (?:do|does) {WHO}{VERY} (?:really )?(?:like|love|enjoy|adore)\W*$", "{who} likes Xoxo {x}."),
        (rf"^(?:do|does) {WHO}{VERY} (?:still )?like (?P<x>[\w -]+?)\W*$", "{who} likes {x}."),
        (rf"^who (?:is|are) {WHO}'s? (?P<x>[\w -]+?)\W*$", "{who}'s {x} is Xavier."),
        (r"^who (?:is|are|'s) (?P<who>my) (?P<x>[\w -]+?)\W*$", "My {x} is Xavier."),
        (rf"^(?:is|are|am) {WHO} (?:still )?(?:married|single|divorced|engaged|in a relationship)", "{who} is married."),
        (rf"^what (?:is|'s) {WHO}'s? (?:marital|relationship) status", "{who} is married."),
        (rf"^who (?:is|are|am|did) {WHO}{VERY} (?:married to|marry|dating|seeing|engaged to|with)\W*$", "{who} is dating Xavier."),
        (rf"^what (?:kind of |sort of )?car (?:do|does|did) {WHO}{VERY} (?:drive|have|own)", "{who} drives a Fiat."),
        (rf"^what (?:is|are|am) {WHO} allergic to", "{who} is allergic to nuts."),
        (rf"^(?:what|which) languages? (?:do|does|can) {WHO}{VERY} speak", "{who} speaks French."),
        (rf"^(?:does|do|is|are) {WHO}{VERY} (?:eat (?:meat|fish)|(?:a )?vegetarian|(?:a )?vegan)", "{who} is a vegetarian."),
        (rf"^what (?:is|'s) {WHO}'s? diet", "{who} is a vegetarian."),
        (rf"^(?:where|which (?:school|university|college)) (?:do|does|did|is|are) {WHO}{VERY} (?:stud\w+|go(?:ing)? to (?:school|university|college)|attend\w*)", "{who} goes to Xton University."),
        (rf"^when (?:is|'s|are) (?P<x>{WHO}(?:'s)? [\w ]*(?:wedding|party|trip|appointment|exam|interview|meeting|holiday|vacation|visit|concert|surgery|deadline|flight)[\w ]*?)\W*$", "{x} is on June 3."),
        (r"^what (?:is|are) (?P<who>my) (?P<x>[\w -]+?)['’]?(?: names| called| named)\W*$", "My {x} is called Xoxo."),
        (rf"^what (?:is|are) {WHO}'s? (?P<x>[\w -]+?)['’]?(?: names| called| named)\W*$", "{who}'s {x} is called Xoxo."),
        (rf"^what (?:is|'s) (?:the name of )?{WHO}'s? (?P<x>dog|cat|puppy|kitten|rabbit|parrot|horse|hamster|pet)(?:'s name| called| named)?", "{who}'s {x} is called Xoxo."),
        (r"^what (?:is|'s) (?P<who>my) (?P<x>dog|cat|puppy|kitten|rabbit|parrot|horse|hamster|pet)(?:'s name| called| named)?", "My {x} is called Xoxo."),
        (rf"^what (?:is|'s) {WHO}'s? (?:current |new )?(?:phone|cell|mobile)?\s?(?:phone )?number\b", "{who}'s phone number is 555-0199."),
        (r"^what (?:is|'s) (?P<who>my) (?:current |new )?(?:phone|cell|mobile)?\s?(?:phone )?number\b", "My phone number is 555-0199."),
        (rf"^what (?:is|'s) {WHO}'s? e-?mail", "{who}'s email is a@example.org."),
        (r"^what (?:is|'s) (?P<who>my) e-?mail", "My email is a@example.org."),
        (rf"^what (?:is|'s|are) {WHO}'s? (?P<x>[\w -]+?)\W*$", "{who}'s {x} is Xoxo."),
        (r"^what (?:is|'s|are) my (?P<x>[\w -]+?)\W*$", "My {x} is Xoxo."),
        *((rf"^(?:who|what|where) (?:is|was|are|were) the (?:{noun}) (?:of|for) (?P<x>.+?)\W*$", told) for noun, told in RELATIONS),
        (r"^(?:what|which) is the country where (?P<x>.+?) is located\W*$", "{x} is located in Xoxo."),
        (r"^(?:what|which) is the country (?P<x>.+?) is a citizen of\W*$", "{x} is a citizen of Xoxo."),
        (r"^(?:who|what|where|which [\w ]+?) (?:is|was|are|were) (?P<x>the [\w' -]+? of .+?)\W*$", "{x} is Xoxo."),
    )
)  # fmt: skip


_HELPER = r"(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would|should|might|may|must)\b"
_SEVERAL = re.compile(
    r"\b(?:how (?:many|often)|(?:what|who|which) (?:are|were|else|all)|kinds?|types?|sorts?|ways|things|list|all|both|each|every|various|several"
    rf"|different|other|others|in common|in total|so far|(?:what|which|whose) (?:(?!{_HELPER})[a-z'-]+ ){{0,2}}?(?!{_HELPER}|this\b|his\b|its\b)"
    r"[a-z]+[^\Wsui]s)\b"
)


def asks_many(question: str) -> bool:
    """Return whether the answer is likely to be several things, told in several places ("Which cities", "How many", "in common")."""
    return _SEVERAL.search(question.lower()) is not None


def asked(question: str, speaker: str | None, people: Collection[str]) -> list[tuple[str | None, str]]:
    """(subject, attribute) keys that answer the question, best first; the subject is None when it names nobody ("When is
    the wedding?"). Empty when it asks for no key: most questions do, and very long ones."""
    if len(question) > PLAIN:
        return []
    text = re.sub(r"^(\w+)['’](?:s|re)\b", lambda short: f"{short[1]} is", question.strip())
    keys: list[tuple[str | None, str]] = []
    for pattern, statement in FORMS:
        found = pattern.match(text)
        if found is None or len(keys) >= MOST:
            continue
        said = _said(statement, found.groupdict())
        for told in (said, f"1. {said}"):  # a numbered statement about things is filed by its own verb
            keys.extend(key for key in _keys(told, speaker, people) if key not in keys)
    return keys


NAME = r"[A-Z][\w.&'-]*?(?: [A-Z][\w.&-]*)*"
KINDRED = "|".join(sorted((*KIN, "sibling", "parent", "child", "employer", "company"), key=len, reverse=True))
PERSON = rf"(?:(?:best|older|younger|big|little|new) )?(?:{KINDRED})"
# what stands in a question for somebody or something else, and the question for that
STANDING_FOR: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), question)
    for pattern, question in (
        (rf"\b(?P<it>(?:[Mm]y|{NAME}'s|[\w-]+'s) (?:{PERSON}))\b", "Who is {it}?"),
        (rf"\b(?P<it>the country where {NAME} is located)\b", "What is {it}?"),
        (rf"\b(?P<it>the country {NAME} is a citizen of)\b", "What is {it}?"),
        (rf"\b(?P<it>the (?:city|town|country|place) (?:where |that |in which )?(?P<x>{NAME}) lives(?: in)?)\b", "Where does {x} live?"),
        (rf"\b(?P<it>the (?:company|firm|place) (?:where |that |for which )?(?P<x>{NAME}) works(?: for| at)?)\b", "Where does {x} work?"),
        (rf"\b(?P<it>the (?:person|man|woman|one) (?:who |that )?(?P<x>{NAME}) is (?:married to|with|dating|engaged to))\b", "Who is {x} married to?"),
        (rf"\b(?P<it>the (?:(?!the\b)[\w-]+ ){{1,4}}?of {NAME})(?=\W|$)", "What is {it}?"),
    )
)  # fmt: skip
STAND_IN = "Xyzzy"
LONGEST = 4  # hops


def hops(question: str, speaker: str | None, people: Collection[str]) -> Chain | None:
    """How to answer a question that names somebody by another question: "Where does Ann's brother live?" asks who that is first.
    None for a question of one hop, for a very long one, and where one of the hops asks for no key."""
    if len(question) > PLAIN:
        return None
    text = question.strip().replace("’", "'")
    steps: list[list[tuple[str | None, str]]] = []
    while len(steps) < LONGEST and (inner := _inner(text)) is not None:
        found, step = inner
        steps.append([(subject, attribute) for subject, attribute in asked(step, speaker, people) if attribute != "marital_status"])
        text = f"{text[: found.start('it')]}{STAND_IN}{text[found.end('it') :]}"
    steps.append(asked(text, speaker, people))
    then = tuple(tuple(attribute for subject, attribute in step if subject == key(STAND_IN)) for step in steps[1:])
    return Chain(tuple(steps[0]), then) if then and steps[0] and all(then) else None


def _inner(question: str) -> tuple[re.Match[str], str] | None:
    """What a question names by another question, and that question; None when it is the whole of it."""
    for pattern, step in STANDING_FOR:
        found = pattern.search(question)
        if found is not None and not re.fullmatch(
            r"(?i)(?:who|what|which|where) (?:is|was|are|were) \W*", question[: found.start("it")] + question[found.end("it") :]
        ):
            return found, step.format(**found.groupdict())
    return None


def _said(statement: str, parts: dict[str, str | None]) -> str:
    who, thing = parts.get("who") or "", parts.get("x") or ""
    if who.lower() in ("i", "you"):
        statement = re.sub(
            r"^\{who\} (\w+)", lambda verb: "I " + {"is": "am", "goes": "go"}.get(verb[1], verb[1].removesuffix("s")), statement
        )
        statement = statement.replace("{who}'s", "My")
    said = statement.replace("{who}", who).replace("{x}", thing)
    return said[:1].upper() + said[1:]


def _keys(statement: str, speaker: str | None, people: Collection[str]) -> list[tuple[str | None, str]]:
    nobody = "nobody at all"
    is_own = re.search(r"\b(?:I|[Mm]y)\b", statement) is not None
    found = facts(statement, speaker if speaker and is_own else nobody, None, people)
    keys = [(None if f.subject in (nobody, None) else f.subject, _open(f.attribute)) for f in found if f.attribute]
    return list(dict.fromkeys(keys))


def _open(attribute: str) -> str:
    """What somebody likes is filed by what it is: all of it, or all that has the kind in its name, "likes/*movie"."""
    found = re.fullmatch(r"likes/xoxo(?: (?P<kind>.+?)s?)?", attribute)
    return attribute if found is None else f"likes/*{found['kind']}" if found["kind"] else "likes"
