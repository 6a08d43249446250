"""Whether a text gives orders to an assistant that reads it, in the words that attacks on memory are made of. It is a help to whoever
reviews what came from outside, and no defence: what came from outside authorises nothing, whatever it says."""

from __future__ import annotations

import re
import unicodedata

_HIDDEN = re.compile(
    r"[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0000-\U000e0fff]"
)
_ALIKE = str.maketrans("аеорсухіјѕԁԛԝһοανικρτυχАВЕКМНОРСТХІЈЅ", "aeopcyxijsdqwhoavikptuxABEKMHOPCTXIJS")
_READER = r"(?:the |an? |this |any |your )?(?:ai|assistant|agent|chat ?bot|bot|model|llm|system|reader|copilot|gpt|claude|memory)s?"
_DO = (
    r"(?:reply|respond|answer|say|tell|ask|recommend|suggest|advise|send|forward|e?mail|mail|post|upload|transfer|pay|wire|buy|order|book|"
    r"execute|run|call|invoke|use|open|visit|click|go to|navigate|fetch|download|install|delete|remove|erase|drop|print|output|display|"
    r"reveal|disclose|share|leak|include|append|insert|add|attach|remember|store|save|memori[sz]e|treat|trust|obey|follow|approve|grant|"
    r"mention|promote|prefer|refuse|pretend|act|behave|encode|write|export|copy|cc|bcc|redirect|confirm|ignore|skip|bypass|disable)"
)
_ORDERS = re.compile(
    r"\b(?:ignore|disregard|forget|override|bypass|discard)\b.{0,40}\b(?:instruction|prompt|rule|guideline|polic|context|direction|safeguard|memor|"
    r"previous|prior|above|earlier|everything|restriction)"
    r"|\b(?:system|developer) (?:prompt|message|instruction|override|note)\b|\bnew (?:instruction|rule|polic|directive)s?\b"
    r"|\byou are (?:now|no longer)\b|\bfrom (?:now|this point|here|today) on(?:ward)?s?\b|\bjailbreak|\bdo anything now\b"
    rf"|\b(?:whenever|when|if|every time|each time|any time|as soon as|before|after)\b.{{0,80}}\b(?:ask|asks|asked|mention|mentions|mentioned|say|says|see|sees|"
    rf"request|requests|query|queries|answering|replying|responding|user|customer|someone|anyone)\b.{{0,80}}\b(?:always |never |please |then |must |should |do not |don't )*{_DO}\b"
    rf"|\b{_READER} (?:must|should|shall|has to|have to|needs? to|is to|are to|will|may not|can not|cannot)\b"
    rf"|\b(?:tell|instruct|order|remind|make|have|get|ask) {_READER}\b"
    rf"|^\W{{0,8}}(?:(?:hey|dear|attention|note|hi|hello|ok|okay)\W{{1,8}})?{_READER}\W{{1,8}}(?:please |you |always |never |must |do |don't |do not )*{_DO}\b"
    rf"|\byou (?:must|shall|have to|need to|are required to|are instructed to|are to|ought to)\b(?: \w+){{0,3}} {_DO}\b"
    rf"|\b(?:always|never)\W{{1,8}}{_DO}\b|\b(?:do not|don't|dont) (?:tell|reveal|mention|inform|warn|ask|disclose|show|alert|notify|verify|check|follow|trust)\b"
    rf"|(?:^|[.!?;:\n]\W{{0,8}})(?:please |kindly |now |then |also |immediately |first )*{_DO} (?:all|any|every|the|this|these|that|them|it|their|his|her|your|my|user|to|with|only|\S+@|https?:)"
    r"|<\|?(?:im_start|system|assistant|user|endoftext|eot|start_header)|\[/?inst\]|<</?sys>>|^\W{0,8}(?:###+\s*)?(?:system|assistant|developer|instruction)s?\s*:"
    r"|\bimportant(?: instruction| notice)?\s*:|\b(?:hidden|secret|confidential) instruction",
    re.IGNORECASE | re.MULTILINE,
)
MAX_CHARS = 20_000
"""Of a text that is longer, the beginning and the end are read."""


def is_order(text: str) -> bool:
    """Whether some sentence of it tells an assistant what to do, also behind look-alike letters and hidden characters."""
    if len(text) > MAX_CHARS:
        text = text[: MAX_CHARS // 2] + "\n" + text[-MAX_CHARS // 2 :]
    plain = _HIDDEN.sub("", unicodedata.normalize("NFKC", text)).translate(_ALIKE)
    return _ORDERS.search(plain) is not None
