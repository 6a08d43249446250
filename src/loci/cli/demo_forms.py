"""`loci demo --three-forms`: one fact through words, KV memory and weights, and a correction that holds in all of them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from time import perf_counter

from loci.cli.demo import Walk
from loci.cli.place import Place
from loci.cli.values import emit
from loci.errors import Conflict

LAND, TOWN, LATER = "Zubia", "Marlo", "Pelin"
QUESTION = f"What is {LAND}'s capital?"
OTHERS = (("Norra", "Tovik"), ("Kelda", "Rasko"))
FOR = ("--user", "kim", "--max-tokens", "8")
STUDY = ("--rate", "0.005", "--exposures", "300")


def show_forms(place: Place, as_json: bool) -> None:
    """The walk, in a fresh folder or in ``--vault``. Raises `Conflict` for a folder that holds cubes, and `Unsupported` without torch and peft."""
    from loci.wire import MemOS

    start = perf_counter()
    folder = Path(place.vault) if place.vault else Path(tempfile.mkdtemp(prefix="loci-three-forms-"))
    if any(folder.glob("*.loci")):
        raise Conflict(f"{folder} holds cubes already. Name an empty folder with --vault, or leave it out. Nothing was changed.")
    model = _model(folder, as_json)
    with MemOS.open(folder, embedder="none", engine=str(model), background=False) as memory:
        cube = place.settings().cube
        walk = Walk(Place(str(folder), None, "none", str(model), memory=memory), memory.cube(cube), as_json)
        tell(walk)
        activate(walk)
        distil(walk)
        correct(walk)
        erase(walk)
    walk.say("")
    walk.say(f"That was it: {walk.count} commands, and the model, in {perf_counter() - start:.0f} s.", "bold")
    walk.say(f"The vault and the model stay at {folder}.")
    if as_json:
        emit({"vault": str(folder), "steps": walk.steps})


def _model(folder: Path, as_json: bool) -> Path:
    """A model that is made and trained for this, unless the folder has it already."""
    from loci.cli import render
    from loci.errors import Unsupported

    made = folder / "model"
    if (made / "config.json").is_file():
        return made
    try:
        import peft  # noqa: F401  (what learning takes)

        from loci.bench.forms import make
    except ImportError as error:
        raise Unsupported("The demo of three forms trains a model: pip install 'loci-memos[parametric]' brings what it takes.") from error
    if not as_json:
        render.note("training a model of three hundred thousand weights on a made-up country's capitals; what it says means nothing else.")
    folder.mkdir(parents=True, exist_ok=True)
    with render.progress("steps") as advance:
        right = make(made, advance)
    if not as_json:
        render.note(f"{right:.0%} of its last answers were right.")
    return made


def ask(walk: Walk, *more: str) -> None:
    walk.type("generate", QUESTION, *FOR, *more)


def tell(walk: Walk) -> None:
    walk.step("Text", "A fact is told, and found as text. The model reads it with the question, each time.")
    for land, town in ((LAND, TOWN), *OTHERS):
        walk.type("add", f"The capital of {land} is {town}.", "--user", "kim", "--at", "2026-05-02")
    walk.type("search", QUESTION, "--user", "kim", "--limit", "1")
    ask(walk)


def activate(walk: Walk) -> None:
    walk.step(
        "Activation",
        "The model reads the memories once, and what it made of them is kept. The answer is the same; next to nothing is read for it.",
    )
    walk.type("activate", "--about", QUESTION, "--user", "kim")
    ask(walk)


def distil(walk: Walk) -> None:
    walk.step(
        "Weights",
        "The model learns the memories into an adapter, which is examined. Mounted, it answers with no memory in the prompt at all.",
    )
    walk.type("distil", "--user", "kim", *STUDY)
    walk.type("adapter", "mount", _adapter(walk))
    ask(walk)


def correct(walk: Walk) -> None:
    walk.step(
        "A correction",
        "The fact changes. In the same commit the adapter is put away, and the KV memory fits no more: the new words are read.",
    )
    walk.type("add", f"The capital of {LAND} is {LATER}.", "--user", "kim", "--at", "2026-06-11")
    walk.type("adapter", "list", "--user", "kim")
    ask(walk)
    walk.step("It holds in all three", "As text, above. Read again and kept:")
    walk.type("activate", "--about", QUESTION, "--user", "kim")
    ask(walk, "--no-adapters")
    walk.say("\nLearned anew, by the job that the correction left in the queue; what was mounted is mounted again:")
    walk.type("worker", "--once")
    ask(walk)


def erase(walk: Walk) -> None:
    walk.step("Forgotten is forgotten", "The words are erased. What was learned of them goes with them, and is learned anew without them.")
    walk.type("erase", walk.said(f"{LAND} is {LATER}"), "--yes")
    walk.type("adapter", "list", "--user", "kim")
    walk.type("worker", "--once")
    walk.type("adapter", "list", "--user", "kim")
    walk.type("verify")


def _adapter(walk: Walk) -> str:
    return walk.cube.adapters(user="kim")[-1].id
