"""What can be seen from outside: the public names, what importing costs, the error tree, the settings."""

from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import loci
from loci import errors, settings, testing
from loci.errors import LociError
from loci.settings import Settings, load

SOURCE = Path(loci.__file__).parent
PUBLIC = [
    "Change", "Channel", "Hit", "Interval", "Kind", "LociError", "MemOS", "Memory", "Message", "Outcome", "Recall", "Receipt", "Source",
    "State", "Type", "__version__", "connect",
]  # fmt: skip
HEAVY = (
    "numpy",
    "onnxruntime",
    "onnx",
    "tokenizers",
    "rich",
    "click",
    "apsw",
    "cryptography",
    "torch",
    "sqlite3",
    "asyncio",
    "http.client",
    "loci.wire",
)
IMPORT_SECONDS = 0.3  # of user CPU, for all of `import loci` in a fresh process


# -- names --------------------------------------------------------------------------------------------------------------


def test_the_public_names_are_these() -> None:
    """At most 25 (design, section 2). A name that is added here is promised for good."""
    assert sorted(loci.__all__) == PUBLIC and len(PUBLIC) <= 25
    for name in loci.__all__:
        assert getattr(loci, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        loci.Nothing  # noqa: B018


def test_every_public_class_says_what_it_is() -> None:
    for name in loci.__all__:
        thing = getattr(loci, name)
        if inspect.isclass(thing):
            assert thing.__doc__ and thing.__doc__[0].isupper(), name
    for name in testing.__all__:
        assert getattr(testing, name).__doc__


def test_every_verb_says_what_one_gets() -> None:
    from loci.system import Cube, System

    for owner in (System, Cube):
        for name, member in inspect.getmembers(owner, inspect.isfunction):
            if not name.startswith("_"):
                assert member.__doc__, f"{owner.__name__}.{name} has no docstring"


# -- importing ----------------------------------------------------------------------------------------------------------


def test_importing_loci_is_quick_and_reads_no_engine() -> None:
    script = (
        "import os, sys, json; before = os.times().user; import loci; took = os.times().user - before;"
        f"print(json.dumps([took, [m for m in {HEAVY!r} if m in sys.modules], loci.__version__]))"
    )
    runs = [json.loads(subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True).stdout) for _ in range(3)]
    assert [run[1] for run in runs] == [[], [], []]
    assert min(run[0] for run in runs) < IMPORT_SECONDS


def test_importing_loci_touches_nothing(tmp_path: Path) -> None:
    script = "import loci, threading; from loci import MemOS; assert threading.active_count() == 1"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


# -- errors -------------------------------------------------------------------------------------------------------------


def leaves(kind: type[LociError] = LociError) -> list[type[LociError]]:
    return [kind, *(leaf for below in kind.__subclasses__() for leaf in leaves(below))]


TREE = [kind for kind in leaves() if kind.__module__ == errors.__name__]
FAMILIES = LociError.__subclasses__()


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [kind.code for kind in TREE]
    assert len(set(codes)) == len(codes) and all(re.fullmatch(r"[a-z_]+", code) for code in codes)
    for kind in TREE:
        assert kind.code == re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower().replace("loci_error", "error")
        assert 400 <= kind.http_status < 600 and kind.__doc__


def test_a_family_is_one_exit_code() -> None:
    """The exit code says whose move is next; 0 is success and 1 is anything not raised on purpose."""
    exits = [family.exit_code for family in FAMILIES]
    assert len(set(exits)) == len(exits) and min(exits) > 1
    for family in FAMILIES:
        assert {kind.exit_code for kind in leaves(family)} == {family.exit_code}


def test_whose_fault_it_is_shows_in_the_status() -> None:
    for family in FAMILIES:
        is_callers = family.__name__ in ("Invalid", "Denied", "Missing", "Conflict")
        for kind in leaves(family):
            assert (kind.http_status < 500) is is_callers, kind


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = re.findall(r"[├└]── (\w+)", errors.__doc__ or "")
    assert drawn == [kind.__name__ for kind in TREE[1:]]


def test_every_error_can_be_shown_at_every_door() -> None:
    special = {
        "Malformed": ("m", 3),
        "VersionConflict": ("m", 1, 2),
        "MirrorConflict": ("m", ["notes.md:3"]),
        "IncompatiblePayload": ("m", "rope", "linear", "llama3"),
        "TooLossy": ("m", 0.7, 0.5),
    }
    for kind in TREE:
        shown = kind(*special.get(kind.__name__, ("m",))).as_dict()
        assert shown["error"] == kind.code and shown["message"] == "m" and json.dumps(shown)


# -- policies -----------------------------------------------------------------------------------------------------------

PURE = sorted(
    [
        *(SOURCE / "policy").rglob("*.py"),
        *(SOURCE / "text").rglob("*.py"),
        SOURCE / "types.py",
        SOURCE / "errors.py",
        *(SOURCE / "ports").rglob("*.py"),
    ]
)
IMPURE_MODULES = {
    "numpy", "apsw", "sqlite3", "os", "io", "sys", "time", "random", "secrets", "socket", "threading", "multiprocessing", "subprocess", "shutil",
    "tempfile", "logging", "uuid", "asyncio", "urllib", "http",
}  # fmt: skip
IMPURE_CALLS = {"now", "utcnow", "today", "open", "print", "input", "eval", "exec"}


@pytest.mark.parametrize("path", PURE, ids=lambda path: str(path.relative_to(SOURCE)))
def test_decisions_are_pure(path: Path) -> None:
    """Law 10: no I/O, no clock, no chance, no numpy. Names used for types alone may be imported for the type checker."""
    tree = ast.parse(path.read_text("utf-8"))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            assert not {name.split(".")[0] for name in names} & IMPURE_MODULES, ast.unparse(node)
            assert not (
                path.parent.name == "policy" and any(name.startswith(("loci.operation", "loci.drivers", "loci.system")) for name in names)
            )
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id if isinstance(node.func, ast.Name) else ""
            assert called not in IMPURE_CALLS, f"{path.name}:{node.lineno} {ast.unparse(node)}"
        assert not isinstance(node, ast.Global), "a decision keeps no state"


def test_the_kernel_catches_nothing_broadly() -> None:
    """A broad `except` stands only at a server's boundary and in the worker loop; elsewhere it must raise again."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ExceptHandler) and (node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")):
                is_raising = any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node))
                assert is_raising or path.name == "scheduler.py" or {"cli", "server"} & {*path.parts}, f"{path}:{node.lineno}"


# -- settings -----------------------------------------------------------------------------------------------------------


def test_settings_are_few_and_each_says_what_it_means() -> None:
    assert 0 < len(fields(Settings)) <= 40
    for field in fields(Settings):
        assert field.metadata["meaning"].strip() and len(field.metadata["meaning"]) < 160, field.name
    _, effective = load({}, environment={})
    assert [e.name for e in effective] == [f.name for f in fields(Settings)] and all(e.origin == "default" for e in effective)


def test_an_unknown_setting_names_the_nearest() -> None:
    for arguments, environment in (({"capacty": 5}, {}), ({}, {"LOCI_CAPACTY": "5"})):
        with pytest.raises(errors.Invalid, match=r"no setting 'capacty'.*'capacity'"):
            load(arguments, environment=environment)
    with pytest.raises(errors.Invalid, match="must be a int"):
        load({"limit": "many"}, environment={})


def test_the_environment_is_read_in_one_place() -> None:
    readers = [p for p in SOURCE.rglob("*.py") if re.search(r"os\.environ|getenv", p.read_text("utf-8"))]
    assert [p.relative_to(SOURCE).as_posix() for p in readers if not {"cli", "beside"} & {*p.parts}] == ["settings.py"]
    assert settings.PREFIX == "LOCI_"


# -- the map ------------------------------------------------------------------------------------------------------------


def test_the_map_of_the_house_has_every_floor_and_every_room() -> None:
    """ARCHITECTURE.md, whose tables are of the two floors with the most rooms."""
    told = (SOURCE.parents[1] / "ARCHITECTURE.md").read_text("utf-8")
    floors = {name for line in told.split("```text\n")[1].split("```")[0].splitlines() for name in line[:25].split()}
    assert floors == modules(SOURCE)
    for floor, inner in (("operation", []), ("server", ["proxy"])):
        table = told.split(f"\n| `{floor}` |")[1].split("\n\n")[0]
        there = modules(SOURCE / floor).union(*(modules(SOURCE / floor / room) for room in inner))
        assert set(re.findall(r"`(\w+)`", table)) == there, floor


def modules(folder: Path) -> set[str]:
    return {
        path.stem
        for path in folder.iterdir()
        if not path.stem.startswith("__") and (path.suffix == ".py" or (path / "__init__.py").exists())
    }
