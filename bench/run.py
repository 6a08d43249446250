"""All the benchmarks, one after another: `make bench BENCH=folder` (a folder of data sets in the unified format)."""

import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    data = [str(p) for p in sorted(Path(sys.argv[1]).iterdir()) if p.is_dir()] if len(sys.argv) > 1 else []
    runs = [
        ["-m", "loci", "bench", "latency"],
        ["-m", "loci", "bench", "conflict"],
        ["-m", "loci", "bench", "layout"],
        ["-m", "bench.crash", "--kills", "1000"],
    ]
    runs += [["-m", f"bench.{name}"] for name in ("faults", "crowd", "tamper", "redaction", "poison", "gate")]
    if data:
        runs = [
            ["-m", "loci", "bench", "retrieval", *data],
            *runs,
            ["-m", "loci", "bench", "layout", *data],
            ["-m", "bench.against_mem0", data[0]],
        ]
    for run in runs:
        print("$ python", *run, flush=True)
        subprocess.run([sys.executable, *run], check=True)
