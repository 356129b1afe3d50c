#!/usr/bin/env bash
# Stand-ins for the public base images, for machines that reach Debian's packages but no image registry: debootstrap
# makes debian:bookworm-slim, the Node.js of this clone on top of it makes node:24-bookworm-slim. Needs root.
# Images that are there already, or that can be pulled, are left alone.
set -euo pipefail
cd "$(dirname "$0")/.."

have() { docker image inspect "$1" >/dev/null 2>&1; }
pull() { timeout 30 docker pull --quiet "$1" >/dev/null 2>&1; }

debian=debian:bookworm-slim
node=node:24-bookworm-slim

if ! have "$debian" && ! pull "$debian"; then
  echo "local-bases: no registry answers for $debian; making a stand-in with debootstrap (about 30 s)"
  command -v debootstrap >/dev/null || { apt-get update -qq && apt-get install -y -qq debootstrap >/dev/null; }
  root=$(mktemp -d)
  trap 'rm -rf --one-file-system "$root"' EXIT
  debootstrap --variant=minbase --include=ca-certificates bookworm "$root" >"$root.log" 2>&1 || { tail -20 "$root.log"; exit 1; }
  rm -f "$root.log" "$root"/var/cache/apt/archives/*.deb
  # This machine's way to Debian's packages: mirrors, proxies, certificates.
  cp /etc/apt/sources.list "$root/etc/apt/" 2>/dev/null || true
  cp -r /etc/apt/sources.list.d "$root/etc/apt/" 2>/dev/null || true
  cp -r /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/" 2>/dev/null || true
  cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
  tar -C "$root" --exclude=./proc --exclude=./sys --exclude=./dev -c . | docker import - "$debian" >/dev/null
fi

if ! have "$node" && ! pull "$node"; then
  echo "local-bases: no registry answers for $node; putting this clone's Node.js on $debian"
  [ -x node_modules/.bin/node ] || npm run --silent setup
  context=$(mktemp -d)
  trap 'rm -rf --one-file-system "${root:-}" "$context"' EXIT
  cp -L node_modules/.bin/node "$context/node"
  cp -rL "$(dirname "$(dirname "$(readlink -f "$(command -v npm)")")")" "$context/npm"
  cat >"$context/Dockerfile" <<'DOCKERFILE'
FROM debian:bookworm-slim
COPY node /usr/local/bin/node
COPY npm /usr/local/lib/node_modules/npm
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm && node --version && npm --version
DOCKERFILE
  docker build --quiet --network host --tag "$node" "$context" >/dev/null
fi
echo "local-bases: $debian and $node are there"
