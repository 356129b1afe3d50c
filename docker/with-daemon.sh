#!/usr/bin/env bash
# docker/with-daemon.sh COMMAND...: runs a command with a Docker daemon. One that answers is used as it is; else one is
# started for the command and stopped after it. Exit status 75: no daemon can run here (no rights, or a kernel that
# refuses containers); else the command's.
set -euo pipefail

answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

if ! answers; then
  log=$(mktemp)
  dockerd >"$log" 2>&1 &
  daemon=$!
  stop() { kill "$daemon" 2>/dev/null && wait "$daemon" || true; rm -f "$log"; }
  trap stop EXIT
  until answers; do
    kill -0 "$daemon" 2>/dev/null || { tail -5 "$log" >&2; echo "with-daemon: dockerd does not run here" >&2; exit 75; }
    sleep 0.2
  done
fi
"$@"
