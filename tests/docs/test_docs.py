"""Documentation is tested: every Python block runs, the generated page is current, and no verb goes without a section."""

import importlib.util
import inspect
import re
from pathlib import Path

import pytest

from loci.system import Cube

ROOT = Path(__file__).parents[2]
PAGES = [
    "README.md",
    "docs/tutorial.md",
    "docs/how-to.md",
    "docs/how-to/activation.md",
    "docs/how-to/pipelines.md",
    "docs/how-to/adapters.md",
    "docs/how-to/server.md",
    "docs/how-to/from-mem0.md",
    "docs/how-to/import.md",
]


@pytest.mark.parametrize("page", PAGES)
def test_the_python_blocks_of_a_page_run_in_order(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text("utf-8"), flags=re.DOTALL)
    assert blocks
    exec(compile("\n".join(blocks), page, "exec"), {"__name__": "page"})


def test_the_reference_is_what_the_code_says():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert (ROOT / "docs/reference.md").read_text("utf-8") == generate.page(), "run `make docs`"


def test_every_verb_has_a_docstring():
    assert [n for n, m in inspect.getmembers(Cube, inspect.isfunction) if not n.startswith("_") and not m.__doc__] == []


def test_links_between_pages_lead_somewhere():
    others = (
        "ARCHITECTURE.md",
        "design/019-pipelines.md",
        "design/021-what-a-door-may-do.md",
        "design/022-mem0s-door.md",
        "design/025-what-comes-from-elsewhere.md",
        "docs/how-to/mcp.md",
        "docs/how-to/proxy.md",
        "design/024-what-the-proxy-changes.md",
        *(f"docs/explanation/{name}.md" for name in ("activation", "foresight", "memory-bank", "three-forms", "adapters", "placement")),
    )
    for page in [ROOT / p for p in (*PAGES, *others)]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name} -> {target}"
