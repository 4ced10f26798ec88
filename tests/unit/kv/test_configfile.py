"""redis.conf and the command line: words, includes, options, and what is said about a bad line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libkv.configfile import (
    MAX_DEPTH,
    ConfigFileError,
    ConfigFileMissing,
    Line,
    apply,
    parse_command_line,
    quote_word,
    read_command_line,
    read_text,
    split_words,
    without_effect,
)


def plain(lines: list[Line]) -> list[tuple[str, tuple[bytes, ...], int]]:
    return [(line.name, line.args, line.number) for line in lines]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"", []),
        (b"  port   6379\t", [b"port", b"6379"]),
        (b"a \"b c\" 'd e'", [b"a", b"b c", b"d e"]),
        (b'"\\x41\\n\\t\\r\\b\\a\\q\\"\\\\"', [b'A\n\t\r\b\aq"\\']),
        (b"'a\\'b\\n'", [b"a'b\\n"]),
        (b'""', [b""]),
        (b'ab"cd" x', [b"abcd", b"x"]),
        (b'"\\x4" y', [b"x4", b"y"]),
        (b"a\0b c", [b"a"]),
        (b'"ab', None),
        (b"'ab", None),
        (b'"a"b', None),
        (b"'a'b", None),
        (b'"a\\"', None),
    ],
)
def test_words(line: bytes, words: list[bytes] | None) -> None:
    assert split_words(line) == words


@given(st.lists(st.binary(max_size=20), max_size=6))
def test_quoted_words_come_back(words: list[bytes]) -> None:
    assert split_words(b" ".join(map(quote_word, words))) == words


@settings(max_examples=500)
@given(st.one_of(st.binary(max_size=200), st.text("\"'\\x4 \n#abport", max_size=80).map(str.encode)))
def test_any_text_is_lines_or_an_error(text: bytes) -> None:
    """And what is read, written out again in quotes, reads the same."""
    if b"include" in text:
        return
    try:
        lines = read_text(text)
    except ConfigFileError as error:
        assert error.reason == "Unbalanced quotes in configuration line"
        assert 1 <= error.line <= text.count(b"\n") + 1
        return
    again = b"\n".join(
        quote_word(line.name.encode("latin-1")) + b" " + b" ".join(map(quote_word, line.args)) for line in lines
    )
    expected = [(line.name, line.args) for line in lines]
    assert [(line.name, line.args) for line in read_text(again)] == expected


def test_comments_numbers_and_case() -> None:
    assert plain(read_text("# one\n\n  PORT 1 \r\n \t# x\nSave 60 5")) == [
        ("port", (b"1",), 3),
        ("save", (b"60", b"5"), 5),
    ]


def test_includes_stand_in_their_place(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("hz 1")
    (tmp_path / "b.conf").write_text("hz 2\n")
    main = tmp_path / "main.conf"
    main.write_text(f"port 1\ninclude {tmp_path}/[ab].conf\ninclude {tmp_path}/none*.conf\ntimeout 3\n")
    lines = read_command_line(parse_command_line([str(main)]))
    assert plain(lines) == [("port", (b"1",), 1), ("hz", (b"1",), 1), ("hz", (b"2",), 1), ("timeout", (b"3",), 4)]
    assert [Path(line.file).name for line in lines] == ["main.conf", "a.conf", "b.conf", "main.conf"]
    assert [line.included for line in lines] == [False, True, True, False]


def test_relative_includes_follow_dir(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "more.conf").write_text("hz 9\n")
    lines = read_text("dir sub\ninclude more.conf\n", str(tmp_path))
    assert [line.name for line in lines] == ["dir", "hz"]


def test_an_include_of_itself_is_an_error(tmp_path: Path) -> None:
    loop = tmp_path / "loop.conf"
    loop.write_text(f"hz 1\ninclude {loop}\n")
    with pytest.raises(ConfigFileError, match="Too many nested includes") as caught:
        read_command_line(parse_command_line([str(loop)]))
    assert caught.value.line == 2 and MAX_DEPTH > 1


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigFileMissing) as caught:
        read_command_line(parse_command_line([str(tmp_path / "none.conf")]))
    assert str(caught.value) == f"Fatal error, can't open config file '{tmp_path}/none.conf': No such file or directory"
    with pytest.raises(ConfigFileMissing, match=r"'more\.conf'"):
        read_text("include more.conf", str(tmp_path))


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([], b""),
        (["--port", "7000"], b'port "7000" '),
        (["--port", "7000", "--hz", "5"], b'port "7000" \nhz "5" '),
        (["--port 7000", "--hz 5"], b"port 7000 \nhz 5 "),
        (["--bind", "127.0.0.1", "::1"], b'bind "127.0.0.1" "::1" '),
        (["--save", "--hz", "5"], b'save ""\nhz "5" '),
        (["--save"], b'save ""'),
        (["--save", "", "--hz", "5"], b'save "" \nhz "5" '),
        (["--requirepass", "--secret", "--hz", "1"], b'requirepass "--secret" \nhz "1" '),
        (["--sentinel", "--hz", "5"], b'sentinel \nhz "5" '),
    ],
)
def test_options_become_lines(arguments: list[str], options: bytes) -> None:
    parsed = parse_command_line(arguments)
    assert parsed.options == options and parsed.file is None and not parsed.stdin
    assert parsed.sentinel == ("--sentinel" in arguments)


def test_file_standard_input_and_actions() -> None:
    parsed = parse_command_line(["my.conf", "--hz", "5", "-"])
    assert parsed.file == "my.conf" and parsed.stdin and parsed.options == b'hz "5" '
    parsed = parse_command_line(["-", "--hz", "5"])
    assert parsed.file is None and parsed.stdin and parsed.options == b'hz "5" '
    assert parse_command_line(["-v"]).action == parse_command_line(["--version", "x"]).action == "version"
    assert parse_command_line(["-h"]).action == parse_command_line(["--help"]).action == "help"


def test_file_then_standard_input_then_options(tmp_path: Path) -> None:
    main = tmp_path / "main.conf"
    main.write_text("hz 1\n")
    lines = read_command_line(parse_command_line([str(main), "--hz", "3", "-"]), b"hz 2\n")
    assert plain(lines) == [("hz", (b"1",), 1), ("hz", (b"2",), 2), ("hz", (b"3",), 4)]
    assert [line.file for line in lines] == [str(main), "", ""]


def test_apply_sets_what_is_a_setting_and_hands_back_the_rest() -> None:
    seen: list[tuple[str, list[bytes]]] = []

    def put(name: str, words: list[bytes]) -> str | None:
        seen.append((name, words))
        return None

    lines = read_text("hz 5\nrename-command DEBUG ''\nlist-max-ziplist-value 64\nuser bob on\nslaveof a 1\n")
    others = apply(lines, put)
    assert seen == [("hz", [b"5"]), ("rename-command", [b"DEBUG", b""]), ("slaveof", [b"a", b"1"])]
    assert [line.name for line in others] == ["rename-command", "user"]


@pytest.mark.parametrize(
    ("text", "number", "shown", "reason"),
    [
        ("port 1\nnosuch 5", 2, "nosuch 5", "Bad directive or wrong number of arguments"),
        ("rename-command x", 1, "rename-command x", "Bad directive or wrong number of arguments"),
        ("include", 1, "include", "Bad directive or wrong number of arguments"),
        ("user", 1, "user", "Bad directive or wrong number of arguments"),
        ("sentinel monitor a b 1 2", 1, "sentinel monitor a b 1 2", "sentinel directive while not in sentinel mode"),
        ("\n\n hz 7 ", 3, "hz 7", "not today"),
    ],
)
def test_the_report_of_a_bad_line(text: str, number: int, shown: str, reason: str) -> None:
    with pytest.raises(ConfigFileError) as caught:
        apply(read_text(text), lambda name, words: "not today" if name == "hz" else None)
    assert str(caught.value) == (
        "*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***\n"
        f"Reading the configuration file, at line {number}\n>>> '{shown}'\n{reason}"
    )
    assert (caught.value.line, caught.value.text, caught.value.reason) == (number, shown, reason)


def test_an_included_file_is_named_in_the_report(tmp_path: Path) -> None:
    part = tmp_path / "part.conf"
    part.write_text("\nhz 'x")
    with pytest.raises(ConfigFileError) as caught:
        read_text(f"include {part}")
    assert f"Reading the configuration file {part}, at line 2\n" in str(caught.value)
    assert caught.value.file == str(part)


def test_what_has_no_effect_is_told_once_in_order() -> None:
    lines = read_text("io-threads 4\nport 1\nslave-priority 5\nreplica-priority 6\nio-threads 2\nuser bob on")
    told = list(without_effect(lines))
    assert [name for name, _ in told] == ["io-threads", "replica-priority"]
    assert all(why for _, why in told)


def test_a_default_without_effect_is_not_worth_a_line() -> None:
    lines = read_text(
        "io-threads 1\nreplica-read-only YES\nreplica-priority 100\noom-score-adj-values 0 200 800\ndisable-thp no"
    )
    assert [name for name, _ in without_effect(lines)] == ["disable-thp"]
