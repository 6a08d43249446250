"""Words, content words, the token count of the budget, and the form in which trivial differences vanish."""

from __future__ import annotations

import re
from unicodedata import category
from unicodedata import normalize as _unicode_form

_FUNCTION_WORDS = """
    a an the i me my mine myself we us our ours ourselves you your yours yourself yourselves ya yall he him his himself
    she her hers herself it its itself they them their theirs themselves this that these those one ones someone somebody
    something anyone anybody anything everyone everybody everything noone nobody nothing each every either neither both
    all any some few many much more most less least other others another such same own several

    am is are was were be been being isnt arent wasnt werent aint do does did doing done dont doesnt didnt have has had
    having havent hasnt hadnt will would shall should can could might must ought wont wouldnt shant shouldnt cant cannot
    couldnt mightnt mustnt neednt going gonna gotta wanna lets let get gets got getting not no nor never

    about above across after again against along among around as at before behind below beneath beside besides between
    beyond by despite down during except for from in inside into like near of off on onto out outside over past per
    since than through throughout till to toward towards under underneath until unto up upon via versus vs with within
    without and but or so yet if because although though while whereas unless whether then else thus hence therefore
    however what which who whom whose when where why how whatever whichever whoever whenever wherever

    here there now just also too very really quite rather only even still already ever almost always often sometimes
    maybe perhaps actually basically literally probably definitely certainly anyway well much lot lots bit kinda sorta

    hey hi hello yeah yes yep yup yah nope nah ok okay oh ah aha ooh wow whoa hmm hm um uh er huh haha hahaha lol lmao
    omg thanks thank thx please pls sure btw tbh imo etc bye
    s t d ll m re ve o y im ive youre youve youll youd hes shes weve theyre theyve theyll thats whats wheres whos hows
    theres heres

    的 了 是 在 我 你 您 他 她 它 们 我们 你们 他们 她们 这 那 和 也 就 都 很 有 吗 呢 吧 什 么 什么 哪 哪里 哪个 谁 怎 怎么 为什 几 多少
    何 誰 どこ いつ です すか ます ますか した して いる ある から こと さん
    나는 무엇 어디 누구 언제 입니 니까 니다
"""
STOPWORDS: frozenset[str] = frozenset(_FUNCTION_WORDS.split())

# Marks that belong to the letter before them; `\w` leaves them out, which would cut Hindi or pointed Hebrew apart.
_MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f\u0670"
    "\u06d6-\u06dc\u06df-\u06e8\u0900-\u0963\u0966-\u0df3\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1-\u0ebc\u0ec8-\u0ecd"
    "\u102b-\u103e\u3099\u309a"
)
_WORD = re.compile(rf"[^\W_](?:[^\W_]|[{_MARKS}']|\u200d(?=\w))*")
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")
# What the text index takes apart besides: no spaces (Thai, Lao, Burmese, Khmer, half-width kana), or words with their endings on (Korean).
_TOGETHER = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff66-\uff9f"
    "\U00020000-\U0003134f]+"
)
_CHINESE = re.compile("[\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003134f]")
_CLITIC = re.compile(r"'(?:s|m|d|re|ve|ll)$")
_CLITICS = (b"'s ", b"'m ", b"'d ", b"'re ", b"'ve ", b"'ll ")
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\uff07\u00b4`", "'"))
_ASCII_WORDS = bytes(ord(chr(i).lower()) if chr(i).isalnum() or i == 39 else 32 for i in range(128)) + bytes(128)

# The tables of `normalize`. Between digits a point, comma or colon counts, as does a sign before them.
_ASKS = re.compile(r"\?[?!\s]*")
_LOOSE = re.compile(r"[.,:-](?:(?!\d)|(?<=[.,:])(?<!\d.)|(?<=\S-))")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_SOFT_MARKS = ';!"()[]{}_*\u2026\u2013\u2014\u201c\u201d\u00ab\u00bb\u3001\u3002\u00a1\u00bf\u060c\u061b\u0964'
_FORM: dict[int, str | None] = {ord("'"): None, 0x61F: "?"}
_FORM |= {i: chr(i).lower() for i in range(128) if chr(i) != "'"} | dict.fromkeys(map(ord, _SOFT_MARKS), " ")
_ASCII_NUMBER_FORM = bytes(ord(_FORM[i] or " ") for i in range(128)) + bytes(128)
_ASCII_FORM = bytes(32 if chr(i) in ".,:-" else _ASCII_NUMBER_FORM[i] for i in range(128)) + bytes(128)
_ASCII_DIGITS = b"0123456789"


def words(text: str) -> list[str]:
    """Return the words of `text`, in order: casefolded NFKC runs of letters and digits.

    A possessive or a contracted verb goes ("Alice's" is alice, "I'm" is i), any other apostrophe closes up ("don't" is
    dont). Scripts written without spaces (Chinese, Japanese) give overlapping pairs of characters.
    """
    if text.isascii():
        raw = text.encode().translate(_ASCII_WORDS)
        if b"'" in raw:
            raw += b" "
            for clitic in _CLITICS:
                raw = raw.replace(clitic, b" ")
            raw = raw.replace(b"'", b"")
        return raw.decode().split()
    folded = _folded(text).translate(_APOSTROPHES)
    found = _WORD.findall(folded)
    if "'" in folded:
        found = _uncontracted(found)
    return _paired(found) if _UNSPACED.search(folded) else found


def content_words(text: str) -> list[str]:
    """Return the distinct words of `text` that are not stopwords, in the order of their first use."""
    return [word for word in dict.fromkeys(words(text)) if word not in STOPWORDS]


def spaced(text: str) -> str:
    """Return `text` as the text index takes it, and questions of it: where a script puts no spaces between words, or endings onto them, its
    overlapping pairs of letters stand in the place of a run, each Chinese character by itself as well (bigrams and unigrams: Lucene's CJK analysis;
    Nie, Gao, Zhang, Zhou 2000). Of the rest nothing changes.
    """
    return text if text.isascii() else _TOGETHER.sub(_in_pairs, text)


def terms(text: str) -> list[str]:
    """Return the distinct words of a question that are looked for in the text index."""
    return content_words(spaced(text))


def length(text: str) -> int:
    """Return how many words `text` has; where a script puts no spaces between them, two letters count as one."""
    if text.isascii():
        return len(text.split())
    return len(_TOGETHER.sub(" ", text).split()) + sum(-(-len(run) // 2) for run in _TOGETHER.findall(text))


def count_tokens(text: str) -> int:
    """Return the size of `text` in budget tokens: UTF-8 bytes / 4, rounded up; a lone surrogate is three bytes."""
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return -(-size // 4)


def normalize(text: str) -> str:
    """Return the form in which restatements with trivial differences are equal: case, width, spaces, punctuation.

    What changes the meaning stays: a question mark, the point or sign of a number, symbols (C++, 5 %, emoji).
    """
    if "?" in text:
        text = _ASKS.sub(" ? ", text)
    if text.isascii():
        raw = text.encode()
        if len(raw.translate(None, _ASCII_DIGITS)) == len(raw):
            return " ".join(raw.translate(_ASCII_FORM, b"'").decode().split())
        raw = _LOOSE.sub(" ", _THOUSANDS.sub("", text)).encode()
        return " ".join(raw.translate(_ASCII_NUMBER_FORM, b"'").decode().split())
    text = _THOUSANDS.sub("", _folded(text).translate(_APOSTROPHES))
    return " ".join(_folded(_ASKS.sub(" ? ", _LOOSE.sub(" ", text).translate(_FORM))).split())


def _folded(text: str) -> str:
    """Return NFKC of the full case folding, repeated until it is stable (twice, but for a handful of characters)."""
    for _ in range(4):
        folded = _unicode_form("NFKC", text.casefold())
        if folded == text:
            break
        text = folded
    return text


def _uncontracted(found: list[str]) -> list[str]:
    """Return the words with their apostrophes resolved and what was only an apostrophe left out."""
    plain = [_CLITIC.sub("", word).replace("'", "") if "'" in word else word for word in found]
    return [word for word in plain if word]


def _in_pairs(run: re.Match[str]) -> str:
    """Return the letters of a run in pairs, between spaces. Marks go: FTS5 ends a word at them."""
    letters = "".join(sign for sign in _unicode_form("NFKC", run.group()) if category(sign)[0] != "M")
    told = [letters] if len(letters) == 1 else []
    for place in range(len(letters) if len(letters) > 1 else 0):
        if _CHINESE.match(letters, place):
            told.append(letters[place])
        if place + 1 < len(letters):
            told.append(letters[place : place + 2])
    return f" {' '.join(told)} "


def _paired(found: list[str]) -> list[str]:
    """Return the words with each unspaced run replaced by its overlapping pairs of characters."""
    result: list[str] = []
    for word in found:
        start = 0
        for run in _UNSPACED.finditer(word):
            if run.start() > start:
                result.append(word[start : run.start()])
            chars = run.group()
            result += [chars[i : i + 2] for i in range(max(1, len(chars) - 1))]
            start = run.end()
        if start < len(word):
            result.append(word[start:])
    return result
