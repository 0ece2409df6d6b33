"""SSIDs: bytes to a text that is safe and tells them apart, and tshark's text to bytes."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wifi_assets.frames.ssid import ssid_bytes, ssid_text

#: What the air may hold, with the bytes that matter in more than their share.
SSIDS = st.one_of(
    st.binary(max_size=32),
    st.lists(st.sampled_from(b"\\x041\0\n\xc3\xa9\xe2\x80\xaeab"), max_size=32).map(bytes),
    st.text(max_size=32).map(str.encode),
)


def decoded(text: str) -> bytes:
    r"""The obvious way back: a doubled backslash is one, ``\xNN`` a byte, all else itself."""
    raw = b""
    while text:
        if text.startswith("\\\\"):
            raw, text = raw + b"\\", text[2:]
        elif text.startswith("\\x"):
            raw, text = raw + bytes.fromhex(text[2:4]), text[4:]
        else:
            raw, text = raw + text[0].encode(), text[1:]
    return raw


@given(SSIDS)
@example("\u202e".encode())
@example("\u00ad\u2028\ufeff".encode())
@example(b"\xc3\xa9\xc3")
@example(b"\xed\xa0\x80")
@example(b"\\x41")
def test_the_text_is_printable_and_leads_back_to_the_bytes(raw: bytes) -> None:
    text = ssid_text(raw)
    assert text.isprintable()
    assert decoded(text) == raw


@given(SSIDS, SSIDS)
@example(b"\\x41", b"A")
@example(b"\x00", b"\\x00")
def test_two_ssids_never_have_one_text(one: bytes, other: bytes) -> None:
    assert (ssid_text(one) == ssid_text(other)) == (one == other)


def iw(raw: bytes) -> str:
    r"""As ``iw scan`` prints an SSID: what is printable but the backslash and a blank at an end; else ``\xNN``."""
    ends = (0, len(raw) - 1)
    return "".join(
        chr(byte) if 32 < byte < 127 and byte != 0x5C or byte == 32 and at not in ends else f"\\x{byte:02x}"
        for at, byte in enumerate(raw)
    )


@given(st.binary(max_size=32), st.booleans())
def test_the_form_is_that_of_iw_for_ascii_and_for_what_is_no_utf8(raw: bytes, alone: bool) -> None:
    # A byte beyond ASCII between ASCII ones is no UTF-8, so none of it is shown as text.
    raw = bytes(byte & 0x7F for byte in raw) if alone else b"".join(bytes([byte, 0x2F]) for byte in raw)
    # Two differences are meant: a backslash is doubled, a blank is a blank wherever it stands.
    raw = raw.replace(b"\\", b"/").strip(b" ")
    assert ssid_text(raw) == iw(raw)


def test_utf8_is_shown_as_text() -> None:
    assert ssid_text("Café 中文 \U0001f600".encode()) == "Café 中文 \U0001f600"


@given(SSIDS)
def test_hex_leads_to_the_bytes_in_either_case(raw: bytes) -> None:
    assert ssid_bytes(raw.hex(), is_hex=True) == raw
    assert ssid_bytes(raw.hex().upper(), is_hex=True) == raw


@given(st.text(max_size=32).filter(lambda text: text != "<MISSING>"))
def test_text_leads_to_its_utf8(text: str) -> None:
    assert ssid_bytes(text, is_hex=False) == text.encode()


@pytest.mark.parametrize("is_hex", [True, False])
def test_missing_is_the_wildcard_in_both(is_hex: bool) -> None:
    assert ssid_bytes("<MISSING>", is_hex=is_hex) == b""


@given(st.text(alphabet="0123456789abcdefABCDEF :xgé\n", max_size=12))
def test_anything_but_pairs_of_hex_digits_is_refused(printed: str) -> None:
    if re.fullmatch(r"([0-9a-fA-F][0-9a-fA-F])*", printed) and "\n" not in printed:
        assert ssid_bytes(printed, is_hex=True).hex() == printed.lower()
    else:
        with pytest.raises(ValueError, match="not hex"):
            ssid_bytes(printed, is_hex=True)
