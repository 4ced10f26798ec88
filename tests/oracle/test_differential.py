"""Random commands: redis-server 7.0.15 and ours answer the same, hold the same, and repeat it from the effects.

A million commands in a `make test` (an eighth of it under the sanitizers), over seeds that are the same in every run;
LONG=1 runs ten times as many, and other ones each time.  A seed that ever failed stays in REGRESSIONS.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from tests.oracle.commands import Generator
from tests.oracle.differential import Feed, Run, Served, explain, replay_effects
from tests.oracle.script_programs import ScriptGenerator
from tests.resp import Wire

REGRESSIONS = [1019, 1106, 1152, 1229, 1278, 1313]
SCRIPT_REGRESSIONS = [1, 2, 5, 6, 8, 10, 101, 711586]

COMMANDS = 2500  # of a program
SEEDS = 10  # of a test
TESTS = 40
FIRST = 1000
if os.environ.get("KEEPKV_SANITIZE"):
    TESTS = 5  # each command costs several times as much
if os.environ.get("LONG"):
    TESTS, FIRST = 400, random.SystemRandom().randrange(10**6, 10**9)

# how ours gets the commands, by turns: through a server or session.feed, so many at once
WAYS = [(Feed, 32), (Served, 32), (Feed, 1), (Served, 2), (Feed, 2), (Served, 1)]


@pytest.fixture
def redis(redis_socket: str) -> Iterator[Wire]:
    wire = Wire(redis_socket)
    yield wire
    wire.close()


def run_seed(redis: Wire, seed: int, kind: type[Generator] = Generator, commands: int = COMMANDS) -> int:
    """Runs the seed's program; returns how many commands were compared."""
    make, batch = WAYS[seed % len(WAYS)]
    proto = 2 + seed // len(WAYS) % 2
    units = kind(seed).program(commands)
    run = Run(redis, make, seed, batch, proto)
    try:
        run.program(units)
        run.replay()
        return run.done
    except AssertionError as error:
        raise AssertionError(explain(redis, units, seed, proto, error)) from None
    finally:
        run.close()


@pytest.mark.parametrize("seed", REGRESSIONS)
def test_what_once_differed(redis: Wire, seed: int) -> None:
    assert run_seed(redis, seed) >= COMMANDS


@pytest.mark.parametrize("block", range(TESTS))
def test_random_commands(redis: Wire, block: int) -> None:
    done = sum(run_seed(redis, FIRST + block * SEEDS + i) for i in range(SEEDS))
    assert done >= SEEDS * COMMANDS


@pytest.mark.parametrize("seed", SCRIPT_REGRESSIONS)
def test_scripts_that_once_differed(redis: Wire, seed: int) -> None:
    assert run_seed(redis, seed, ScriptGenerator) > COMMANDS // 2


@pytest.mark.parametrize("block", range(TESTS // 5))
def test_random_scripts_and_payloads(redis: Wire, block: int) -> None:
    done = sum(run_seed(redis, FIRST + block * SEEDS + i, ScriptGenerator) for i in range(SEEDS))
    assert done > SEEDS * COMMANDS // 2


@pytest.mark.parametrize("block", range(4))
def test_draws_are_repeated_by_their_effects(redis: Wire, block: int) -> None:
    """SPOP by lot can't be compared with Redis's; what it took must be what its effects take."""
    for seed in range(FIRST + block * 5, FIRST + block * 5 + 5):
        side = Feed(seed, "")
        try:
            side.store.record_effects(True)
            for unit in Generator(seed, drawing=True).program(COMMANDS):
                side.ask(unit)
            side.ask([(b"RESET",)])
            side.store.check()
            replay_effects(side.store, redis)
        finally:
            side.close()
