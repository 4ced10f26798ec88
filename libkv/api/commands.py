"""All the groups of commands in one class: what a store, its views, its clients and its pipelines have in common."""

from __future__ import annotations

from libkv.api.acl import AclCommands
from libkv.api.bitmaps import BitmapCommands
from libkv.api.connection import ConnectionCommands
from libkv.api.generic import GenericCommands
from libkv.api.geo import GeoCommands
from libkv.api.hashes import HashCommands
from libkv.api.hyperloglog import HyperLogLogCommands
from libkv.api.latency import LatencyCommands
from libkv.api.lists import ListCommands
from libkv.api.persistence import PersistenceCommands
from libkv.api.pubsub import PubSubCommands
from libkv.api.replication import ReplicationCommands
from libkv.api.scripting import ScriptingCommands
from libkv.api.server import ServerCommands
from libkv.api.sets import SetCommands
from libkv.api.sortedsets import SortedSetCommands
from libkv.api.streams import StreamCommands
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
    GeoCommands,
    StreamCommands,
    ConnectionCommands,
    PubSubCommands,
    ScriptingCommands,
    AclCommands,
    PersistenceCommands,
    ServerCommands,
    LatencyCommands,
    ReplicationCommands,
):
    """redis-py's methods for the commands of Redis 7.0."""
