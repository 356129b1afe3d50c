#!/bin/sh
# Starts the lab's core on its addresses: CORE_ADDRESS towards AS and the other operator, ACCESS_ADDRESS (default: the
# same) towards the UEs. More arguments go to Kamailio.
set -eu
: "${CORE_PORT:=5060}" "${ACCESS_ADDRESS:=$CORE_ADDRESS}" "${PEER_DOMAIN:=}" "${PEER_URI:=}"
export CORE_PORT ACCESS_ADDRESS PEER_DOMAIN PEER_URI
listen() { echo "-l udp:$1:$CORE_PORT -l tcp:$1:$CORE_PORT"; }
sockets=$(listen "$CORE_ADDRESS")
[ "$ACCESS_ADDRESS" = "$CORE_ADDRESS" ] || sockets="$sockets $(listen "$ACCESS_ADDRESS")"
# shellcheck disable=SC2086 # several words on purpose
exec kamailio -f "$(dirname "$0")/kamailio.cfg" -x fm -X fm -DD -E -m 64 -M 8 $sockets "$@"
