"""Errors as mem0's callers catch them: what is wrong with a call is a `ValueError` there. They are errors of `loci.errors` as well."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from loci.errors import Invalid, LociError, Missing, TooLarge


class BadCall(Invalid, ValueError):
    """What was asked is wrong in itself."""


class TooMuch(TooLarge, ValueError):
    """What was asked is beyond a limit."""


class NotThere(Missing, ValueError):
    """There is no memory with that id."""


@contextmanager
def in_habit() -> Iterator[None]:
    """Raises what is wrong with a call as mem0 does; everything else as it is."""
    try:
        yield
    except ValueError:
        raise
    except TooLarge as error:
        raise TooMuch(str(error)) from error
    except Invalid as error:
        raise BadCall(str(error)) from error
    except Missing as error:
        raise NotThere(str(error)) from error


def legacy(error: LociError) -> tuple[int, dict[str, object]]:
    """(HTTP status, body) of an error at mem0's routes: its ``detail``, and the code. Never 200."""
    return error.http_status, {"detail": str(error), "error": error.code, **error.details()}
