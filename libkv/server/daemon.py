"""What a server process does around its server: going to the background, PID file, supervisor, title, open files.

Follows redis-server's daemonize, pidfile, supervised, set-proc-title, proc-title-template and maxclients.  None of it
belongs in an application that embeds a store: it is for programs such as examples/server.py.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import socket

#: Descriptors that a server needs besides its clients'.
RESERVED_FILES = 32


def daemonize() -> None:
    """Goes on in a child in a session of its own, standard streams at /dev/null; the calling process ends with 0.

    To be called before any thread is started.
    """
    if os.fork():
        os._exit(0)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    if null > 2:
        os.close(null)


def write_pidfile(path: str) -> None:
    """Writes the PID and a newline.  OSError: the file can't be written."""
    with open(path, "w") as stream:
        stream.write(f"{os.getpid()}\n")


def remove_pidfile(path: str) -> None:
    """Removes it, when it is there."""
    with contextlib.suppress(OSError):
        os.unlink(path)


def find_supervisor(supervised: str) -> str:
    """The supervisor that started this process: "systemd", "upstart" or "".

    supervised: the directive's value: no, systemd, upstart, or auto (what the environment says).
    """
    if supervised in ("auto", "upstart") and os.environ.get("UPSTART_JOB"):
        return "upstart"
    if supervised in ("auto", "systemd") and os.environ.get("NOTIFY_SOCKET"):
        return "systemd"
    return ""


def tell_supervisor(supervisor: str, state: str) -> None:
    """Tells systemd a state (sd_notify's text: "READY=1", "STATUS=...", "STOPPING=1"); OSError when it doesn't listen.

    Upstart is told that the server is ready by stopping until it is continued.
    """
    if supervisor == "upstart" and state == "READY=1":
        os.environ.pop("UPSTART_JOB", None)
        os.kill(os.getpid(), signal.SIGSTOP)
    elif supervisor == "systemd":
        path = os.environ["NOTIFY_SOCKET"]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as s:
            # a name that begins with @ is in the abstract namespace
            s.sendto(state.encode() + b"\n", "\0" + path[1:] if path.startswith("@") else path)


def set_process_title(title: str) -> bool:
    """Puts the title where ps looks for the command line; False when the kernel doesn't say where that is.

    It is cut to the room that the original command line had.
    """
    try:
        with open("/proc/self/stat", "rb") as stream:
            fields = stream.read().rpartition(b")")[2].split()
    except OSError:
        return False
    # proc(5): fields 48 and 49 of stat, arg_start and arg_end; the first one here is number 3
    start, end = int(fields[45]), int(fields[46])
    room = end - start
    if start == 0 or room < 2:
        return False
    text = title.encode()[: room - 1]
    ctypes.memmove(start, text + b"\0" * (room - len(text)), room)
    return True


def process_title(template: str, title: str, listen: str, port: int, tls_port: int, unixsocket: str) -> str:
    """proc-title-template with {title} {listen-addr} {server-mode} {port} {tls-port} {unixsocket} filled in."""
    facts = {
        "title": title,
        "listen-addr": listen,
        "server-mode": "",
        "port": str(port),
        "tls-port": str(tls_port),
        "unixsocket": unixsocket,
    }
    for name, value in facts.items():
        template = template.replace("{" + name + "}", value)
    return template.strip()


def raise_open_files(maxclients: int) -> tuple[int, list[str]]:
    """Makes room for so many clients: (how many there is room for, lines for the log)."""
    wanted = maxclients + RESERVED_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= wanted or soft == resource.RLIM_INFINITY:
        return maxclients, []
    for limit in (wanted, hard):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, max(limit, hard)))
            break
    now = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if now >= wanted:
        return maxclients, [f"Increased maximum number of open files to {now} (it was originally set to {soft})."]
    room = max(1, now - RESERVED_FILES)
    return room, [
        f"You requested maxclients of {maxclients} requiring at least {wanted} max file descriptors.",
        f"Server can't set maximum open files to {wanted} because of OS error: Operation not permitted.",
        f"Current maximum open files is {now}. maxclients has been reduced to {room} to compensate for low ulimit. "
        "If you need higher maxclients increase 'ulimit -n'.",
    ]
