"""The part of a long text that a question is about: whole sentences of it, in order, with the gaps marked."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from loci.text.sentences import sentences
from loci.text.tokens import count_tokens, words

GAP = "…"
LEAST, MOST = 4, 3  # letters of a stem at least, letters of an ending at most


def excerpt(text: str, terms: Sequence[str], tokens: int) -> str:
    """Return at most so many tokens of ``text``: the sentences that share most of the terms, each with the one before it where there is
    room; where none shares any, the first ones. Where not one sentence fits, the best is cut at a word. ``text`` itself where it fits."""
    return shown(text, chosen(text, terms, tokens), tokens)


def chosen(text: str, terms: Sequence[str], tokens: int) -> tuple[int, ...]:
    """Which sentences of ``text`` `excerpt` takes, by their places in order; none where all of it fits. ``shown`` gives the words."""
    if count_tokens(text) <= tokens:
        return ()
    cuts = sentences(text)
    wanted = {_stem(term) for term in terms}
    shared = [len(wanted & {_stem(word) for word in words(text[start:end])}) for start, end in cuts]
    about = [place for place in range(len(cuts)) if shared[place]] or range(len(cuts))
    ranked = sorted(about, key=lambda place: (-shared[place], place))
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


def _stem(word: str) -> str:
    """A word without its ending, roughly: what is left is the same of "painted" and "painting"."""
    return word[: max(LEAST, len(word) - MOST)].lower()
