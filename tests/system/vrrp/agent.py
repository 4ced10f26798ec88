"""One router as a process of its own: agent.py JSON.  Prints a line of JSON for every notice; SIGTERM stops it."""

import json
import signal
import sys

from libvrrp.config import Address, Config, Router
from libvrrp.host import Host


def main():
    settings = json.loads(sys.argv[1])
    routers = []
    for given in settings["routers"]:
        given["addresses"] = tuple(Address(a) for a in given["addresses"])
        given["peers"] = tuple(given.get("peers", ()))
        routers.append(Router(**given))
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(1))
    with Host(Config(tuple(routers)), **settings.get("host", {})) as host:
        print(json.dumps(["READY", host.status()["guardian"]]), flush=True)
        while not ended:
            for notice in host.follow(0.1):
                print(json.dumps(notice), flush=True)
                if ended:
                    break
        host.stop()
        for notice in host.notices():
            print(json.dumps(notice), flush=True)
        status = host.status()
    print(json.dumps(["STATUS", status]), flush=True)


main()
