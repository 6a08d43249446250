"""The part of a long text that a question is about: whole sentences of it, in order, with the gaps marked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from math import log1p

from loci.text.sentences import sentences
from loci.text.tokens import count_tokens, spaced, words

GAP = "…"
LEAST, MOST = 4, 3  # letters of a stem at least, letters of an ending at most


def excerpt(text: str, terms: Sequence[str], tokens: int) -> str:
    """Return at most so many tokens of ``text``: the sentences that share most of the terms, those weighing most that few sentences hold, each
    with the one before it where there is room; where none shares any, the first ones. Where not one sentence fits, the best is cut at a word.
    ``text`` itself where it fits."""
    return shown(text, chosen(text, terms, tokens), tokens)


def chosen(text: str, terms: Sequence[str], tokens: int) -> tuple[int, ...]:
    """Which sentences of ``text`` `excerpt` takes, by their places in order; none where all of it fits. ``shown`` gives the words."""
    if count_tokens(text) <= tokens:
        return ()
    cuts = sentences(text)
    weights = _weights([words(spaced(text[start:end])) for start, end in cuts], terms)
    about = [place for place in range(len(cuts)) if weights[place]] or range(len(cuts))
    ranked = sorted(about, key=lambda place: (-weights[place], place))
    room = 4 * tokens - _size(GAP)
    taken: set[int] = set()
    for place in (near for best in ranked for near in (best, best - 1)):
        cost = _size(text[slice(*cuts[place])]) + _size(f" {GAP} ")
        if place >= 0 and place not in taken and cost <= room:
            taken.add(place)
            room -= cost
    return tuple(sorted(taken)) or tuple(ranked[:1])


def shown(text: str, places: Collection[int], tokens: int) -> str:
    """At most so many tokens of these sentences, with the gaps marked; a single one that is too long is cut at a word. All of the text
    where it fits."""
    if count_tokens(text) <= tokens:
        return text
    cuts = sentences(text)
    there = [place for place in places if place < len(cuts)]
    joined = _joined(text, cuts, there) if there else text
    return joined if count_tokens(joined) <= tokens else _cut(text[slice(*cuts[there[0]])] if there else text, tokens)


def _weights(said: Sequence[Sequence[str]], terms: Sequence[str]) -> list[float]:
    """What the terms weigh in each sentence: a term counts as a stem and once more as the very word, each the more the fewer of the
    sentences hold it, by log(1 + sentences / sentences that hold it) (Robertson and Spärck Jones 1976)."""
    wanted = {form for term in terms for form in _forms(term)}
    held = [wanted.intersection(form for word in sentence for form in _forms(word)) for sentence in said]
    holding = Counter(form for forms in held for form in forms)
    return [sum(log1p(len(said) / holding[form]) for form in sorted(forms)) for forms in held]


def _joined(text: str, cuts: Sequence[tuple[int, int]], chosen: Collection[int]) -> str:
    parts: list[str] = []
    for place in sorted(chosen):
        if place and place - 1 not in chosen:
            parts.append(GAP)
        parts.append(text[slice(*cuts[place])])
    if max(chosen) < len(cuts) - 1:
        parts.append(GAP)
    return " ".join(parts)


def _cut(text: str, tokens: int) -> str:
    """The first words that fit, and a gap; nothing where not even one does."""
    raw = text.encode("utf-8", "surrogatepass")[: max(4 * tokens - _size(f" {GAP}"), 0)].decode("utf-8", "ignore")
    kept = raw.rpartition(" ")[0] or raw
    return f"{kept} {GAP}" if kept else ""


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _forms(word: str) -> tuple[str, ...]:
    """A word, and what is left of it without its ending, roughly: the same of "painted" and "painting". A number or a mark such as
    "INV1123" has no ending."""
    folded = word.lower()
    return (folded, f"{folded[: max(LEAST, len(folded) - MOST)]}-") if folded.isalpha() else (folded,)
