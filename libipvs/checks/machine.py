"""When a check asks, when it asks again, and what it makes of the answers: a pure state machine.

    suspended <--SUSPEND/RESUME--> waiting --deadline--> asking --answer or deadline--> waiting

An attempt that fails while the verdict is "up" is repeated `retry` times, delay_before_retry apart; when the last of
them fails too the verdict is "down".  One success (of every part, one after the other: a check may have several URLs)
makes it "up".  Between rounds it waits delay_loop, counted from the attempt's start.

Source: keepalived.conf(5), "checkers".  Deviation: while the verdict is "down" there are no retries, only the loop.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from libipvs.checks.probe import Outcome
from libipvs.errors import InvalidRequest

FOREVER = float("inf")
POSTPONED = 0.1  # seconds until a postponed attempt at the earliest


@dataclass(frozen=True, slots=True)
class Timing:
    """The times of a check, in seconds.

    delay_loop: between rounds.  retry, delay_before_retry: how often, and how long after, a failure is tried again.
    connect_timeout: for connecting, and again for the answer.  warmup: the first attempt comes at a random time within
    it (None: within delay_loop; 0: at once).  alpha: the verdict is "down" until the first success.
    """

    delay_loop: float = 60.0
    retry: int = 1
    delay_before_retry: float = 1.0
    connect_timeout: float = 5.0
    warmup: float | None = None
    alpha: bool = False

    def __post_init__(self) -> None:
        for name in ("delay_loop", "connect_timeout"):
            if not getattr(self, name) > 0:
                raise InvalidRequest(f"{name} {getattr(self, name)!r} must be above 0 seconds")
        for name in ("retry", "delay_before_retry", "warmup"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise InvalidRequest(f"{name} {value!r} must not be negative")


@dataclass(frozen=True, slots=True)
class Verdict:
    """A machine's opinion.  weight: the server's new weight, if the check gives one; weight_change is added to it."""

    up: bool
    reason: str = ""
    weight: int | None = None
    weight_change: int = 0


class Event(enum.Enum):
    """What the host reports.  ANSWER comes with an Outcome; it, CONNECTED and POSTPONE with the attempt's number.

    POSTPONE: the attempt could not be made for want of something on this host, which says nothing of the target.
    HURRY: there is something new to see; a machine that waits asks at once.
    """

    DEADLINE = enum.auto()
    CONNECTED = enum.auto()
    ANSWER = enum.auto()
    POSTPONE = enum.auto()
    SUSPEND = enum.auto()
    RESUME = enum.auto()
    HURRY = enum.auto()


class Order(enum.Enum):
    """What the machine wants done.

    START: begin attempt `attempt` at part `part`.  EXPIRE: attempt's time is over; report what its probe makes of
    silence as an ANSWER.  STOP: drop it without an answer.  REPORT: the verdict has changed.
    """

    START = enum.auto()
    EXPIRE = enum.auto()
    STOP = enum.auto()
    REPORT = enum.auto()


class State(enum.Enum):
    WAITING = enum.auto()
    ASKING = enum.auto()
    SUSPENDED = enum.auto()


class CheckMachine:
    """One check of one target.  `parts` things are asked in turn; the first attempt is due at `first`.

    step() takes an event and the time and returns orders; next_deadline is when DEADLINE is due.
    """

    __slots__ = (
        "attempt",
        "failures",
        "next_deadline",
        "part",
        "parts",
        "quick",
        "started",
        "state",
        "timing",
        "verdict",
    )

    def __init__(self, timing: Timing, first: float, parts: int = 1, quick: bool = False) -> None:
        self.timing = timing
        self.parts = parts
        self.quick = quick  # fast recovery: one part's success is enough to come up
        self.state = State.WAITING
        self.next_deadline = first
        self.attempt = 0
        self.started = first
        self.part = 0
        self.failures = 0
        self.verdict = Verdict(not timing.alpha, "not checked yet")

    def step(self, event: Event, now: float, attempt: int = 0, outcome: Outcome | None = None) -> list[Order]:
        """Take an event.  Events of attempts that are over are passed over."""
        if event is Event.DEADLINE:
            return self._deadline(now)
        if event is Event.SUSPEND:
            asking, self.state, self.next_deadline = self.state is State.ASKING, State.SUSPENDED, FOREVER
            return [Order.STOP] if asking else []
        if event is Event.RESUME:
            if self.state is State.SUSPENDED:
                self.state, self.next_deadline, self.part, self.failures = State.WAITING, now, 0, 0
            return []
        if event is Event.HURRY:
            if self.state is State.WAITING:
                self.next_deadline = min(self.next_deadline, now)
            return []
        if self.state is not State.ASKING or attempt != self.attempt:
            return []
        if event is Event.CONNECTED:
            self.next_deadline = now + self.timing.connect_timeout
            return []
        if event is Event.POSTPONE or outcome is None:
            self.state = State.WAITING
            self.next_deadline = now + max(self.timing.delay_before_retry, POSTPONED)
            return []
        return self._answer(outcome, now)

    def _deadline(self, now: float) -> list[Order]:
        if now < self.next_deadline:
            return []
        if self.state is State.ASKING:
            self.next_deadline = FOREVER  # the ANSWER to EXPIRE sets the next
            return [Order.EXPIRE]
        self.state = State.ASKING
        self.attempt += 1
        self.started = now
        self.next_deadline = now + self.timing.connect_timeout
        return [Order.START]

    def _answer(self, outcome: Outcome, now: float) -> list[Order]:
        self.state = State.WAITING
        timing = self.timing
        self.next_deadline = max(self.started + timing.delay_loop, now)
        if outcome.ok:
            self.failures = 0
            self.part = (self.part + 1) % self.parts
            if self.verdict.up or self.quick or self.part == 0:
                return self._conclude(Verdict(True, outcome.reason, outcome.weight, outcome.weight_change))
            return []
        self.failures += 1
        if self.verdict.up and self.failures <= timing.retry:
            self.next_deadline = now + timing.delay_before_retry
            return []
        self.part = self.failures = 0
        return self._conclude(Verdict(False, outcome.reason))

    def _conclude(self, verdict: Verdict) -> list[Order]:
        before, self.verdict = self.verdict, verdict
        same = (before.up, before.weight, before.weight_change) == (
            verdict.up,
            verdict.weight,
            verdict.weight_change,
        )
        return [] if same else [Order.REPORT]
