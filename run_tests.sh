#!/usr/bin/env bash
# Everything that has to hold, in one command: format, lints, tests, documentation, scripts, and the whole program on
# real containers. Where there is no Docker engine or no Compose, the containers are skipped, and a line that begins
# with SKIPPED says why; with REQUIRE_DOCKER=1 that is a failure instead.
set -euo pipefail
cd "$(dirname "$0")"

# Runs one command, says which and how long it took, and ends the script when it fails.
step() {
  local begin=$SECONDS
  printf '\n==> %s\n' "$*"
  "$@" || { printf '\nFAILED after %d s: %s\n' $((SECONDS - begin)) "$*" >&2; exit 1; }
  printf '<== %d s\n' $((SECONDS - begin))
}

# Prints why the container tests cannot run here; prints nothing where they can.
docker_problem() {
  if ! command -v docker >/dev/null; then
    echo "there is no docker command"
  elif ! docker version --format '{{.Server.Version}}' >/dev/null 2>&1; then
    echo "no Docker engine answers"
  elif ! docker compose version >/dev/null 2>&1; then
    echo "the docker command has no Compose (v2) plugin"
  fi
}

# What cannot be tested here; told again in the end.
skipped=()
skip() {
  printf '\nSKIPPED: %s.\n' "$1"
  skipped+=("$1")
}

# Runs a script that installs something and prints where that is, kept in $obtained. With status 3, and a line that says
# why, it is not possible here; any other failure is one.
obtain() {
  local status=0
  obtained=$("$@") || status=$?
  case $status in
    0) return 0 ;;
    3) return 1 ;;
    *) printf '\nFAILED with status %d: %s\n' "$status" "$*" >&2; exit 1 ;;
  esac
}

# Before the tests: those of the metrics use it too.
if obtain tests/promtool/install.sh; then
  export PROMTOOL=$obtained
  step tests/promtool/check.sh
else
  skip 'the checks of metrics and monitoring files with promtool'
fi

# The page is tested in a browser where there is one, or one can be installed.
has_browser=0
if obtain tests/browser/install.sh; then
  has_browser=1
else
  skip 'the tests of the page in a browser'
fi

step cargo fmt --all --check
step cargo clippy --workspace --all-targets --locked -- -D warnings
# The order of threads, checked: fleet and supervisor as they are, built with the locks and threads of a checker. First,
# since the program that is built with these locks is not the one that the others are to run; and for the workspace, so
# that what it is made of is compiled once.
step cargo clippy --workspace --locked --features ringmaster/model --lib --test model -- -D warnings
step cargo test --workspace --locked --features ringmaster/model --test model -- --show-output
# With --show-output, so that the times and counts that tests print are seen. Tests wait more than they compute: so four at a
# time, also where there are fewer cores.
step cargo test --workspace --locked -- --show-output --test-threads=4
# The programs, as the tests have just compiled what they are made of.
step cargo build --workspace --locked
# The page waits for the balancer most of the time; other things are done meanwhile.
if [ "$has_browser" = 1 ]; then
  target/browser/venv/bin/python tests/browser/test_page.py --ringmaster target/debug/ringmaster \
    --screenshots target/browser >target/browser/log 2>&1 &
  browser=$!
fi
step env RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --locked
# Faults in a random order that a seed repeats, under checked load; `bench/README.md` says more.
step target/debug/bench chaos --seconds 20
# The experiments, short: they fail when an answer is wrong or a ring breaks a promise.
step target/debug/experiments all --requests 1000 --connections 20 \
  --ringmaster target/debug/ringmaster --out target/experiments
if [ "$has_browser" = 1 ]; then
  printf '\n==> tests of the page in a browser\n'
  wait "$browser" || { cat target/browser/log; printf '\nFAILED: tests/browser/test_page.py\n' >&2; exit 1; }
  cat target/browser/log
fi
for script in run_tests.sh .ci/run tests/promtool/*.sh tests/browser/*.sh; do
  step bash -n "$script"
done

problem=$(docker_problem)
if [ -z "$problem" ]; then
  # Files that no container test starts: their images may not be on the engine.
  step docker compose --profile monitoring config --quiet
  step docker compose -f docker-compose.yml -f docker-compose.proxy.yml config --quiet
  step docker compose build
  # One at a time: the contract fixes the names of the replicas' containers, and the engine has each name once.
  step env RINGMASTER_DOCKER_TESTS=1 cargo test --locked --test docker -- --nocapture --test-threads=1
  step target/debug/bench chaos --launcher docker --seconds 30
  printf '\nAll passed, with containers, in %d s.\n' "$SECONDS"
elif [ "${REQUIRE_DOCKER:-0}" = 1 ]; then
  printf '\nFAILED: the container tests are required (REQUIRE_DOCKER=1), but %s.\n' "$problem" >&2
  exit 1
else
  skip "the images and the container tests (tests/docker), because $problem"
  printf 'All else passed in %d s.\n' "$SECONDS"
fi
for what in "${skipped[@]}"; do
  printf 'SKIPPED: %s.\n' "$what"
done
