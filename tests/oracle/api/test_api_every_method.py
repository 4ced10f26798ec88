"""No method of libkv.Store is left out of the comparison with redis-py's."""

from libkv.api.commands import Commands
from tests.oracle.api import (
    test_api_collections,
    test_api_keys,
    test_api_server,
    test_api_streams,
    test_api_strings,
)
from tests.oracle.api.recorder import Recorder

GROUPS = (test_api_strings, test_api_keys, test_api_collections, test_api_streams, test_api_server)

COMPARED_APART = {  # what can't be equal, only alike: in tests of their own
    *("acl_genpass", "acl_help", "memory_malloc_stats", "memory_stats"),
    "register_script",  # test_scripting_api.py
    *("client_id", "client_info", "command", "command_count", "debug_object", "info", "lastsave", "time"),
    *("quit", "reset", "select"),  # of a session: tests/unit/kv/test_embedding.py
}


def test_every_method_is_in_a_scenario():
    class Names(Recorder):
        def __getattr__(self, name):
            called.add(name)
            return lambda *args, **kwargs: self

        def contains(self, name):
            pass

        def until_saved(self):
            pass

    called = set()
    for group in GROUPS:
        for scenario in group.SCENARIOS:
            scenario(Names(None))
    commands = {name for name in dir(Commands) if not name.startswith("_")} - {"execute_command"}
    assert commands - called - COMPARED_APART == set()
