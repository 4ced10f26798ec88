"""Health checks: what they ask (probes), when they ask and what follows (machine), and who carries it out (host).

    machine   pure: attempts, retries, delays, the verdict          CheckMachine, Timing
    probe     pure: one attempt's conversation, bytes in and out    TcpCheck, HttpCheck, ... make them
    host      one thread, one epoll, one heap of deadlines          Host

A verdict is a machine's opinion of its target: up or down, with a reason and, for some checks, a weight.
"""

from libipvs.checks.host import Host, Watch
from libipvs.checks.http import HttpCheck, Url
from libipvs.checks.kinds import (
    BfdCheck,
    Check,
    DnsCheck,
    FileCheck,
    MiscCheck,
    PingCheck,
    SmtpCheck,
    TcpCheck,
    UdpCheck,
)
from libipvs.checks.machine import CheckMachine, Timing, Verdict
from libipvs.checks.probe import Outcome, Probe, Target

__all__ = [
    "BfdCheck",
    "Check",
    "CheckMachine",
    "DnsCheck",
    "FileCheck",
    "Host",
    "HttpCheck",
    "MiscCheck",
    "Outcome",
    "PingCheck",
    "Probe",
    "SmtpCheck",
    "Target",
    "TcpCheck",
    "Timing",
    "UdpCheck",
    "Url",
    "Verdict",
    "Watch",
]
