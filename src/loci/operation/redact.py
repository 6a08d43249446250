"""Keeping out of memory what should not be in it: messages and reasons on their way in, and what is shown on its way out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from loci.errors import Refused
from loci.policy.redacting import KEEP, Rules, Treatment, to_hide, treat
from loci.ports import Store
from loci.text import metadata
from loci.text.redaction import Finding, found, masked
from loci.types import Message


@dataclass(frozen=True, slots=True)
class Leak:
    """Words of the journal that hold a secret, or personal data: where, and what kinds, how often."""

    source: str
    at: datetime | None
    kinds: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Redactor:
    """What a cube does with secrets and personal data. ``default`` holds where the cube was told nothing else (``protect``)."""

    store: Store
    default: Rules

    def rules(self, options: Mapping[str, str] | None = None) -> Rules:
        """What holds for this cube, whose options may be known already."""
        options = self.store.options() if options is None else options
        return Rules.of(options.get("secrets", self.default.secrets), options.get("personal", self.default.personal))

    def messages(self, messages: Sequence[Message], options: Mapping[str, str] | None = None) -> tuple[list[Message], list[str]]:
        """The messages as they may be stored, and what was done to them. Raises `Refused` before any is."""
        rules = self.rules(options)
        clean: list[Message] = []
        done: list[str] = []
        for place, message in enumerate(messages, 1):
            text, caption = treat(message.text, rules), treat(message.caption, rules) if message.caption else KEEP
            for treatment in (text, caption):
                self._check(treatment, f"Message {place}")
            if message.metadata:
                kept, told = self.metadata(message.metadata, f"The metadata of message {place}", rules)
                message = replace(message, metadata=kept)
                done.extend(told)
            if text is not KEEP or caption is not KEEP:
                message = replace(
                    message,
                    text=self._masked(message.text, text.findings),
                    caption=message.caption and self._masked(message.caption, caption.findings),
                )
                done.extend(treatment.reason for treatment in (text, caption) if treatment.reason)
            clean.append(message)
        return clean, done

    def metadata(
        self, given: Mapping[str, object], what: str = "The metadata", rules: Rules | None = None
    ) -> tuple[dict[str, Any], list[str]]:
        """What is kept with a memory as it may be stored, and what was done to it. Raises `Refused`."""
        rules, done = self.rules() if rules is None else rules, list[str]()

        def clean(text: str) -> str:
            treatment = treat(text, rules)
            self._check(treatment, what)
            if treatment.reason:
                done.append(treatment.reason)
            return self._masked(text, treatment.findings)

        return metadata.each(metadata.checked(given), clean), done

    @staticmethod
    def _check(treatment: Treatment, what: str) -> None:
        if treatment.action == "refuse":
            raise Refused(f"{what} was {treatment.reason}. Take that out, or let the cube mask it. Nothing was stored.")

    def text(self, text: str) -> str:
        """A text that is stored beside the words, a reason say, or shown: masked, never refused."""
        return self.texts([text])[0]

    def texts(self, texts: Sequence[str]) -> list[str]:
        """Several as one would be."""
        rules = self.rules()
        return [self._masked(text, to_hide(text, rules)) for text in texts]

    def leaks(self) -> Iterator[Leak]:
        """What stands in the journal from before, or was let in."""
        for source in self.store.sources():
            findings = [f for text in (source.message.text, source.message.caption or "") for f in found(text)]
            if findings:
                kinds = dict(sorted((kind, sum(f.kind == kind for f in findings)) for kind in {f.kind for f in findings}))
                yield Leak(source.id, source.message.at, kinds)

    def _masked(self, text: str, findings: Sequence[Finding]) -> str:
        return masked(text, findings, self._tag) if findings else text

    def _tag(self, said: str) -> str:
        return self.store.hash("redaction", said).hex()
