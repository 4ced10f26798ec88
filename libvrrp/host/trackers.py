"""Trackers that the host measures itself: scripts, files and processes, one thread each (Python, not urgent).

A script's exit status is its result; one that runs longer than its timeout is killed with everything it started, and
has failed.  A file's number is its first word; a file that is missing or holds no number counts as 0.  A process is
known by its name in /proc/PID/comm (at most 15 bytes), as pgrep(1) finds it.  Interfaces and BFD sessions are followed
by the thread of worker.pyx, which hears of them at once.
"""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable

from libvrrp.config import Tracker
from libvrrp.errors import VrrpError

_GOOD, _BAD = 0, 1


class _Watch:
    """One tracker's thread."""

    def __init__(self, tracker: Tracker, tell: Callable[[str, int], None]) -> None:
        self.tracker = tracker
        self.error = ""
        self._tell = tell
        self._ended = threading.Event()
        self._running: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, name=f"libvrrp-{tracker.name}", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """The thread goes after what it is doing, which is cut short."""
        self._ended.set()
        running = self._running
        if running is not None:
            _kill(running)

    def _run(self) -> None:
        while not self._ended.is_set():
            value = self._measure()
            if self._ended.is_set():
                return
            with contextlib.suppress(VrrpError):  # a reload has just dropped the tracker
                self._tell(self.tracker.name, value)
            self._ended.wait(self.tracker.interval)

    def _measure(self) -> int:
        if self.tracker.kind == "script":
            return self._script()
        if self.tracker.kind == "file":
            return self._file()
        return _GOOD if _lives(os.fsencode(self.tracker.process)) else _BAD

    def _script(self) -> int:
        try:
            self._running = script = subprocess.Popen(
                self.tracker.command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            self.error = str(error)
            return _BAD
        try:
            if self._ended.is_set():
                _kill(script)
            status = script.wait(self.tracker.timeout or self.tracker.interval)
            self.error = "" if status == 0 else f"exit status {status}"
        except subprocess.TimeoutExpired:
            _kill(script)
            status = script.wait()
            self.error = "timeout"
        self._running = None
        return status

    def _file(self) -> int:
        try:
            with open(self.tracker.path, "rb") as file:
                number = int(file.read(64).split()[0])
            self.error = ""
        except (OSError, ValueError, IndexError) as error:
            self.error = str(error) if isinstance(error, OSError) else "no number"
            return 0
        return max(-(2**31), min(number, 2**31 - 1))


def _kill(script: subprocess.Popen[bytes]) -> None:
    """Kills a script that still runs, and its process group."""
    if script.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(script.pid, signal.SIGKILL)


def _lives(name: bytes) -> bool:
    for pid in os.listdir("/proc"):
        if pid.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:
                comm, _, rest = file.read().partition(b"(")[2].rpartition(b")")
                if comm == name and rest.split()[0] not in (b"Z", b"X"):
                    return True
    return False


class Trackers:
    """The trackers of a Host that need a thread."""

    def __init__(self, tell: Callable[[str, int], None]) -> None:
        self._tell = tell
        self._watches: dict[str, _Watch] = {}

    def require(self, trackers: tuple[Tracker, ...]) -> None:
        """Starts what is new, ends what is gone or changed."""
        wanted = {tracker.name: tracker for tracker in trackers if tracker.command or tracker.path or tracker.process}
        for name, watch in list(self._watches.items()):
            if wanted.get(name) != watch.tracker:
                self._watches.pop(name).end()
        for name, tracker in wanted.items():
            if name not in self._watches:
                self._watches[name] = _Watch(tracker, self._tell)

    def errors(self) -> dict[str, str]:
        """Why a tracker's last result is bad, where more than its value is known."""
        return {name: watch.error for name, watch in self._watches.items() if watch.error}
