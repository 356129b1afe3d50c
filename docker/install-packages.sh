#!/bin/sh
# Installs Debian packages while an image is built. A CA bundle beside this script (docker/.build/ca of the build
# context) is for builds behind a proxy that intercepts TLS.
set -eu
if [ -s /build/ca-certificates.crt ]; then
  mkdir -p /etc/ssl/certs
  cp /build/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
rm -rf /var/lib/apt/lists/*
