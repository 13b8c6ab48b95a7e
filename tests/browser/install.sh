#!/usr/bin/env bash
# Installs what the tests of the page need: a Python environment with Playwright in it, and the system's Chromium.
#   tests/browser/install.sh [FOLDER]     the environment goes to FOLDER (target/browser/venv if none is named)
# The browser is CHROMIUM (a path), if that is set. Ends with status 3, and one line that says why, where something
# cannot be installed or the browser does not start.
set -euo pipefail
cd "$(dirname "$0")/../.."

venv=${1:-target/browser/venv}
# Pinned: a test that fails tomorrow is to have failed for what changed here.
playwright=1.65.2
log=$(mktemp)
trap 'rm -f "$log"' EXIT

cannot() {
  echo "no browser tests: $1" >&2
  exit 3
}

quietly() {
  "$@" >"$log" 2>&1
}

last_line() {
  tail -n 1 "$log"
}

# The line that names the error, where the last lines are details of it.
why_not() {
  grep -m 1 'Error' "$log" || last_line
}

# Installs packages of the system for the first argument's sake.
system_install() {
  local wanted=$1
  shift
  [ "$(id -u)" = 0 ] || cannot "there is no $wanted, and only root can install it"
  command -v apt-get >/dev/null || cannot "there is no $wanted, and no apt-get to install it"
  export DEBIAN_FRONTEND=noninteractive
  # The lists may be absent (fresh images) or old: they are fetched when it does not work without.
  quietly apt-get install -y --no-install-recommends "$@" \
    || { quietly apt-get update && quietly apt-get install -y --no-install-recommends "$@"; } \
    || cannot "apt-get cannot install $wanted: $(last_line)"
}

find_browser() {
  command -v chromium chromium-browser google-chrome | head -n 1 || true
}

browser=${CHROMIUM:-$(find_browser)}
if [ -z "$browser" ]; then
  system_install chromium chromium fonts-dejavu-core
  browser=$(find_browser)
fi
[ -x "$browser" ] || cannot "'$browser' is no browser that can be started"
python3 -c 'import ensurepip' 2>/dev/null || system_install "python3 with venv" python3 python3-venv

# Made by another Python that has gone, an environment looks whole and does nothing. What is no environment is not emptied.
if ! quietly "$venv/bin/python" -m pip --version; then
  anew=()
  if [ -f "$venv/pyvenv.cfg" ]; then
    anew=(--clear)
  fi
  quietly python3 -m venv "${anew[@]}" "$venv" || cannot "python3 cannot make a virtual environment: $(last_line)"
fi
if [ "$("$venv/bin/python" -c 'import importlib.metadata as m; print(m.version("playwright"))' 2>/dev/null)" != "$playwright" ]; then
  quietly "$venv/bin/python" -m pip install --disable-pip-version-check "playwright==$playwright" \
    || cannot "pip cannot install playwright $playwright: $(last_line)"
fi

# Installed is not the same as running: libraries, or the right to start a process, may be missing.
quietly timeout 60 "$venv/bin/python" - "$browser" <<'PYTHON' || cannot "$browser does not start: $(why_not)"
import os
import sys

from playwright.sync_api import sync_playwright

with sync_playwright() as playwright:
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    browser = playwright.chromium.launch(executable_path=sys.argv[1], args=arguments, timeout=30_000)
    browser.new_page().goto("about:blank")
    browser.close()
PYTHON
