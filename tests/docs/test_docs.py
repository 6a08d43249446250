"""Documentation is tested: no block goes unrun, the generated page is current, and links lead somewhere.

Blocks of Python run here, in the order of their page; lines of a shell in `test_lines.py`; calls of curl in `tests/real/test_curl.py`.
"""

import importlib.util
import json
import re
import tomllib

import pytest
from blocks import PAGES, ROOT, SHELL, blocks, read

RUN_BY = {  # pages whose Python wants more than this file gives, and the test that runs it
    "docs/explanation/eviction.md": "tests/model/test_eviction_page.py",
    "docs/explanation/memory-bank.md": "tests/model/test_bank_page.py",
    "docs/how-to/from-mem0.md": "tests/real/test_mem0_served.py",
    "docs/how-to/proxy.md": "tests/real/test_proxy_served.py",
}
COMPILED_BY = {"docs/how-to/server.md": "tests/real/test_typescript.py"}  # TypeScript
TEXTS = {  # pages with blocks that are no code, and what these are
    "ARCHITECTURE.md": "a picture of the floors",
    "docs/explanation/activation.md": "the order of a prompt's parts",
    "docs/reference.md": "signatures, written from the code",
}
BEFORE = {  # what a page takes to be there
    "docs/explanation/foresight.md": """
from loci import MemOS
memory = MemOS.open("foresight-vault", embedder="none")
cube = memory.cube("main")
cube.add("The piano came on Monday, by ferry.", user="ann", session="s0")
""",
}
AFTER = {  # what is asked of it in the end; what it leaves open would be in the way of other tests
    "docs/explanation/foresight.md": "assert talk.errand is not None and prompt.tokens\nmemory.close()",
    "docs/how-to/from-llamaindex.md": "vault.close()",
}
WITH_PYTHON = [page for page in PAGES if blocks(page, "python") and page not in RUN_BY]


@pytest.mark.parametrize("page", WITH_PYTHON)
def test_the_python_blocks_of_a_page_run_in_order(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = "\n".join([BEFORE.get(page, ""), *(block.text for block in blocks(page, "python")), AFTER.get(page, "")])
    exec(compile(code, page, "exec"), {"__name__": "page"})


@pytest.mark.parametrize("page", PAGES)
def test_no_block_goes_unread(page):
    for block in blocks(page):
        match block.language:
            case "python" if page in RUN_BY:
                assert page.rpartition("/")[2] in read(RUN_BY[page]), (
                    f"{RUN_BY[page]} runs the blocks of {page}, it is said; it does not name it"
                )
            case "ts":
                assert page in COMPILED_BY and page.rpartition("/")[2] in read(COMPILED_BY[page]), f"{block}: no test compiles it"
            case "json":
                json.loads(block.text)
            case "toml":
                tomllib.loads(block.text)
            case "text":
                assert page in TEXTS, f"{block}: say in TEXTS what it is, or name the language that it is in"
            case language:
                assert language == "python" or language in SHELL, f"{block}: nobody runs this language"


def test_every_exception_is_still_one():
    assert {page for page in PAGES if blocks(page, "text")} == set(TEXTS)
    assert all(blocks(page, "python") for page in [*RUN_BY, *BEFORE]) and all(blocks(page, "ts") for page in COMPILED_BY)


def test_the_reference_is_what_the_code_says():
    pytest.importorskip("jsonschema", reason="the reference tells of the doors: pip install 'loci-memos[serve]'")
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert read("docs/reference.md") == generate.page(), "run `make docs`"


@pytest.mark.parametrize("page", PAGES)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", read(page)):
        assert ((ROOT / page).parent / target).exists(), f"{page} -> {target}"


def test_every_page_is_reached_from_the_index():
    listed = {
        str((ROOT / "docs" / target).resolve().relative_to(ROOT))
        for target in re.findall(r"^- \[[^\]]+\]\(([^)#]+)\)", read("docs/index.md"), re.MULTILINE)
    }
    assert set(PAGES) - {"docs/index.md"} <= listed, "add the page to docs/index.md, where who needs it would look"
    assert all((ROOT / page).exists() for page in listed)


def test_the_glossary_defines_a_noun_once():
    defined = re.findall(r"\*\*([^*]+)\*\*( \([^)]+\))?", read("docs/glossary.md"))
    assert len(defined) > 100
    assert not [noun for noun in defined if defined.count(noun) > 1]
