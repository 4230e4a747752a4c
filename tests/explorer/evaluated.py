"""What the page's scripts make of numbers: in node where there is one, else in Chromium."""

import json
import shutil
import subprocess

import pytest

from skvae.explorer.pack import packed
from skvae.explorer.page import template
from tests.explorer.browser import CHROMIUM, Browser

NODE = shutil.which("node")
_SCRIPTS = ("unpack.js", "decoder.js")


def evaluated(tree, expression, folder):
    """An expression about `tree`, which is packed and unpacked on its way."""
    scripts = "\n".join(template(name) for name in _SCRIPTS)
    body = f"unpacked({json.dumps(packed(tree))}).then((tree) => JSON.stringify({expression}))"
    if NODE is not None:
        file = folder / "evaluated.js"
        file.write_text(f"{scripts}\n{body}.then(console.log);")
        done = subprocess.run([NODE, file], capture_output=True, text=True, check=True)
        return json.loads(done.stdout)
    if CHROMIUM is None:
        pytest.skip("neither node nor Chromium is installed")
    browser = Browser(folder)
    try:
        browser.run(f"{scripts}\nundefined")
        return json.loads(browser.run(body))
    finally:
        browser.close()
