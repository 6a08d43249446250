"""Values of the command line: times and versions coming in, JSON documents going out."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any

import click

from loci.errors import Invalid
from loci.text.plain import plain


class When(click.ParamType[datetime]):
    """An ISO 8601 date or time (without a zone: UTC; a date: its midnight), or plain words ("last month", "in May"), which
    name a period: its start is meant, or its end where ``is_end``."""

    name = "time"

    def __init__(self, *, is_end: bool = False) -> None:
        self._is_end = is_end

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        text = str(value).strip()
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            at = self._in_words(text) or self.fail(
                f"{text!r} is no time. Write 2025-03-01, 2025-03-01T14:30+01:00, or words such as 'last month'.", param, ctx
            )
        return at if at.tzinfo is not None else at.replace(tzinfo=UTC)

    def _in_words(self, text: str) -> datetime | None:
        now = datetime.now(UTC)
        if text == "now":
            return now
        from loci.text.dates import window

        found = window(text, now)
        return None if found is None else found[1] if self._is_end else found[0]


class JsonObject(click.ParamType[dict[str, Any]]):
    """A JSON object, such as '{"topic": "food"}'."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        try:
            found = value if isinstance(value, dict) else json.loads(value)
        except (ValueError, RecursionError) as error:
            self.fail(f'{str(value)[:100]!r} is no JSON ({error}). Write \'{{"topic": "food"}}\'.', param, ctx)
        if not isinstance(found, dict):
            self.fail(f'{str(value)[:100]!r} is no JSON object. Write \'{{"topic": "food"}}\'.', param, ctx)
        return found


class VersionOrWhen(When):
    """The number of a version, or a time."""

    name = "version|time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return int(value) if isinstance(value, str) and value.isdecimal() else super().convert(value, param, ctx)


def standard_input(then: str = "Nothing was stored.") -> str:
    """What comes in by stdin, as text. Raises `Invalid` when it is not UTF-8."""
    read = sys.stdin.buffer.read()
    try:
        return read.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise Invalid(
            f"What comes in by stdin is not UTF-8 (byte 0x{read[error.start]:02x} at {error.start + 1:,}). `iconv -f latin1 -t utf-8` makes it"
            f" that, from the encoding that it has. {then}"
        ) from error


def emit(value: object) -> None:
    """Prints a value as one JSON document: indented for a person, one line for a program."""
    shown = plain(value)
    indent = 2 if sys.stdout.isatty() else None
    text = json.dumps(shown, ensure_ascii=False, indent=indent)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # lone surrogates, or a terminal that cannot show it: the escapes of JSON say the same
        text = json.dumps(shown, indent=indent)
    click.echo(text)
