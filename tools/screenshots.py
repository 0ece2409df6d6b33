"""The two pictures of the README, of what ``make demo`` and then ``make dev`` show: ``tools/screenshots.py [URL]``.

Needs chromium. Not here: whether the pages work, which is under test (``wifi_assets_tests/demo/test_dev.py``).
"""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

DOCS = Path(__file__).parents[1] / "docs"
_PATIENCE_MS = 180_000


def graph(page: Page, url: str) -> None:
    """The asset graph with all groups open, left to right."""
    page.goto(f"{url}/asset-groups")
    page.get_by_text("Hide navigation").click()
    page.get_by_text("sink_postgres", exact=True).filter(visible=True).nth(1).wait_for()
    # The list of groups beside the graph says nothing that the graph does not.
    page.locator("button:has([aria-label='panel_show_right'])").click()
    page.mouse.click(600, 700, button="right")
    page.get_by_role("menuitem", name="Expand all groups").click()
    page.wait_for_timeout(2_000)
    for _ in range(3):
        page.locator("button:has([aria-label='zoom_out'])").click()
    # Opening the groups has left the upper ones outside.
    page.mouse.move(1000, 300)
    page.mouse.down()
    page.mouse.move(1000, 340, steps=5)
    page.mouse.up()
    # The nodes fill with what the server knows of each.
    page.wait_for_timeout(20_000)
    page.screenshot(path=DOCS / "asset-graph.png")


def materialisation(page: Page, url: str) -> None:
    """A day's materialisation with one of its charts."""
    day = datetime.now(UTC).date() - timedelta(days=2)
    page.goto(f"{url}/assets/probes_enriched?view=partitions&partition={day}")
    page.get_by_text("Hide navigation").click()
    page.get_by_text("Show Markdown").first.click()
    page.get_by_role("dialog").get_by_role("img", name="probes over time").wait_for()
    page.wait_for_timeout(1000)
    page.screenshot(path=DOCS / "materialisation.png")


def main() -> None:
    """Take both."""
    url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:3000"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-quic"]
        )
        for take, width, height in ((graph, 1400, 1000), (materialisation, 1400, 800)):
            page = browser.new_page(viewport={"width": width, "height": height}, device_scale_factor=1.5)
            page.set_default_timeout(_PATIENCE_MS)
            take(page, url)
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
