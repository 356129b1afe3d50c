#!/usr/bin/env bash
# The lab core in containers: two operators, two UEs, SIPp (compose.yaml; README.md has the picture).
#   docker/run-lab.sh up      builds the images, starts everything, returns when all of it is healthy
#   docker/run-lab.sh test    up, then every step of test/compose with a table at the end, then down
#   docker/run-lab.sh down    removes containers, networks and the volume; images stay for the next time
# KEEP=1 leaves the lab up after a test. NODE_BASE and DEBIAN_BASE name other base images.
# LAB=netns docker/run-lab.sh test: the same topology in network namespaces, for kernels that refuse containers.
set -euo pipefail
cd "$(dirname "$0")/.."

: "${NODE_BASE:=node:24-bookworm-slim}" "${DEBIAN_BASE:=debian:bookworm-slim}"
node=node_modules/.bin/node

compose() {
  local files=(-p imsdc-lab -f docker/compose.yaml)
  if docker compose version >/dev/null 2>&1; then docker compose "${files[@]}" "$@"; else docker-compose "${files[@]}" "$@"; fi
}

say() { echo "run-lab: $*" >&2; }

needs() {
  docker version --format '{{.Server.Version}}' >/dev/null 2>&1 || { say "no Docker daemon answers"; exit 69; }
  if ! docker compose version >/dev/null 2>&1 && ! command -v docker-compose >/dev/null; then
    say "neither docker compose nor docker-compose is installed"
    exit 69
  fi
  [ -x "$node" ] || npm run --silent setup
}

build() {
  # Proxies that intercept TLS are known to the host's bundle only; where there is none it does no harm.
  mkdir -p docker/.build/ca
  cmp -s /etc/ssl/certs/ca-certificates.crt docker/.build/ca/ca-certificates.crt ||
    cp /etc/ssl/certs/ca-certificates.crt docker/.build/ca/
  if [ "$NODE_BASE" = node:24-bookworm-slim ] && [ "$DEBIAN_BASE" = debian:bookworm-slim ]; then docker/local-bases.sh >&2; fi
  local log=docker/.build/build.log target
  for target in core imsdc; do
    local tag=imsdc-lab
    [ "$target" = imsdc ] || tag=imsdc-lab-$target
    say "building $tag"
    docker build --network host --file docker/Dockerfile --target "$target" --tag "$tag" \
      --build-arg "NODE_BASE=$NODE_BASE" --build-arg "DEBIAN_BASE=$DEBIAN_BASE" . >"$log" 2>&1 ||
      { tail -40 "$log" >&2; say "$tag could not be built; all of it: $log"; exit 70; }
  done
}

up() {
  needs
  build
  say "starting; each container waits for those it needs"
  compose up -d >docker/.build/up.log 2>&1 ||
    { tail -40 docker/.build/up.log >&2; compose ps >&2; logs; say "the lab does not come up"; exit 70; }
}

down() { compose down --volumes --remove-orphans --timeout 5 >/dev/null 2>&1; }

# What each container wrote, for whoever looks at a failure.
logs() {
  compose logs --no-color --timestamps >docker/.build/lab.log 2>&1 || true
  say "what every container wrote: docker/.build/lab.log"
}

# Programs of this host instead of images; the runner makes the namespaces and removes them.
test_in_namespaces() {
  local program
  for program in ip kamailio sipp; do
    command -v "$program" >/dev/null || { say "$program is not installed"; exit 69; }
  done
  [ -x "$node" ] || npm run --silent setup
  say "no containers: the topology of compose.yaml in network namespaces, with the programs of this host"
  "$node" test/compose/run.ts --netns
}

case "${1:-}" in
  up) up ;;
  down) down ;;
  test)
    if [ "${LAB:-}" = netns ]; then test_in_namespaces; exit; fi
    if [ "${KEEP:-}" != 1 ]; then trap down EXIT; fi
    up
    "$node" test/compose/run.ts || { logs; exit 1; }
    ;;
  *)
    sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
    exit 64
    ;;
esac
