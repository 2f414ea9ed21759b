"""The pages in a real browser, with nothing fetched from elsewhere."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, async_playwright

from tests.admin.conftest import Api, api

__all__ = ("api",)
_CHROMIUM = next(
    (
        found
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (found := shutil.which(name))
    ),
    None,
)
if _CHROMIUM is None and os.environ.get("CI"):
    raise RuntimeError("the page tests need Chromium, and CI must not pass without them")
pytestmark = pytest.mark.skipif(_CHROMIUM is None, reason="there is no Chromium on this machine")
_QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
          "--disable-component-update", "--disable-sync"]  # fmt: skip


async def test_the_api_can_be_tried_in_the_browser(api: Api, tmp_path: Path) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=_CHROMIUM, args=_QUIET)
        page: Page = await browser.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        await page.goto(f"{api.url}/")
        await page.click("text=Admin API")
        await page.wait_for_selector(".opblock")
        assert await page.locator(".opblock").count() > 40
        await page.click("button.authorize")
        await page.fill(".auth-container input", api.key)
        await page.click(".auth-btn-wrapper button.authorize")
        await page.click(".btn-done")
        me = page.locator(".opblock", has=page.locator("[data-path='/api/v1/me']"))
        await me.locator(".opblock-summary").click()
        await me.locator("button.try-out__btn").click()
        await me.locator("button.execute").click()
        await me.locator(".live-responses-table >> text=tests").first.wait_for()
        await page.screenshot(path=str(tmp_path / "docs.png"))
        await browser.close()
    elsewhere = [
        url
        for url in asked
        if urlsplit(url).scheme.startswith("http") and urlsplit(url).hostname != "127.0.0.1"
    ]
    assert elsewhere == []
