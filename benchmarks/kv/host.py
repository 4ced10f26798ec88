"""A process that embeds a store and serves it, with a Python thread that can be told to loop on the store.

python -m benchmarks.kv.host SERVER_CPUS PYTHON_CPUS      (comma lists)

Prints the port; then reads lines from standard input: "loop" starts the thread's loop, "idle" ends it and prints how
many calls it has made and in how many seconds; the end of input ends the process.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path


def server_threads() -> list[int]:
    """The kernel's thread IDs of this process's servers."""
    tasks = Path("/proc/self/task").iterdir()
    return [int(t.name) for t in tasks if (t / "comm").read_text().startswith("kv-server")]


def main(server_cpus: str, python_cpus: str) -> None:
    from libkv import Store
    from libkv.server import Server

    store = Store()
    with Server(store, port=0) as server:
        os.sched_setaffinity(0, map(int, python_cpus.split(",")))
        for thread in server_threads():
            os.sched_setaffinity(thread, map(int, server_cpus.split(",")))
        print(server.port, flush=True)
        looping = threading.Event()
        over = threading.Event()
        done = 0
        spent = 0.0

        def loop() -> None:
            nonlocal done, spent
            while not over.is_set():
                if not looping.wait(0.1):
                    continue
                began = time.monotonic()
                get = store.get
                calls = 0
                while looping.is_set():
                    for _ in range(100):
                        get("key:000000000007")
                    calls += 100
                done += calls
                spent += time.monotonic() - began

        looper = threading.Thread(target=loop)
        looper.start()
        for line in sys.stdin:
            if line == "loop\n":
                done, spent = 0, 0.0
                looping.set()
            else:
                looping.clear()
                time.sleep(0.2)
                print(done, spent, flush=True)
        over.set()
        looping.clear()
        looper.join()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
