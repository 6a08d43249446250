"""Requests that nobody sane would send, generated from the server's own document by schemathesis: no server error, every refusal a problem document with
its next step, every answer as the document says.

    python -m bench.odd [--examples 10000] [--seconds 900] [--seed 7]

Needs the extra `fuzz`. The server is started here, on a free port, with a vault of its own that is thrown away.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from loci.bench.served import served

OPERATIONS = 64  # about as many as the document has: examples are shared among them
CHECKS = "no_server_error,has_next_step,status_code_conformance,content_type_conformance,response_schema_conformance"


def main() -> int:
    """Prints schemathesis' summary, and what the server's log says of mistakes. Ends with 1 where there were any."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=900, help="at most")
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args()
    tool = shutil.which("schemathesis", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if tool is None:
        sys.exit("schemathesis is not installed: pip install 'loci-memos[serve,fuzz]'.")
    with tempfile.TemporaryDirectory(prefix=".loci-bench-") as name, (Path(name) / "log").open("w") as log:
        with served(Path(name) / "vault", "--embedder", "none", "--open", log=log) as server:
            found = generated(tool, server.url, asked.examples, asked.seconds, asked.seed, Path(name))
            is_there = server.process.poll() is None
        mistakes = re.findall(r"^.* failed with \w+ at$", (Path(name) / "log").read_text(), re.MULTILINE)
    print(found.stdout[found.stdout.find("=== SUMMARY") :] if not found.returncode else found.stdout)
    print(f"the server was {'still' if is_there else 'NOT'} there; mistakes in its log: {mistakes or 'none'}")
    return int(bool(found.returncode or mistakes or not is_there))


def generated(tool: str, url: str, examples: int, seconds: int, seed: int, folder: Path) -> subprocess.CompletedProcess[str]:
    """A run of schemathesis."""
    command = [tool, "run", f"{url}/openapi.json", "--phases", "coverage,fuzzing", "-n", str(examples // OPERATIONS + 1), "--seed", str(seed), "-w", "2",
               "--continue-on-failure", "--no-shrink", "--checks", CHECKS, "--suppress-health-check", "all", "--warnings", "off",
               "--max-time", str(seconds)]  # fmt: skip
    checks = {
        "SCHEMATHESIS_HOOKS": "odd_checks",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
    }
    return subprocess.run(command, env={**os.environ, **checks}, cwd=folder, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main())
