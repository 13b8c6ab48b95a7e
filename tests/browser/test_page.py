#!/usr/bin/env python3
"""The operator's page in a real browser, on the real program.

    tests/browser/install.sh
    target/browser/venv/bin/python tests/browser/test_page.py [--ringmaster PROGRAM] [--screenshots FOLDER] [NAME …]

Each case starts a balancer of its own on a port of the system's choice. With names, only cases whose names contain
one of them are run. Ends with status 1 when a case fails.
"""

import argparse
import os
import sys
import time
import traceback
from pathlib import Path

from playwright.sync_api import sync_playwright

# No folder of compiled modules in the source tree.
sys.dont_write_bytecode = True

import cases_link
import cases_looks
import cases_use
from visitor import CHROMIUM, Setting

ROOT = Path(__file__).resolve().parent.parent.parent


def cases():
    found = {}
    for module in (cases_use, cases_link, cases_looks):
        found.update({name[len("case_"):]: run for name, run in vars(module).items() if name.startswith("case_")})
    return found


def parse_options():
    parser = argparse.ArgumentParser(description="Tests the operator's page in a browser.")
    parser.add_argument("--ringmaster", default=str(ROOT / "target/debug/ringmaster"), help="the program")
    parser.add_argument("--screenshots", type=Path, default=ROOT / "target/browser", help="folder for pictures")
    parser.add_argument("only", nargs="*", metavar="NAME", help="part of a case's name")
    options = parser.parse_args()
    options.screenshots.mkdir(parents=True, exist_ok=True)
    return options


def main():
    options = parse_options()
    Setting.ringmaster, Setting.screenshots = options.ringmaster, options.screenshots
    chosen = {name: run for name, run in cases().items() if not options.only or any(part in name for part in options.only)}
    # The browser's own sandbox refuses to work for root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    failed = []
    if CHROMIUM is None:
        sys.exit("there is no Chromium: tests/browser/install.sh installs it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        for name, run in chosen.items():
            begin = time.monotonic()
            try:
                run(browser)
                result = "ok"
            except Exception:
                failed.append(name)
                result = f"FAILED\n{traceback.format_exc()}"
            print(f"{name.replace('_', ' ')}: {result} ({time.monotonic() - begin:.1f} s)", flush=True)
        browser.close()
    print(f"{len(chosen) - len(failed)} of {len(chosen)} cases passed; pictures in {options.screenshots}")
    sys.exit(1 if failed or not chosen else 0)


if __name__ == "__main__":
    main()
