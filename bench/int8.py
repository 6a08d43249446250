"""What per-channel int8 weights would save and cost: speed beside float32 in one run, agreement of the vectors, and recall.

    python -m bench.int8 DATA...

Each DATA is a folder of the unified format. The graph is the one that Loci builds; onnxruntime quantizes its matrix products.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import QuantType, quantize_dynamic

from loci.bench.latency import turns
from loci.bench.machine import machine
from loci.bench.retrieval import SYSTEMS, measures, run, score
from loci.drivers import minilm
from loci.settings import Settings


class Int8(minilm.MiniLM):
    """MiniLM with the weights of its matrix products in eight bits, one scale a column."""

    name = "all-MiniLM-L6-v2/int8"

    def quantize(self, home: Path) -> Int8:
        model = super()._loaded()
        shapes = {name: array.shape for name, array in model.weights.items()}
        whole = onnx.load_from_string(minilm._cached_graph(self._cache_dir, shapes))
        for initializer in list(whole.graph.initializer):
            if initializer.name in model.weights:
                whole.graph.initializer.remove(initializer)
        whole.graph.initializer.extend(onnx.numpy_helper.from_array(np.asarray(a), name) for name, a in model.weights.items())
        onnx.save(whole, home / "whole.onnx")
        quantize_dynamic(
            home / "whole.onnx", home / "int8.onnx", per_channel=True, weight_type=QuantType.QInt8,
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )  # fmt: skip
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = self._threads, 3
        session = onnxruntime.InferenceSession(str(home / "int8.onnx"), options, providers=["CPUExecutionProvider"])
        self._model = minilm._Model(model.tokenizer, session, model.weights)
        return self


def texts_a_second(engine: Any, texts: list[str]) -> float:
    start = time.perf_counter()
    engine.embed(texts)
    return len(texts) / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    args = parser.parse_args()
    folder = Settings().cache_folder()
    with tempfile.TemporaryDirectory() as home:
        exact = minilm.MiniLM(folder)
        exact.embed(["warm up"])
        small = Int8(folder).quantize(Path(home))
        texts = [turn.text for turn in turns()]
        pairs = [(texts_a_second(exact, texts), texts_a_second(small, texts)) for _ in range(5)]
        cosine = np.vecdot(exact.embed(texts), small.embed(texts))
        print(f"float32 {statistics.median(a for a, _ in pairs):.0f} texts/s, int8 {statistics.median(b for _, b in pairs):.0f} texts/s")
        print(f"ratio {statistics.median(b / a for a, b in pairs):.2f}; cosine mean {cosine.mean():.4f}, least {cosine.min():.4f}")
        for data in args.data:
            for engine in (exact, small):
                rankings = run(data, SYSTEMS, lambda done, total: None, engine).rankings
                figures = {system: score(measures(data, rankings[system])) for system in ("loci", "dense")}
                print(data.name, engine.name, {system: round(100 * figure["R@10"], 1) for system, figure in figures.items()})
    print(machine())


if __name__ == "__main__":
    main()
