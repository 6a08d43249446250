"""What a cube does with secrets and with personal data before a word of it is stored: keep it, mask it, or refuse the message.

The default masks what opens something and keeps what says who somebody is: a memory that may not know an address is of little use,
and one that knows a password is a danger. Decided here, done by `text.redaction.masked`; the reason holds nothing of what was found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from loci.errors import Invalid
from loci.text.redaction import Finding, Group, found

Action = Literal["keep", "mask", "refuse"]
ACTIONS: tuple[Action, ...] = ("keep", "mask", "refuse")


@dataclass(frozen=True, slots=True)
class Rules:
    """What happens to each group."""

    secrets: Action = "mask"
    personal: Action = "keep"

    @classmethod
    def of(cls, secrets: str, personal: str) -> Rules:
        """The rules by the names of their actions. Raises `Invalid` for one that is none."""
        return cls(_action(secrets), _action(personal))

    @property
    def watched(self) -> frozenset[Group]:
        """The groups that are looked for at all: what is kept need not be found."""
        groups: dict[Group, Action] = {"secret": self.secrets, "personal": self.personal}
        return frozenset(group for group, action in groups.items() if action != "keep")


@dataclass(frozen=True, slots=True)
class Treatment:
    """What to do with one text: nothing, mask these findings, or refuse it; and why, in words that may be logged and audited."""

    action: Action
    findings: tuple[Finding, ...] = ()
    reason: str = ""


KEEP = Treatment("keep")


def _action(name: str) -> Action:
    for action in ACTIONS:
        if name == action:
            return action
    raise Invalid(f"{name!r} is no way to treat what is found; choose one of {', '.join(ACTIONS)}.")


def treat(text: str, rules: Rules) -> Treatment:
    """What the rules do with `text`. One finding of a group that is refused refuses the whole text."""
    findings = found(text, rules.watched)
    if not findings:
        return KEEP
    actions: dict[Group, Action] = {"secret": rules.secrets, "personal": rules.personal}
    refused = [finding for finding in findings if actions[finding.group] == "refuse"]
    if refused:
        return Treatment("refuse", tuple(refused), f"refused: it holds {told(refused)}")
    return Treatment("mask", findings, f"masked {told(findings)}")


def to_hide(text: str, rules: Rules) -> tuple[Finding, ...]:
    """What is masked of a text that is shown, or stored beside the words: all that may not come in unmasked."""
    return found(text, rules.watched)


def told(findings: Collection[Finding]) -> str:
    """The findings in words, counted by kind: "2 github_token, 1 password"."""
    counts = Counter(finding.kind for finding in findings)
    return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
