"""No statement of SQL is put together from a value: what a driver hands to SQLite is made of constants of a module, of marks for
parameters, and of lists of row numbers. Values are bound."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import loci

DRIVER = Path(loci.__file__).parent / "drivers" / "sqlite"
# Calls that take a statement, or a part of one, and the place of it among their arguments. Their own parameter is what callers gave.
SINKS = {
    "execute": 0,
    "executemany": 0,
    "rows": 0,
    "versions": 0,
    "query": 1,
    "scalar": 1,
    "batches": 1,
    "_column": 1,
    "_delete": 1,
    "_pragma": 1,
    "_settle": 1,
    "_query": 0,
    "_change": 0,
    "_claiming": 2,
}
# (function, parameter) that is one of a few names: asserted there, or handed in from a table of them
CHECKED = {
    ("names", "column"),
    ("quoting", "by"),
    ("_readable", "table"),
    ("_readable", "columns"),
    ("_expression", "column"),
    ("_rows", "table"),
    ("_silence", "touched"),
    ("_silence", "contents"),
}
NUMBERS = {
    "','.join(map(str, ",
    "_list(",
    "int(",
    "self._listed(",
    "raw(",
    "key.hex(",
}  # calls that make numbers, typed so; mypy sees to it
MARKS = "','.join('?' * len("
Function = ast.FunctionDef | ast.AsyncFunctionDef


def unsafe(source: str) -> Iterator[tuple[int, str]]:
    """(line, expression) of what reaches a statement and is none of these."""
    tree = ast.parse(source)
    for function in (node for node in ast.walk(tree) if isinstance(node, Function)):
        for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
            statement = statement_of(call)
            if statement is not None:
                yield from ((call.lineno, ast.unparse(part)) for part in Parts(function).wrong(statement))


def statement_of(call: ast.Call) -> ast.expr | None:
    """The argument of a call that SQLite reads as SQL."""
    is_method = isinstance(call.func, ast.Attribute)
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name == "rows" and not (isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "self"):
        return None  # of the picture in memory
    if name not in SINKS or (is_method and SINKS[name] == 1) or any(isinstance(a, ast.Starred) for a in call.args[: SINKS[name] + 1]):
        return None
    given = call.args[SINKS[name] : SINKS[name] + 1] or [keyword.value for keyword in call.keywords]
    return given[0] if given else None


class Parts:
    """What an expression inside of a function is made of."""

    def __init__(self, function: Function) -> None:
        arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        self.known: dict[str, list[ast.expr | None]] = {}  # by name what it is given; None where that cannot be told
        for argument in arguments:
            is_given = function.name in SINKS or (function.name, argument.arg) in CHECKED
            self.known[argument.arg] = [ast.Constant("")] if is_given else [None]
        for node in ast.walk(function):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    self._bind(target, node.value)
            elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr):
                self._bind(node.target, node.value)
            elif isinstance(node, ast.For | ast.comprehension):
                self._bind_each(node.target, node.iter)

    def _bind(self, target: ast.expr, value: ast.expr | None) -> None:
        if isinstance(target, ast.Name):
            self.known.setdefault(target.id, []).append(value)
        elif isinstance(target, ast.Tuple):
            values = value.elts if isinstance(value, ast.Tuple) and len(value.elts) == len(target.elts) else [None] * len(target.elts)
            for inner, given in zip(target.elts, values, strict=True):
                self._bind(inner, given)

    def _bind_each(self, target: ast.expr, values: ast.expr) -> None:
        whole = ast.unparse(values).removesuffix(".items()")
        if whole.isupper():
            for inner in target.elts if isinstance(target, ast.Tuple) else [target]:
                self._bind(inner, ast.Name(whole))
        elif ast.unparse(values).startswith("range("):
            self._bind(target, ast.Constant(0))
        else:
            for value in values.elts if isinstance(values, ast.Tuple | ast.List) else [None]:
                self._bind(target, value)

    def wrong(self, part: ast.expr | None, seen: frozenset[str] = frozenset()) -> list[ast.expr]:
        match part:
            case None:
                return [ast.Constant("?")]
            case ast.Constant():
                return []
            case ast.JoinedStr(values=inner):
                return [bad for value in inner for bad in self.wrong(value, seen)]
            case ast.FormattedValue(value=inner) | ast.Subscript(value=ast.Name() as inner) if ast.unparse(inner).isupper():
                return []
            case ast.FormattedValue(value=inner):
                return self.wrong(inner, seen)
            case ast.BinOp(left=first, right=second, op=ast.Add()) | ast.IfExp(body=first, orelse=second):
                return self.wrong(first, seen) + self.wrong(second, seen)
            case ast.Call() if ast.unparse(part).startswith((MARKS, *NUMBERS)):
                return []
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="format"), args=[], keywords=given) if name.isupper():
                return [bad for keyword in given for bad in self.wrong(keyword.value, seen)]
            case ast.Call(func=ast.Attribute(value=ast.Constant(), attr="join"), args=[listed]):
                return self._listed(part, listed, seen)
            case ast.Name(id=name) if name.isupper() or name in seen:
                return []
            case ast.Name(id=name) if name in self.known:
                return [part] if any(self.wrong(value, seen | {name}) for value in self.known[name]) else []
        return [part]

    def _listed(self, whole: ast.expr, listed: ast.expr, seen: frozenset[str]) -> list[ast.expr]:
        """Parts joined by a constant: those of a constant of the module, or each made by a call that may be."""
        match listed:
            case ast.Name(id=name) | ast.Subscript(value=ast.Name(id=name)) if name.isupper():
                return []
            case ast.GeneratorExp(elt=ast.Call() | ast.JoinedStr() as made):
                return self.wrong(made, seen)
        return [whole]


def test_statements_are_made_of_constants_marks_and_row_numbers() -> None:
    files = sorted(DRIVER.glob("*.py"))
    assert len(files) > 10
    assert [(file.name, *found) for file in files for found in unsafe(file.read_text("utf-8"))] == []


@pytest.mark.parametrize(
    "body",
    ["db.execute(f'SELECT {name}')", "db.execute('SELECT ' + name)", "db.execute('SELECT %s' % name)", "db.execute('SELECT {}'.format(name))",
     "db.execute(name)", "sql = f'SELECT {name}'; query(db, sql)", "self.rows(' '.join([name]))", "_delete(db, f'x WHERE y = {name}')",
     "for x in name: query(db, f'{x}')", "x = 'a'; x = name; query(db, x)", "x, y = f(name); query(db, x)", "db.execute(f'{name!r}')",
     "query(db, f\"{','.join(name)}\")", "db.execute('x' if y else name)", "db.execute(sql=name)"],
)  # fmt: skip
def test_a_value_in_a_statement_is_seen(body: str) -> None:
    assert list(unsafe(f"def look(db, self, name):\n    {body}"))
    assert not list(unsafe("def look(db, name):\n    db.execute('SELECT ?', (name,))"))
