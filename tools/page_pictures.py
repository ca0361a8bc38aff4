"""Makes docs/page.png: the page of the demo's training, as Chromium shows it.

    python tools/page_pictures.py

It needs Playwright and Chromium, as the tests of pages do.
"""

from __future__ import annotations

import io
import shutil
import tempfile
from pathlib import Path

import torch
from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from rich.console import Console

from relustat.demo import load_images
from relustat.demo import run as demo

ROOT = Path(__file__).resolve().parent.parent
DESKTOP, PHONE = (1120, 1180), (375, 1180)


def write_page(path: Path) -> None:
    """Writes the page of the demo's training."""
    images = load_images(None, 10_000)
    torch.manual_seed(0)
    model = demo.make_model(images)
    report = demo.train(model, images, epochs=8, learning_rate=0.1, console=Console(quiet=True))
    report.to_html(path, title="ReLUs of the demo while it trains")


def picture(browser: Browser, path: Path, size: tuple[int, int], scheme: str) -> Image.Image:
    """What is seen of the page once the last call site is opened."""
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height},
        device_scale_factor=1.5,
        color_scheme=scheme,
        offline=True,
    )
    page = context.new_page()
    page.goto(path.as_uri())
    page.locator(".opener").last.click()
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    shot = Image.open(io.BytesIO(page.screenshot()))
    context.close()
    return shot.convert("RGB")


def main() -> None:
    binary = shutil.which("chromium") or shutil.which("chromium-browser")
    if binary is None:
        raise SystemExit("page_pictures: needs Chromium, which is not installed")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        path = Path(folder) / "relus.html"
        write_page(path)
        browser = driver.chromium.launch(executable_path=binary, args=["--no-sandbox"])
        shots = [
            picture(browser, path, DESKTOP, "light"),
            picture(browser, path, PHONE, "dark"),
        ]
        browser.close()
    gap = 30
    width = sum(shot.width for shot in shots) + gap
    sheet = Image.new("RGB", (width, max(shot.height for shot in shots)), "white")
    sheet.paste(shots[0], (0, 0))
    sheet.paste(shots[1], (shots[0].width + gap, 0))
    sheet.quantize(256, dither=Image.Dither.NONE).save(ROOT / "docs" / "page.png", optimize=True)


if __name__ == "__main__":
    main()
