"""The form in which two tellings of one value compare equal: dates, numbers, names and plain phrases."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Literal

from loci.text.wording.words import listed, wordset

Sort = Literal["date", "phone", "email", "number", "name", "text"]
MONTHS = listed("january february march april may june july august september october november december")
WEEKDAYS = listed("monday tuesday wednesday thursday friday saturday sunday")

_MONTH = "(?:" + "|".join(f"{m[:3]}(?:{m[3:]})?" if len(m) > 3 else m for m in MONTHS).replace("sep(?:", "sept?(?:") + r")\b\.?"
_DAY = r"(?:the )?(?P<{}>\d{{1,2}})(?:st|nd|rd|th)?"
_WHEN = re.compile(
    rf"""(?ix) \b(?:
      (?P<year>\d{{4}})-(?P<month>\d\d)-(?P<day>\d\d)
    | (?P<name1>{_MONTH})\ {_DAY.format("day1").replace(" ", chr(92) + " ")}\b(?:,?\ (?P<year1>\d{{4}}))?
    | {_DAY.format("day2").replace(" ", chr(92) + " ")}(?:\ ?(?:to|-|–)\ ?\d{{1,2}})?
      \ (?:of\ )?(?P<name2>{_MONTH})(?:,?\ (?P<year2>\d{{4}}))?
    | (?P<name3>{_MONTH})(?:\ (?P<year3>\d{{4}}))?
    | (?P<weekday>{"|".join(WEEKDAYS)})s?
    | (?P<relative>today|tonight|tomorrow|the\ day\ after\ tomorrow)
    | the\ (?P<day4>\d{{1,2}})(?:st|nd|rd|th)
    | (?P<bare>(?:19|20)\d\d)
    )\b"""
)
_RELATIVE_DAYS = {"today": 0, "tonight": 0, "tomorrow": 1, "the day after tomorrow": 2}
_LEADING = re.compile(r"^(?:(?:a|an|the|my|our|his|her|their|called|named)\s+)+", re.IGNORECASE)
_TITLE = re.compile(r"\b((?:Dr|Mrs?|Ms|Prof|St|Mt))\.(?=\s)")
_AMOUNT = re.compile(r"\b(\d[\d.,]*)\s(mg|mcg|g|ml)\b")
_IN = re.compile(r"\sin\s(?:the\s)?")
_NUMBERS = listed(
    """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
    nineteen"""
)
_TENS = listed("twenty thirty forty fifty sixty seventy eighty ninety")


def plain(value: str) -> str:
    """Return a name or phrase casefolded, without leading articles and outer punctuation, one space between words."""
    value = _TITLE.sub(r"\1", " ".join(value.replace("’", "'").split())).strip(" \t.,;:!?\"'“”‘()[]*_-–—…")
    return _AMOUNT.sub(r"\1\2", _LEADING.sub("", value).strip(" \"'“”‘").casefold())


def address(value: str) -> str:
    """Return a street with its town and country behind commas: "12 Baker Street in London" is "12 baker street, london"."""
    return _IN.sub(", ", plain(value))


def when(text: str, anchor: datetime | None) -> tuple[int, int, str] | None:
    """Return start, end and canonical form of the first date in `text`: 2024-06-03, 06-03, 2024-06, june, friday or 2024.

    Of "Friday, 3 October" the form is that of the date, which says more than the day of the week.
    """
    dates = [match for match in _WHEN.finditer(text) if not _is_verb(match)]
    if not dates:
        return None
    first = best = dates[0]
    if first["weekday"] and len(dates) > 1 and (dates[1]["name1"] or dates[1]["name2"]) and dates[1].start() - first.end() < 10:
        best = dates[1]
    return first.start(), best.end(), _canonical(best, anchor)


def number(words: str) -> int | None:
    """Return the number that `words` spells in digits or English below one hundred, else None."""
    words = words.casefold().replace("-", " ").strip()
    if words.isdecimal():
        return int(words) if len(words) < 7 else None
    if words in _NUMBERS:
        return _NUMBERS.index(words)
    head, _, tail = words.partition(" ")
    if head in _TENS and (not tail or tail in _NUMBERS[1:10]):
        return 10 * (_TENS.index(head) + 2) + (_NUMBERS.index(tail) if tail else 0)
    return None


def _is_verb(found: re.Match[str]) -> bool:
    """Tell whether a match is no month but a word in small letters: "may", "march"."""
    return found["name3"] in ("may", "mar", "march", "dec", "sun", "sat")


def _canonical(found: re.Match[str], anchor: datetime | None) -> str:
    got = found.groupdict()
    if got["weekday"]:
        return str(got["weekday"]).casefold()
    if got["bare"]:
        return str(got["bare"])
    if got["relative"]:
        days = _RELATIVE_DAYS[got["relative"].casefold()]
        if anchor is None or anchor.year > 9990:
            return str(got["relative"]).casefold()
        return (anchor + timedelta(days=days)).strftime("%m-%d")
    if got["day4"]:
        return f"day {int(got['day4'])}"
    if got["year"]:
        return f"{got['year']}-{got['month']}-{got['day']}"
    name = (got["name1"] or got["name2"] or got["name3"])[:3].casefold()
    month = next(i for i, full in enumerate(MONTHS) if full.startswith(name))
    day, year = got["day1"] or got["day2"], got["year1"] or got["year2"] or got["year3"]
    if day is None:
        return f"{year}-{month + 1:02d}" if year else MONTHS[month]
    return (f"{year}-" if year else "") + f"{month + 1:02d}-{int(day):02d}"


UNTIL = re.compile(r"(?i)\b(?:until|till|through|up to|to|and)\s+(?:the\s+)?(?:end of\s+|early\s+|late\s+|about\s+|around\s+)?$")
SINCE = re.compile(r"(?i)\b(?:since|from|as of|starting|between)\s+(?:about\s+|around\s+|early\s+|late\s+)?$")
_CUT = re.compile(
    r"(?:\s+[-–—]\s|\s+(?:and|but|because|so|since|when|while|for|with|in|at|on|to|from|as|too|a\slot|now|these\sdays|nowadays|any\s?more|any\slonger|again|"
    r"very\smuch|who|that|which|by|of\sall|after|before|until|like|though|or|these|today|anyway|honestly|haha|lol|even|myself|there|here|"
    r"right|just|if|than|most|the\smost|best|more|not|already|actually|really|instead|completely|i|i'm|we|you|he|she|they|is|are|was)\b).*",
    re.IGNORECASE | re.DOTALL,
)
_NOTHING = wordset(
    """it that this these those you him her them me us my your his their our how what when where who to quite very definitely really
    pretty super extremely kind sort being having doing the one everything nothing anything something someone everyone people how's
    i we they he she there here both all any"""
)
_JOBS = wordset(
    """coordinator lead treasurer chairman chairwoman nurse chef cook doctor midwife paramedic teacher lawyer attorney engineer analyst architect accountant clerk cashier pilot
    mechanic plumber electrician carpenter mason welder farmer gardener florist baker butcher barber hairdresser stylist tailor
    waiter waitress bartender barista host concierge receptionist secretary assistant manager director executive officer consultant
    adviser advisor broker agent banker teller auditor economist statistician scientist researcher chemist physicist biologist
    psychologist therapist counsellor counselor coach trainer instructor tutor professor lecturer librarian archivist curator
    historian writer author editor journalist reporter photographer filmmaker producer actor actress dancer singer musician composer
    painter sculptor artist designer illustrator animator translator interpreter linguist programmer developer coder administrator
    technician dentist surgeon vet veterinarian pharmacist optician physiotherapist radiologist cardiologist firefighter policeman
    policewoman detective soldier sailor captain driver courier postman mailman trucker cabbie conductor inspector surveyor
    contractor builder roofer glazier decorator cleaner janitor caretaker nanny babysitter au-pair housekeeper butler judge
    paralegal notary politician diplomat ambassador priest pastor rabbi imam monk nun salesman saleswoman salesperson seller
    merchant trader buyer marketer recruiter planner freelancer entrepreneur founder ceo cto cfo intern apprentice trainee fisherman
    fishmonger brewer winemaker sommelier beekeeper ranger forester logger miner geologist astronomer astronaut meteorologist
    statistician actuary underwriter supervisor foreman superintendent principal headteacher dj model comedian magician jeweller
    jeweler potter blacksmith locksmith cobbler watchmaker upholsterer operator dispatcher controller lifeguard bodyguard bouncer
    guard warden masseuse masseur beautician undertaker zookeeper groomer dietitian nutritionist sonographer radiographer hygienist
    orderly carer caregiver bookkeeper strategist copywriter blogger youtuber streamer referee umpire jockey"""
)
SOFTWARE = wordset(
    """linux ubuntu debian fedora nixos windows macos mac ios android chromeos python java javascript typescript rust go golang kotlin swift
    php ruby perl scala elixir haskell julia matlab vim neovim emacs vscode cursor pycharm intellij xcode postgres postgresql mysql mariadb
    sqlite mongodb redis kafka docker podman kubernetes k8s terraform ansible aws azure gcp cloudflare vercel netlify heroku supabase
    firebase github gitlab bitbucket jira confluence linear asana trello notion obsidian evernote airtable slack discord teams zoom skype
    telegram whatsapp signal gmail outlook excel sheets figma react vue angular svelte nextjs django flask fastapi rails laravel spring node
    nodejs deno bun graphql pytorch tensorflow facebook instagram twitter tiktok snapchat pinterest reddit linkedin youtube twitch bluesky
    mastodon threads tinder bumble hinge duolingo strava netflix spotify hulu disney chatgpt claude gemini copilot firefox chrome safari
    edge brave chromium"""
)
"""Programs, languages and services: what people move to, join and quit without living or working there."""
FIRMS = wordset(
    """google microsoft nvidia intel ibm salesforce uber airbnb stripe deloitte kpmg pwc accenture mckinsey walmart costco ikea starbucks
    mcdonalds walgreens tesco aldi lidl sainsburys morrisons siemens bosch nokia ericsson samsung sony huawei tencent alibaba boeing airbus
    emirates adidas nasa spacex openai anthropic deepmind palantir cisco qualcomm amd dell nestle unilever pfizer novartis roche barclays hsbc
    jpmorgan citibank verizon vodafone comcast fedex dhl ups thales safran lufthansa easyjet ryanair"""
)
"""Firms that many work for and nobody lives in."""
_PRAISE = wordset(
    """best better great good bad worst amazing wonderful fantastic terrible brilliant real true natural born big huge total such
    fellow incredible talented awesome perfect lousy bit amateur hobby volunteer aspiring wannabe budding weekend occasional"""
)
_VAGUE = wordset(
    """seeing getting going having being doing spending taking knowing hearing making how trying coming keeping giving bringing letting"""
)
_REMARKS = wordset("every fun lot life time things stuff is yours ours mine")
_JOB_SUFFIX = re.compile(
    r"(?:ologist|ician|ographer|smith|keeper|maker|worker|engineer|manager|officer|dresser|writer|driver|teacher|nurse)\Z"
)


def phrase(raw: str) -> str:
    """Return the first noun phrase of `raw`, up to four words; empty when it starts like a pronoun or a clause."""
    cut = _CUT.sub("", raw).strip(" .'\"-")
    words = cut.casefold().split()
    if not words or words[0] in _NOTHING or len(words) > 4:
        return ""
    return cut


def is_job(words: str) -> bool:
    """Tell whether a phrase like "tax adviser" ends in the name of an occupation, and does not praise."""
    told = words.casefold().split()
    return bool(told) and (told[-1] in _JOBS or bool(_JOB_SUFFIX.search(told[-1]))) and not _PRAISE.intersection(told)


def is_thing(words: str) -> bool:
    """Tell whether a phrase can be the object of a lasting taste: "mushrooms", "playing chess", not "seeing them play"."""
    told = words.casefold().split()
    return len(told) < 4 and told[0] not in _VAGUE and not _NOTHING.intersection(told) and not (len(told) == 1 and told[0] in _REMARKS)


def looks(value: str, raw: str) -> Sort:
    """Return what sort of value a told one is, by its look."""
    if "@" in value:
        return "email"
    digits = sum(map(str.isdigit, value))
    if digits and digits == len(value):
        return "number"
    if digits >= 6 and not any(map(str.isalpha, value)):
        return "phone"
    return "name" if raw[:1].isupper() else "text"
