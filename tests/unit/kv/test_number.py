"""Numbers as text: against Python's and C's own, and the forms Redis takes and refuses."""

import ctypes
import locale
import math
import shutil
import struct
import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from libkv.testing.native.number import (
    add_long_doubles,
    parse_bound,
    parse_double,
    parse_i64,
    print_double,
    print_i64,
    print_u64,
)

LIBC = ctypes.CDLL(None)
ANY_DOUBLE = st.one_of(
    st.floats(allow_nan=False),
    st.integers(-(2**63), 2**63).map(float),
    st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("d", struct.pack("Q", bits))[0]).filter(lambda v: v == v),
    st.decimals(-1000, 1000, places=3).map(float),
)


def c_print(value):
    text = ctypes.create_string_buffer(64)
    LIBC.snprintf(text, 64, b"%.17g", ctypes.c_double(value))
    return text.value


@given(st.integers(-(2**63), 2**63 - 1))
@example(-(2**63))
@example(2**63 - 1)
@example(0)
def test_integers_print_and_read_back(value):
    assert print_i64(value) == b"%d" % value
    assert parse_i64(b"%d" % value) == value


@given(st.integers(0, 2**64 - 1))
@example(2**64 - 1)
def test_unsigned_print(value):
    assert print_u64(value) == b"%d" % value


@given(st.one_of(st.binary(max_size=24), st.text("0123456789-+ ", max_size=22).map(str.encode)))
@example(b"9223372036854775808")
@example(b"-9223372036854775809")
@example(b"18446744073709551616")
@example(b"92233720368547758070")
def test_only_canonical_integers_are_read(text):
    try:
        value = int(text) if text.isascii() else None
    except ValueError:
        value = None
    canonical = value is not None and -(2**63) <= value < 2**63 and b"%d" % value == text
    assert parse_i64(text) == (value if canonical else None)


@settings(max_examples=500)
@given(ANY_DOUBLE)
@example(-0.0)
@example(0.1)
@example(1e17)
@example(99999999999999984.0)
@example(5e-324)
@example(math.inf)
@example(-math.inf)
def test_doubles_print_as_c_does_and_read_back(value):
    text = print_double(value)
    assert text == c_print(value)
    back = parse_double(text)
    assert back == value
    assert math.copysign(1, back) == math.copysign(1, value)


@settings(max_examples=500)
@given(st.from_regex(rb"-?[0-9]{0,20}(\.[0-9]{0,20})?(e[+-]?[0-9]{1,3})?", fullmatch=True))
def test_decimal_text_is_read_exactly(text):
    try:
        value = float(text)
    except ValueError:
        assert parse_double(text) is None
        return
    digits = text.lower().split(b"e")[0]
    if math.isinf(value) or (value == 0 and digits.strip(b"-0.")):
        assert parse_double(text) is None  # out of range
    else:
        assert parse_double(text) == value


@pytest.mark.parametrize(
    ("text", "score", "bound"),
    [
        (b"", None, 0.0),
        (b" 1", None, 1.0),
        (b"1 ", None, None),
        (b"+1.5", 1.5, 1.5),
        (b"0x10", 16.0, 16.0),
        (b"inf", math.inf, math.inf),
        (b"-Infinity", -math.inf, -math.inf),
        (b"nan", None, None),
        (b"1e400", None, math.inf),
        (b"-1e-400", None, 0.0),
        (b"4.9e-324", 5e-324, 5e-324),
        (b"1\x00", None, 1.0),
        (b"1\x00x", None, 1.0),
        (b"1x", None, None),
        (b"-", None, None),
        (b".", None, None),
        (b"5.", 5.0, 5.0),
        (b".5", 0.5, 0.5),
        (b"1..5", None, None),
        (b"0" * 1000 + b"7", 7.0, 7.0),
        (b"1" + b"0" * 400, None, math.inf),
    ],
)
def test_forms_of_scores_and_bounds(text, score, bound):
    assert parse_double(text) == score
    assert parse_bound(text) == bound


@pytest.mark.parametrize(
    ("a", "b", "total"),
    [
        (b"3.0e3", b"1.1", b"3001.10000000000000009"),
        (b"10.50", b"0.1", b"10.6"),
        (b"5", b"-5", b"0"),
        (b"-0", b"-0", b"0"),
        (b"1", b"1e-20", b"1"),
        (b"200", b"0x10", b"216"),
        (b"inf", b"1", b"inf"),
        (b"-inf", b"1", b"-inf"),
        (b"inf", b"-inf", b"nan"),
        (b"nan", b"1", None),
        (b" 1", b"1", None),
        (b"", b"1", None),
        (b"1x", b"1", None),
        (b"1\x00", b"1", None),
        (b"1e5000", b"1", None),
        (b"0" * 5119 + b"1", b"1", None),
        (b"0" * 5118 + b"1", b"1", b"2"),
    ],
)
def test_long_doubles(a, b, total):
    assert add_long_doubles(a, b) == total


def test_the_largest_long_double_fits():
    text = add_long_doubles(b"1.18973149535723176502e+4932", b"0")
    assert len(text) == 4933
    assert text.isdigit()
    assert add_long_doubles(b"-1.18973149535723176502e+4932", b"0") == b"-" + text


def test_a_locale_with_a_decimal_comma_changes_nothing(tmp_path, monkeypatch):
    made = shutil.which("localedef") and subprocess.run(
        ["localedef", "--no-archive", "-i", "de_DE", "-f", "UTF-8", str(tmp_path / "de_DE.UTF-8")], capture_output=True
    )
    if not made or made.returncode > 1:
        pytest.skip("missing the source of the locale de_DE (Debian package locales)")
    monkeypatch.setenv("LOCPATH", str(tmp_path))
    before = locale.setlocale(locale.LC_NUMERIC)
    locale.setlocale(locale.LC_NUMERIC, "de_DE.UTF-8")
    try:
        assert c_print(0.5) == b"0,5"
        assert print_double(0.1) == b"0.10000000000000001"
        assert parse_double(b"1e-1") == 0.1
        assert parse_double(b"0,1") is None
        assert add_long_doubles(b"1.5e0", b"1") == b"2.5"
    finally:
        locale.setlocale(locale.LC_NUMERIC, before)
