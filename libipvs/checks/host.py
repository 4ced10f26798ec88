"""Carries checks out: one thread, one epoll, one heap of deadlines, however many checks there are.

All methods but submit(), start(), stop() and close() belong to the host's thread (or to the time before it starts);
submit() brings a call there from anywhere.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import random
import resource
import select
import threading
import time
from collections import deque
from collections.abc import Callable

from libipvs.checks.attempt import Attempt, LocalShortage, make
from libipvs.checks.files import FileChanges
from libipvs.checks.kinds import Check, FileCheck, FileProbe
from libipvs.checks.machine import FOREVER, CheckMachine, Event, Order, Verdict
from libipvs.checks.probe import Outcome
from libipvs.errors import InvalidRequest, IpvsError

log = logging.getLogger("libipvs.checks")

SPARE_DESCRIPTORS = 64  # for everything that is not an attempt
EVENTS = 256  # taken from epoll at once


class Timer:
    """A call at a time; cancel() forgets it."""

    __slots__ = ("call", "when")

    def __init__(self, when: float, call: Callable[[], None]) -> None:
        self.when = when
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class Watch:
    """A check that a host carries out.  `verdict` is its latest opinion; made by Host.watch()."""

    def __init__(self, host: Host, check: Check, machine: CheckMachine, report: Callable[[Watch], None]) -> None:
        self.host = host
        self.check = check
        self.machine = machine
        self.report = report
        self.attempt: Attempt | None = None
        self.scheduled = FOREVER
        self.cancelled = False
        self.unfollow: Callable[[], None] = lambda: None

    @property
    def verdict(self) -> Verdict:
        return self.machine.verdict

    def suspend(self) -> None:
        """Ask nothing until resume(); the verdict stays.  A check that is fed from outside goes on being fed."""
        if self.check.transport == "external":
            return
        self.host.advance(self, Event.SUSPEND)

    def resume(self) -> None:
        """Ask again, at once."""
        if self.check.transport == "external":
            return
        self.host.advance(self, Event.RESUME)

    def feed(self, up: bool, reason: str = "") -> None:
        """The verdict of somebody else, for a check that is fed from outside (BFD).  Raises InvalidRequest."""
        if self.check.transport != "external":
            raise InvalidRequest(f"{self.check} asks by itself; only a BFD_CHECK is fed")
        changed = up != self.machine.verdict.up
        self.machine.verdict = Verdict(up, reason)
        if changed:
            self.host.tell(self)

    def cancel(self) -> None:
        """Never ask or report again."""
        self.cancelled = True
        self.scheduled = FOREVER
        self.unfollow()
        self.host.drop(self)

    def connected(self, attempt: Attempt) -> None:
        self.host.advance(self, Event.CONNECTED, attempt.number)


class Host:
    """Runs checks.

    clock: gives monotonic seconds.  seed: of the random first delays.  max_processes: scripts at once; more wait.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, seed: int | None = None, max_processes: int = 32
    ) -> None:
        self.clock = clock
        self.watches: set[Watch] = set()
        self.max_processes = max_processes
        self._random = random.Random(seed)
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._ready: dict[int, Attempt] = {}
        self._readers: dict[int, Callable[[], None]] = {}
        self._heap: list[tuple[float, int, Watch | Timer]] = []
        self._count = itertools.count()
        self._submitted: deque[Callable[[], None]] = deque()
        self._processes = 0
        self._files: FileChanges | None = None
        self._stopping = False
        self._thread: threading.Thread | None = None

    # -- checks

    def watch(self, check: Check, report: Callable[[Watch], None]) -> Watch:
        """Carry a check out; `report` is called whenever its verdict changes.  Raises IpvsError if there are more
        checks than descriptors."""
        timing = check.timing
        warmup = timing.delay_loop if timing.warmup is None else timing.warmup
        first = FOREVER if check.transport == "external" else self.clock() + self._random.uniform(0, warmup)
        quick = bool(getattr(check, "fast_recovery", False))
        watch = Watch(self, check, CheckMachine(timing, first, check.parts, quick), report)
        self._provide_descriptors(len(self.watches) + 1)
        self.watches.add(watch)
        if isinstance(check, FileCheck):
            watch.unfollow = self._follow(watch, check)
        self._schedule(watch)
        return watch

    def _follow(self, watch: Watch, check: FileCheck) -> Callable[[], None]:
        """Ask a FILE_CHECK as soon as its file has changed."""
        if self._files is None:
            try:
                self._files = FileChanges()
            except OSError as error:
                log.warning("%s is read in its turn only: no inotify: %s", check.path, error.strerror)
                return lambda: None
            self.add_reader(self._files.descriptor, self._files.read)
        return self._files.follow(check.path, lambda: self.advance(watch, Event.HURRY))

    def _provide_descriptors(self, checks: int) -> None:
        """Every check may hold one; the soft limit is raised as far as the hard one allows."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        needed = checks + SPARE_DESCRIPTORS
        if soft == resource.RLIM_INFINITY or needed <= soft:
            return
        if hard != resource.RLIM_INFINITY and needed > hard:
            raise IpvsError(
                f"{checks} checks need {needed} descriptors, and this process may open {hard}: "
                "raise the limit (ulimit -n, or LimitNOFILE= of the service)"
            )
        wanted = max(needed, min(2 * soft, needed + 4096 if hard == resource.RLIM_INFINITY else hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

    def advance(self, watch: Watch, event: Event, attempt: int = 0, outcome: Outcome | None = None) -> None:
        """Give an event to a watch's machine and do what it orders."""
        if watch.cancelled:
            return
        for order in watch.machine.step(event, self.clock(), attempt, outcome):
            if order is Order.START:
                self._start(watch)
            elif order is Order.EXPIRE:
                self._expire(watch)
            elif order is Order.STOP:
                self.drop(watch, keep=True)
            else:
                self.tell(watch)
        self._schedule(watch)

    def tell(self, watch: Watch) -> None:
        """Report a verdict.  The application's mistakes are logged and do not end the host."""
        try:
            watch.report(watch)
        except Exception:
            log.exception("the report of %s failed", watch.check)

    def drop(self, watch: Watch, keep: bool = False) -> None:
        """Let go of a watch's attempt, and unless `keep` of the watch."""
        self._end(watch)
        if not keep:
            self.watches.discard(watch)

    def _start(self, watch: Watch) -> None:
        machine, check = watch.machine, watch.check
        probe = check.probe(machine.part)
        if isinstance(probe, FileProbe) and isinstance(check, FileCheck):
            probe.look(check.path.read_text)
            self.advance(watch, Event.ANSWER, machine.attempt, probe.outcome)
            return
        if check.transport == "process" and self._processes >= self.max_processes:
            self.advance(watch, Event.POSTPONE, machine.attempt)
            return
        attempt = watch.attempt = make(watch, check, machine.attempt, probe)
        if check.transport == "process":
            self._processes += 1
        try:
            attempt.begin()
        except LocalShortage as shortage:
            log.warning("%s postponed: %s", check, shortage)
            self._end(watch)
            self.advance(watch, Event.POSTPONE, machine.attempt)
            return
        except Exception as error:
            self._broken(attempt, error)
        self._settle(watch)

    def _broken(self, attempt: Attempt, error: Exception) -> None:
        """An attempt that cannot be carried out says so of its own target; the other checks go on."""
        log.exception("%s cannot be carried out", attempt.watch.check)
        attempt.probe.outcome = None
        attempt.probe.failed(f"cannot be carried out: {type(error).__name__}: {error}")

    def _settle(self, watch: Watch) -> None:
        """If the attempt has its outcome, close it and tell the machine."""
        attempt = watch.attempt
        if attempt is not None and attempt.probe.outcome is not None:
            outcome, number = attempt.probe.outcome, attempt.number
            self._end(watch)
            self.advance(watch, Event.ANSWER, number, outcome)

    def _expire(self, watch: Watch) -> None:
        if watch.attempt is not None:
            watch.attempt.probe.expired()
            self._settle(watch)

    def _end(self, watch: Watch) -> None:
        attempt = watch.attempt
        if attempt is None:
            return
        watch.attempt = None
        self._ready.pop(attempt.descriptor, None)
        if watch.check.transport == "process":
            self._processes -= 1
            if attempt.descriptor >= 0:
                # A pidfd stays in the set while the process lives in anybody's hands: out with it first.
                self._unregister(attempt.descriptor)
        attempt.close()

    def _unregister(self, descriptor: int) -> None:
        try:
            self._epoll.unregister(descriptor)
        except (FileNotFoundError, ValueError):
            log.debug("descriptor %d was not registered", descriptor)

    # -- descriptors

    def register(self, attempt: Attempt, mask: int) -> None:
        self._ready[attempt.descriptor] = attempt
        self._epoll.register(attempt.descriptor, mask)

    def modify(self, attempt: Attempt, mask: int) -> None:
        if self._ready.get(attempt.descriptor) is attempt:
            self._epoll.modify(attempt.descriptor, mask)

    def add_reader(self, descriptor: int, call: Callable[[], None]) -> None:
        """Call whenever a descriptor of the application's can be read."""
        self._readers[descriptor] = call
        self._epoll.register(descriptor, select.EPOLLIN)

    def remove_reader(self, descriptor: int) -> None:
        if self._readers.pop(descriptor, None) is not None:
            self._unregister(descriptor)

    # -- time

    def call_later(self, delay: float, call: Callable[[], None]) -> Timer:
        """Call after `delay` seconds, in the host's thread."""
        timer = Timer(self.clock() + delay, call)
        heapq.heappush(self._heap, (timer.when, next(self._count), timer))
        return timer

    def _schedule(self, watch: Watch) -> None:
        deadline = watch.machine.next_deadline
        if deadline != watch.scheduled and not watch.cancelled:
            watch.scheduled = deadline
            if deadline != FOREVER:
                heapq.heappush(self._heap, (deadline, next(self._count), watch))

    def _next_wait(self) -> float:
        """Seconds until the first deadline, -1 if there is none."""
        while self._heap:
            when, _, what = self._heap[0]
            stale = what.call is None if isinstance(what, Timer) else what.scheduled != when
            if not stale:
                return max(0.0, when - self.clock())
            heapq.heappop(self._heap)
        return -1

    def _run_due(self) -> None:
        now = self.clock()
        while self._heap and self._heap[0][0] <= now:
            when, _, what = heapq.heappop(self._heap)
            if isinstance(what, Timer):
                call, what.call = what.call, None
                if call is not None:
                    self._call(call)
            elif what.scheduled == when:
                what.scheduled = FOREVER
                self.advance(what, Event.DEADLINE)

    def _call(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception:
            log.exception("a call in the check host failed")

    # -- running

    def run_once(self, limit: float = FOREVER) -> None:
        """Wait for the next deadline, answer or submitted call, at most `limit` seconds, and handle what is there."""
        wait = 0.0 if self._submitted else self._next_wait()
        if wait < 0 or wait > limit:
            wait = limit if limit != FOREVER else -1
        for descriptor, mask in self._epoll.poll(wait, EVENTS):
            if descriptor == self._wake:
                os.eventfd_read(self._wake)
                continue
            attempt = self._ready.get(descriptor)
            if attempt is not None:
                try:
                    attempt.ready(mask)
                except Exception as error:
                    self._broken(attempt, error)
                self._settle(attempt.watch)
            elif descriptor in self._readers:
                self._call(self._readers[descriptor])
        while self._submitted:
            self._call(self._submitted.popleft())
        self._run_due()

    def run(self) -> None:
        """Until stop()."""
        while not self._stopping:
            self.run_once()

    def run_for(self, seconds: float) -> None:
        """For some seconds, in the calling thread."""
        end = self.clock() + seconds
        while (left := end - self.clock()) > 0:
            self.run_once(left)

    def submit(self, call: Callable[[], None]) -> None:
        """Have something called in the host's thread.  Safe from any thread."""
        self._submitted.append(call)
        os.eventfd_write(self._wake, 1)

    def start(self) -> None:
        """Run in a thread of its own."""
        self._stopping = False
        self._thread = threading.Thread(target=self.run, name="libipvs-checks", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End run(); wait for the thread if there is one."""

        def stop() -> None:
            self._stopping = True

        self.submit(stop)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
            self._thread = None

    def close(self) -> None:
        """End everything: checks, sockets, scripts."""
        if self._thread is not None:
            self.stop()
        for watch in list(self.watches):
            watch.cancel()
        if self._files is not None:
            self.remove_reader(self._files.descriptor)
            self._files.close()
            self._files = None
        if not self._epoll.closed:
            self._epoll.close()
            os.close(self._wake)
