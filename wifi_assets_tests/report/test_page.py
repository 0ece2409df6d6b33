"""The page: whole, self-contained, and nothing in it runs, whatever the air holds."""

import base64
import hashlib
import os
import random
import re
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bench import report as bench
from wifi_assets.frames.ssid import ssid_text
from wifi_assets.lake import Lake
from wifi_assets.report.page import page, write
from wifi_assets.report.period import Period
from wifi_assets.steps import catch_up
from wifi_assets_tests.browser import in_chromium
from wifi_assets_tests.report.conftest import BEGIN, FOLLOWERS, KNOWN, lake_of, probe

TITLE = "Wi-Fi report"
#: Each would change the page's title if a browser took it for more than text.
PAYLOADS = (
    "<script>document.title='ran'</script>",
    "\"><script>document.title='ran'</script>",
    '"><img src=x onerror=document.title="ran">',
    "'><svg onload=document.title='ran'>",
    "</style><script>document.title='ran'</script>",
    "]]></script><script>document.title='ran'</script><!--",
    "</text><script>document.title='ran'</script>",
    "</title><title>ran</title>",
    "<meta http-equiv=refresh content='0;url=data:text/html,<title>ran</title>'>",
    "<base href=//example.org><iframe srcdoc='<script>parent.document.title=1</script>'>",
    "{{ 7 * 7 }}{% raw %}",
    "$\\frac$",
    "\u202egnp.exe\u202c",
    "javascript:document.title='ran'",
)
#: 32 octets of all kinds, as they can be in the air.
ODD = (
    bytes(range(32)),
    bytes(range(224, 256)),
    b"<img src=x onerror=alert(1)>\x00\xff\"'",
    b"\xf0\x9f\x8e\xaa" * 8,
    b"</script>" + "\u200f\u202e\u2066".encode() + b"</SCRIPT><!--]]",
    b"ab" + "\u0336\u0301\u0489".encode() * 5,
)


class Tags(HTMLParser):
    """Names and attributes of a page's elements, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, heard: list[dict[str, Any]]) -> str:
    """The page of a lake that has the sessions too."""
    followers = (*FOLLOWERS, "session_fragments", "oui_fingerprint_sessions")
    return page(Period(lake_of(tmp_path_factory.mktemp("whole"), heard, KNOWN, followers)))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of a lake in which every name is an attempt."""
    devices = {f"24:0a:c4:00:00:{n:02x}": name for n, name in enumerate(PAYLOADS)}
    rows = [
        probe(BEGIN + timedelta(minutes=n), mac, -50, b"", text) | {"country_code": text, "wps_device_name": text}
        for mac in (*devices, "8c:79:f5:00:00:01")
        for n, text in enumerate((*PAYLOADS, *map(ssid_text, ODD)))
    ]
    for row in rows:
        row["source_address_resolved"] = PAYLOADS[0]
    return page(Period(lake_of(tmp_path_factory.mktemp("hostile"), rows, devices)))


def pictures(html: str) -> list[str]:
    """The SVGs of a page as text."""
    return [base64.b64decode(one).decode() for one in re.findall(r"data:image/svg\+xml;base64,([^\"]+)", html)]


def test_the_page_holds_every_section_with_a_picture_for_each_width(whole: str) -> None:
    tags = Tags(whole)
    anchors = [attributes["id"] for tag, attributes in tags.found if tag == "section"]
    assert anchors == [
        "known",
        "days",
        "time",
        "addresses",
        "signal",
        "networks",
        "sessions",
        "subtypes",
        "fields",
        "quarantine",
    ]
    assert len(pictures(whole)) == 2 * 8
    assert "2026-03-01 to 2026-03-02 (UTC), 2 days with frames." in tags.text
    numbers = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", whole))
    assert numbers["frames"] == "800"
    assert numbers["probe requests"] == "600"
    assert (numbers["known devices heard"], numbers["unknown vendor addresses"]) == ("2", "1")
    assert numbers["random addresses"] == "6"
    assert numbers["first frame, UTC"].startswith("2026-03-01 00:00:00")
    for name in KNOWN.values():
        assert name in tags.text
    assert all(attributes["alt"] for tag, attributes in tags.found if tag == "img")
    assert any(attributes.get("name") == "viewport" for tag, attributes in tags.found if tag == "meta")


def test_the_page_needs_nothing_from_elsewhere_and_forbids_all_but_its_own_style(whole: str) -> None:
    tags = Tags(whole)
    assert {tag for tag, _ in tags.found} & {"script", "link", "iframe", "object", "form"} == set()
    for _, attributes in tags.found:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        for name in ("src", "srcset", "href"):
            assert (attributes.get(name) or "#").startswith(("data:image/svg+xml;base64,", "#"))
    policy = next(a["content"] for tag, a in tags.found if tag == "meta" and a.get("http-equiv")) or ""
    style = re.search(r"<style>(.*?)</style>", whole, re.S)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy.split("; ")[:3] == ["default-src 'none'", "img-src data:", f"style-src 'sha256-{digest}'"]


def test_hostile_names_are_text_in_page_and_pictures(hostile: str, whole: str) -> None:
    allowed = {tag for tag, _ in Tags(whole).found}
    assert {tag for tag, _ in Tags(hostile).found} <= allowed
    assert "<script>document.title='ran'</script>" in Tags(hostile).text
    assert "\u202e" not in hostile
    for picture in pictures(hostile):
        assert "<script" not in picture
        assert not re.search(r"<[^>]*\son\w+=", picture)


def test_a_browser_runs_nothing_of_a_hostile_page(hostile: str, tmp_path: Path) -> None:
    control = tmp_path / "control.html"
    control.write_text(f'<title>{TITLE}</title><p title="{PAYLOADS[2]}</p>')
    assert "<title>ran</title>" in in_chromium(control.as_uri(), tmp_path)
    file = tmp_path / "report.html"
    write(hostile, file)
    shown = in_chromium(file.as_uri(), tmp_path)
    assert re.findall(r"<title>(.*?)</title>", shown) == [TITLE]
    assert {tag for tag, _ in Tags(shown).found} == {tag for tag, _ in Tags(hostile).found}


def test_a_browser_applies_the_style_and_draws_every_picture(whole: str, tmp_path: Path) -> None:
    # The page's own policy allows no script; this copy has one that asks the browser what it drew.
    measured = whole.replace("default-src 'none'", "default-src 'none'; script-src 'unsafe-inline'").replace(
        "</body>",
        "<script>addEventListener('load', () => { document.title = [getComputedStyle(document.body).maxWidth,"
        "document.documentElement.scrollWidth <= innerWidth,document.images[0].naturalWidth > 600,"
        "...[...document.images].map(one => one.naturalWidth > 100)].join() })</script></body>",
    )
    file = tmp_path / "measured.html"
    file.write_text(measured)
    for width in (500, 1280):
        (told,) = re.findall(
            r"<title>(.*?)</title>", in_chromium(file.as_uri(), tmp_path, f"--window-size={width},900")
        )
        assert told.split(",") == ["1000px", "true", str(width > 640).lower(), *["true"] * 8]


# ---------------------------------------------------------------- little and nothing


def test_days_without_data_make_a_page_that_says_so(home: Lake) -> None:
    html = page(Period(home, BEGIN.date() + timedelta(days=40)))
    said = "No frame was heard in this period. The lake holds 2026-03-01 to 2026-03-02 (UTC), 2 days with frames."
    assert said in Tags(html).text
    assert "<section" not in html
    assert "<nav" not in html


def test_a_lake_without_tables_makes_a_page_that_says_so(tmp_path: Path) -> None:
    html = page(Period(Lake(str(tmp_path / "nothing"))))
    assert "The lake holds no frames yet." in Tags(html).text
    assert "<section" not in html
    assert not (tmp_path / "nothing").exists()


def test_one_device_without_a_name_is_its_address(tmp_path: Path) -> None:
    mac = "24:0a:c4:00:00:09"
    rows = [probe(BEGIN + timedelta(minutes=n), mac, -50, b"home") for n in range(3)]
    html = page(Period(lake_of(tmp_path, rows, {mac: None})))
    assert re.search(rf'<td class="words"><bdi>{mac}</bdi></td><td class="number"><bdi>3</bdi>', html)
    assert len(pictures(html)) == 2 * 8
    assert sum(f">{mac}</text>" in picture for picture in pictures(html)) >= 2 * 3
    assert "None" not in Tags(html).text


def test_the_order_in_which_frames_came_changes_nothing(tmp_path: Path, heard: list[dict[str, Any]]) -> None:
    mixed = random.Random(2).sample(heard, len(heard))  # noqa: S311
    lakes = lake_of(tmp_path / "mixed", mixed, KNOWN), lake_of(tmp_path / "back", reversed(heard), KNOWN)
    mixed_page, back = (page(Period(lake)) for lake in lakes)
    assert mixed_page.partition("Made by")[0] == back.partition("Made by")[0]


def test_a_million_sources_make_a_page_of_the_busiest(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    million = 999_990
    bench.fill(lake, million, 0, million, known_of=2)
    for name in FOLLOWERS:
        catch_up(lake, name)
    html = page(Period(lake))
    assert len(html) < 2_000_000
    numbers = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", html))
    assert numbers["known devices heard"] == numbers["random addresses"] == "499,995"
    drawn = re.sub(r"</text>\s*<text[^>]*>", " ", "".join(pictures(html)))
    assert "The busiest 20 of 499,995 known devices." in drawn
    assert "The busiest 10 of 999,990 source addresses." in drawn
    assert "The first 40 of 499,995 rows." in html
    assert "The first 40 of 2,000 rows." in html
    assert "Counted in a sample of" in html


def test_a_table_that_was_never_made_is_not_shown(home: Lake) -> None:
    html = page(Period(home))
    assert 'id="sessions"' not in html
    assert 'id="devices"' not in html
    assert 'id="networks"' in html


def test_a_table_that_is_not_asked_is_not_opened(tmp_path: Path, heard: list[dict[str, Any]]) -> None:
    lake = lake_of(tmp_path, heard[:20], KNOWN)
    # A table whose name begins another's that the page asks; Delta would refuse to read it.
    log = Path(lake.uri("networks_looked_for")) / "_delta_log"
    log.mkdir(parents=True)
    (log / "00000000000000000000.json").write_text("no log")
    assert 'id="networks"' in page(Period(lake))


def test_a_section_without_anything_is_a_sentence_not_an_empty_frame(tmp_path: Path) -> None:
    html = page(Period(lake_of(tmp_path, [{"event_time": BEGIN, "frame_type": 1, "frame_subtype": 29}], {})))
    assert "There are no probe requests in this period." in Tags(html).text
    assert "No probe request of this period names a network." in Tags(html).text
    assert len(pictures(html)) == 2 * 2
    assert "<tbody></tbody>" not in re.sub(r"\s", "", html)


def test_a_page_that_cannot_be_written_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "report.html"
    write("old", target)
    assert target.read_text() == "old"

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write("new", target)
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.html"]


def test_a_page_has_the_rights_of_any_new_file(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("")
    write("x", tmp_path / "report.html")
    assert (tmp_path / "report.html").stat().st_mode == plain.stat().st_mode
