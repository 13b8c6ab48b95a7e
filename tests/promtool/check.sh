#!/usr/bin/env bash
# Checks the monitoring files with promtool; exits with 3 where there is none.
set -euo pipefail
cd "$(dirname "$0")/../.."
promtool=$(tests/promtool/install.sh)
"$promtool" check config monitoring/prometheus.yml
"$promtool" check rules monitoring/alerts.yml
"$promtool" test rules tests/promtool/alerts_test.yml
