"""Routers as a process of its own: vrrp_agent.py JSON.  Prints a line of JSON for every notice.

SIGTERM stops it, SIGHUP reads the routers of a new configuration from the file that settings["reload"] names.
"""

import json
import signal
import sys
import threading

from libvrrp.config import Address, Bfd, Config, Interface, NextHop, Peer, Route, Router, Rule, Track, Tracker
from libvrrp.errors import VrrpError
from libvrrp.host import Host


def tuples(given):
    """JSON's lists as the tuples that settings are."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}


def route_of(given):
    hops = tuple(NextHop(**hop) for hop in given.get("next_hops", ()))
    metrics = tuple((name, value) for name, value in given.get("metrics", ()))
    return Route(**tuples(given) | {"next_hops": hops, "metrics": metrics})


def config_of(given_routers, bfd=(), trackers=(), interfaces=()):
    routers = []
    for given in given_routers:
        for kind in ("addresses", "excluded"):
            given[kind] = tuple(
                Address(**tuples(a)) if isinstance(a, dict) else Address(a) for a in given.get(kind, ())
            )
        given["peers"] = tuple(Peer(p[0], tuple(p[1])) if isinstance(p, list) else p for p in given.get("peers", ()))
        given["tracks"] = tuple(Track(**t) for t in given.get("tracks", ()))
        given["routes"] = tuple(route_of(r) for r in given.get("routes", ()))
        given["rules"] = tuple(Rule(**tuples(r)) for r in given.get("rules", ()))
        routers.append(Router(**given))
    watched = [Tracker(**t | {"command": tuple(t.get("command", ()))}) for t in trackers]
    devices = tuple(Interface(**i) for i in interfaces)
    return Config(tuple(routers), (), tuple(watched), tuple(Bfd(**b) for b in bfd), devices)


def keep_busy():
    """What an unfriendly application does in the same process: it holds the GIL nearly all the time."""

    def loop():
        while True:
            sum(range(1000))

    def dump():
        while True:
            json.dumps([{"number": i, "text": "x" * 20} for i in range(200_000)])

    for target in (loop, dump):
        threading.Thread(target=target, daemon=True).start()


def main():
    settings = json.loads(sys.argv[1])
    if settings["host"].pop("busy", False):
        keep_busy()
    ended, hangups = [], []
    others = [settings["host"].pop(kind, ()) for kind in ("bfd", "trackers", "interfaces")]
    config = config_of(settings["routers"], *others)
    signal.signal(signal.SIGTERM, lambda *_: ended.append(1))
    signal.signal(signal.SIGHUP, lambda *_: hangups.append(1))
    with Host(config, **settings.get("host", {})) as host:
        print(json.dumps(["READY", host.status()["guardian"]]), flush=True)
        while not ended:
            for notice in host.follow(0.1):
                print(json.dumps(notice), flush=True)
                if ended or hangups:
                    break
            if hangups:
                hangups.clear()
                try:
                    with open(settings["reload"], encoding="utf-8") as file:
                        host.reload(config_of(json.load(file), *others))
                    print(json.dumps(["RELOADED", host.status()["guardian"]]), flush=True)
                except VrrpError as error:
                    print(json.dumps(["REFUSED", str(error)]), flush=True)
        host.stop()
        for notice in host.notices():
            print(json.dumps(notice), flush=True)
        status = host.status()
    print(json.dumps(["STATUS", status]), flush=True)


main()
