"""Hindsight as a server without a language model, over the PostgreSQL that it brings, until stdin ends: its facts are the texts, its ranks are fused without a model.

Vectors come from the endpoint named second. PostgreSQL runs as nobody where this runs as root, which it refuses.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import pg0

SECONDS_TO_START = 120
home, embeddings, processes = Path(sys.argv[1]), sys.argv[2], sys.argv[3]


def postgres(home):
    """The address of a database of its own, and the command that ends it."""
    program = home / "pg0"
    shutil.copy(Path(pg0.__file__).parent / "bin" / "pg0", program)
    told = {"env": {"HOME": str(home), "PATH": os.environ["PATH"]}, "cwd": home}
    if os.geteuid() == 0:
        shutil.chown(home, "nobody")
        told |= {"user": "nobody", "extra_groups": []}
    named = ["--username", "bench", "--password", "bench", "--database", "bench"]
    subprocess.run([program, "start", *named], check=True, stdout=sys.stderr, **told)
    found = json.loads(subprocess.run([program, "info", "-o", "json"], check=True, capture_output=True, text=True, **told).stdout)
    return found["uri"], lambda: subprocess.run([program, "stop"], check=True, stdout=sys.stderr, **told)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def wait(url, server):
    until = time.monotonic() + SECONDS_TO_START
    while server.poll() is None and time.monotonic() < until:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    sys.exit("Hindsight did not start.")


with tempfile.TemporaryDirectory(prefix="loci-bench-pg-") as folder:
    database, stop = postgres(Path(folder))
    try:
        settings = {
            "DATABASE_URL": database,
            "LLM_PROVIDER": "none",
            "RERANKER_PROVIDER": "rrf",
            "EMBEDDINGS_PROVIDER": "openai",
            "EMBEDDINGS_OPENAI_API_KEY": "unused",
            "EMBEDDINGS_OPENAI_MODEL": "minilm",
            "EMBEDDINGS_OPENAI_BASE_URL": embeddings,
        }
        told = {**os.environ, "HOME": str(home), **{f"HINDSIGHT_API_{name}": value for name, value in settings.items()}}
        port = str(free_port())
        command = [Path(sys.executable).with_name("hindsight-api"), "--host", "127.0.0.1", "--port", port, "--workers", processes]
        server = subprocess.Popen(command, env=told, stdout=sys.stderr)
        try:
            wait(f"http://127.0.0.1:{port}/health", server)
            print(json.dumps({"url": f"http://127.0.0.1:{port}"}), flush=True)
            sys.stdin.read()
        finally:
            server.send_signal(signal.SIGINT)
            try:
                server.wait(60)
            except subprocess.TimeoutExpired:
                server.kill()
    finally:
        stop()
