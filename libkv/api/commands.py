"""All the groups of commands in one class: what a store, its views, its clients and its pipelines have in common."""

from __future__ import annotations

from libkv.api.bitmaps import BitmapCommands
from libkv.api.connection import ConnectionCommands
from libkv.api.generic import GenericCommands
from libkv.api.hashes import HashCommands
from libkv.api.hyperloglog import HyperLogLogCommands
from libkv.api.lists import ListCommands
from libkv.api.server import ServerCommands
from libkv.api.sets import SetCommands
from libkv.api.sortedsets import SortedSetCommands
from libkv.api.strings import StringCommands


class Commands(
    GenericCommands,
    StringCommands,
    HashCommands,
    ListCommands,
    SetCommands,
    SortedSetCommands,
    BitmapCommands,
    HyperLogLogCommands,
    ConnectionCommands,
    ServerCommands,
):
    """redis-py's methods for the commands of Redis 7.0."""
