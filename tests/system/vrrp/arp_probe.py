"""A client whose neighbour cache is always empty: asks by broadcast who has an address, every 5 ms, and who answers.

arp_probe.py INTERFACE ADDRESS SECONDS.  Prints JSON: asked, answered, and `double`: how many of the questions got
answers from two hosts.
"""

import json
import select
import socket
import struct
import sys
import time
from pathlib import Path

STEP = 0.005
ARP = 0x0806


def main():
    interface, address, seconds = sys.argv[1], socket.inet_aton(sys.argv[2]), float(sys.argv[3])
    own = bytes.fromhex(Path(f"/sys/class/net/{interface}/address").read_text().strip().replace(":", ""))
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ARP))
    s.bind((interface, ARP))
    # each question comes from an address of its own, so that an answer tells which question it belongs to
    answers, asked = {}, 0
    began = time.monotonic()
    while (now := time.monotonic()) < began + seconds:
        due = began + asked * STEP
        if now >= due:
            source = bytes([169, 254, 1 + asked // 250 % 250, 1 + asked % 250])
            answers.setdefault(source, set())
            head = b"\xff" * 6 + own + struct.pack("!H", ARP)
            s.send(head + struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + own + source + bytes(6) + address)
            asked += 1
        elif select.select([s], [], [], due - now)[0]:
            data = s.recv(2048)
            if data[20:22] == b"\0\2" and data[28:32] == address:
                answers.setdefault(data[38:42], set()).add(data[22:28])
    answered = sum(bool(x) for x in answers.values())
    print(json.dumps({"asked": asked, "answered": answered, "double": sum(len(x) > 1 for x in answers.values())}))


main()
