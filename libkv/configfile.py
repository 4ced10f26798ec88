"""Reads redis.conf files and redis-server's command line into an ordered list of directives.

Follows Redis 7.0.15: words and quotes as in its protocol's inline commands, `include` (one file, or all that match a
pattern) in place, `-` for standard input, and options (`--port 7000 --save ""`), which are read as further lines behind
the file, so that the last one wins.  What a value may be is decided by the engine (CONFIG's own checks); `apply` brings
both together and words an error as redis-server does.

Deviations: an included file is named in the error; includes that go round in circles are an error, not a crash; files
that match a pattern are kept apart even when one does not end with a newline; `save` lines go on adding up behind an
include, where redis-server 7.0.15 forgets the earlier ones.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from libkv.engine.directives import FILE_WORDS, directive
from libkv.errors import KvError

MAX_DEPTH = 16
_SPACE = b" \t\n\v\f\r"
_TRIM = b" \t\r\n"
_ESCAPES = {ord("n"): b"\n", ord("r"): b"\r", ord("t"): b"\t", ord("b"): b"\b", ord("a"): b"\a"}
_HEX = b"0123456789abcdefABCDEF"
_BAD = "Bad directive or wrong number of arguments"
_DROPPED = ("list-max-ziplist-entries", "list-max-ziplist-value")
# words that are no settings: the fewest and the most arguments
_WORDS = {"rename-command": (2, 2), "user": (1, None), "loadmodule": (1, None)}


@dataclass(frozen=True, slots=True)
class Line:
    """One directive.

    name: in lower case.  args: its words.  file: where it stands, or "" for the command line and standard input.
    number: its line there, from 1 (options count on behind the file, as redis-server counts).  text: the line.
    included: it stands in a file that another one includes.
    """

    name: str
    args: tuple[bytes, ...]
    file: str
    number: int
    text: bytes
    included: bool = False


class ConfigFileError(KvError):
    """A configuration that can't be used; str() is redis-server's report.

    file, line, text: where, when a line is at fault (line 0: the file itself).  reason: what is wrong.
    """

    def __init__(self, reason: str, line: Line | None = None) -> None:
        self.reason = reason
        self.file = line.file if line else ""
        self.line = line.number if line else 0
        self.text = line.text.decode("utf-8", "replace") if line else ""
        where = f" {line.file}" if line and line.included else ""
        report = "*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***\n"
        if line:
            report += f"Reading the configuration file{where}, at line {self.line}\n>>> '{self.text}'\n"
        super().__init__(report + reason)


class ConfigFileMissing(ConfigFileError):
    """A file that can't be opened; str() is redis-server's log line."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(why)
        self.file = path
        self.args = (f"Fatal error, can't open config file '{path}': {why}",)


# ---- words


def split_words(line: bytes) -> list[bytes] | None:
    r"""The words of a line, or None when its quotes are not balanced.

    "..." knows \n \r \t \b \a \xHH and \ before any other byte; '...' knows \'.  A closing quote must be followed by
    space or the end.  A NUL ends the line.
    """
    words: list[bytes] = []
    end = line.find(b"\0")
    size = len(line) if end < 0 else end
    at = 0
    while True:
        while at < size and line[at] in _SPACE:
            at += 1
        if at == size:
            return words
        word = bytearray()
        quote = 0
        while True:
            if at == size:
                if quote:
                    return None
                break
            byte = line[at]
            if quote:
                at = _quoted(line, at, size, quote, word)
                if at < 0:
                    if -at < size and line[-at] not in _SPACE:
                        return None
                    at = -at
                    break
                continue
            if byte in _SPACE:
                break
            if byte in b"\"'":
                quote = byte
            else:
                word.append(byte)
            at += 1
        words.append(bytes(word))


def _quoted(line: bytes, at: int, size: int, quote: int, word: bytearray) -> int:
    """Takes one byte or escape inside quotes; the next position, negative behind the closing quote."""
    byte = line[at]
    if byte == ord("\\") and at + 1 < size:
        after = line[at + 1]
        if quote == ord("'"):
            if after == quote:
                word.append(after)
                return at + 2
        elif after == ord("x") and at + 3 < size and line[at + 2] in _HEX and line[at + 3] in _HEX:
            word.append(int(line[at + 2 : at + 4], 16))
            return at + 4
        else:
            word += _ESCAPES.get(after, bytes((after,)))
            return at + 2
    if byte == quote:
        return -(at + 1)
    word.append(byte)
    return at + 1


def quote_word(word: bytes) -> bytes:
    """The word in double quotes, so that split_words gives it back."""
    out = bytearray(b'"')
    names = {value[0]: bytes((key,)) for key, value in _ESCAPES.items()}
    for byte in word:
        if byte in b'\\"':
            out += b"\\" + bytes((byte,))
        elif byte in names:
            out += b"\\" + names[byte]
        elif 32 <= byte < 127:
            out.append(byte)
        else:
            out += b"\\x%02x" % byte
    return bytes(out + b'"')


# ---- the command line


@dataclass(frozen=True, slots=True)
class CommandLine:
    """What redis-server's arguments ask for.

    action: "version", "help", or "" to start.  file: the configuration file as it was written, or None.  stdin: read
    standard input behind it.  options: the text that comes last.  sentinel: --sentinel was given.
    """

    action: str = ""
    file: str | None = None
    stdin: bool = False
    options: bytes = b""
    sentinel: bool = False


def parse_command_line(arguments: Sequence[str]) -> CommandLine:
    """Reads the arguments (without the program's name).

    The first one is a file unless it begins with a dash; `-` (first or last) is standard input; `--name` begins a
    directive and all up to the next one are its words.  A directive's first word may itself begin with two dashes.
    """
    if arguments and arguments[0] in ("-v", "--version"):
        return CommandLine("version")
    if arguments and arguments[0] in ("-h", "--help"):
        return CommandLine("help")
    rest = list(arguments)
    file = rest.pop(0) if rest and not rest[0].startswith("-") else None
    first = file is None
    options = bytearray()
    stdin = False
    takes_name = True
    for i, word in enumerate(rest):
        last = i == len(rest) - 1
        if word == "-" and (last or (first and i == 0)):
            stdin = True
        elif takes_name and word.startswith("--"):
            raw = os.fsencode(word)
            options += (b"\n" if options else b"") + raw[2:] + b" "
            alone = len(split_words(raw) or ()) == 1
            after = "" if last else rest[i + 1]
            takes_name = not alone
            if alone and word.lower() in ("--save", "--sentinel") and (last or after.startswith("--")):
                options += b'""' if word.lower() == "--save" else b""
                takes_name = True
        else:
            options += quote_word(os.fsencode(word)) + b" "
            takes_name = True
    return CommandLine("", file, stdin, bytes(options), "--sentinel" in arguments)


# ---- files


@dataclass(slots=True)
class _Reader:
    """Reads files in place; `base` is the directory that relative names start from (the `dir` directive moves it)."""

    base: str
    lines: list[Line] = field(default_factory=list)

    def text(self, text: bytes, file: str, places: Iterable[str], depth: int) -> None:
        """Takes lines; `places` names the file of each (shorter: the last ones have none)."""
        names = iter(places)
        for number, raw in enumerate(text.split(b"\n"), 1):
            name = next(names, "")
            raw = raw.strip(_TRIM)
            if not raw or raw.startswith(b"#"):
                continue
            words = split_words(raw)
            line = Line("", (), name, number, raw, depth > 0)
            if words is None:
                raise ConfigFileError("Unbalanced quotes in configuration line", line)
            if not words:
                continue
            word = words[0].decode("latin-1").lower()
            line = Line(word, tuple(words[1:]), name, number, raw, depth > 0)
            if word == "include" and len(words) == 2:
                if depth == MAX_DEPTH:
                    raise ConfigFileError("Too many nested includes", line)
                self.file(os.fsdecode(words[1]), depth + 1)
                continue
            if word == "dir" and len(words) == 2:
                self.base = os.path.join(self.base, os.fsdecode(words[1]))
            self.lines.append(line)

    def file(self, path: str, depth: int) -> None:
        for match in self.matches(path):
            text = self.bytes(match, path)
            self.text(text, match, [match] * (text.count(b"\n") + 1), depth)

    def matches(self, path: str) -> list[str]:
        """The files of a name: itself, or (with * ? or [) all that match, sorted."""
        whole = os.path.join(self.base, path)
        return sorted(glob.glob(whole)) if any(ch in path for ch in "*?[") else [whole]

    def bytes(self, whole: str, path: str) -> bytes:
        try:
            with open(whole, "rb") as stream:
                return stream.read()
        except OSError as error:
            raise ConfigFileMissing(path, error.strerror or str(error)) from None


def read_text(text: bytes | str, directory: str = ".") -> list[Line]:
    """The directives of a text; includes are relative to `directory`.  Raises ConfigFileError."""
    reader = _Reader(directory)
    reader.text(text.encode() if isinstance(text, str) else text, "", (), 0)
    return reader.lines


def read_command_line(command_line: CommandLine, stdin: bytes = b"") -> list[Line]:
    """The directives of a file, of standard input's bytes and of options, in this order.  Raises ConfigFileError."""
    reader = _Reader(os.getcwd())
    text = b""
    places: list[str] = []
    for path in reader.matches(command_line.file) if command_line.file is not None else ():
        part = reader.bytes(path, os.path.join(reader.base, command_line.file or ""))
        text += part
        whole = text.count(b"\n") + (not text.endswith(b"\n"))
        places += [path] * (whole - len(places))
    text += stdin
    if command_line.options:
        text += b"\n" + command_line.options
    reader.text(text, "", places, 0)
    return reader.lines


# ---- putting it into effect


def apply(lines: Iterable[Line], put: Callable[[str, list[bytes]], str | None], sentinel: bool = False) -> list[Line]:
    """Sets each directive by put(name, words), which returns None or why it can't be.

    Returns the lines that are no settings (rename-command, user, loadmodule; with `sentinel` its own) for the caller to
    follow.  Raises ConfigFileError at the first line at fault.
    """
    others: list[Line] = []
    for line in lines:
        reason: str | None = None
        if directive(line.name) is not None:
            reason = put(line.name, list(line.args))
        elif line.name in _WORDS:
            least, most = _WORDS[line.name]
            if len(line.args) < least or (most is not None and len(line.args) > most):
                reason = _BAD
            elif line.name == "rename-command":
                reason = put(line.name, list(line.args))
            others.append(line)
        elif line.name == "sentinel":
            if not sentinel:
                reason = "sentinel directive while not in sentinel mode"
            others.append(line)
        elif line.name not in _DROPPED or len(line.args) != 1:
            reason = _BAD
        if reason is not None:
            raise ConfigFileError(reason, line)
    return others


def without_effect(lines: Iterable[Line]) -> Iterator[tuple[str, str]]:
    """(name, why) of each directive among the lines that does nothing here, once, in order: to be logged at start.

    One that asks for its default is left out: a distribution's redis.conf does so with most of them."""
    words = {word.name: word.no_effect for word in FILE_WORDS}
    seen: set[str] = set()
    for line in lines:
        row = directive(line.name)
        name, why = (row.name, row.no_effect) if row else (line.name, words.get(line.name, ""))
        default = row.default.lower() if row else None
        if why and name not in seen and b" ".join(line.args).decode("utf-8", "replace").lower() != default:
            seen.add(name)
            yield name, why
