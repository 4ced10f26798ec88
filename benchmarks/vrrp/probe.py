"""A client that pings an address every 5 ms: probe.py ADDRESS SECONDS QUIET.

After QUIET seconds it prints when (CLOCK_MONOTONIC) the next advert passed by; at its end the longest outage in
milliseconds: the time between the sending of the last answered probe before and of the first answered one after.
"""

import contextlib
import select
import socket
import struct
import sys
import time

STEP = 0.005
ETH_P_IP, VRRP = 0x0800, 112


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def main():
    address, seconds, quiet = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
    adverts = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    s.setblocking(False)
    sent, answered = [], set()
    began = time.monotonic()
    while (now := time.monotonic()) < began + seconds:
        due = began + len(sent) * STEP
        if now >= due:
            number = len(sent) & 0xFFFF
            head = struct.pack("!BBHHH", 8, 0, 0, 0x4B56, number)
            packet = struct.pack("!BBHHH", 8, 0, checksum(head), 0x4B56, number)
            sent.append(now)
            with contextlib.suppress(OSError):  # no neighbour entry: as good as lost
                s.sendto(packet, (address, 0))
            continue
        ready = select.select([s] if adverts is None else [s, adverts], [], [], due - now)[0]
        if adverts in ready:
            packet = adverts.recv(2048)
            if packet[9] == VRRP and (seen := time.monotonic()) > began + quiet:
                print(seen, flush=True)
                adverts = None
        if s in ready:
            reply = s.recv(2048)
            if reply[20] == 0 and reply[24:26] == b"KV":
                answered.add(int.from_bytes(reply[26:28], "big"))
    worst, last = 0.0, None
    for number, at in enumerate(sent):
        if number & 0xFFFF in answered:
            if last is not None and at - last > worst:
                worst = at - last
            last = at
    print(round(worst * 1000, 1), len(answered), len(sent))


main()
