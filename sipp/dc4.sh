#!/bin/bash
# What a script runs to be the DC AS, or the operator, for a moment: channels from an application to a user (DC4).
#
#     sipp/dc4.sh http://HOST:PORT SECRET APPLICATION USER [NAME...] [--bootstrap]
#
# Exit code 1 and one line on standard error when the DCSF refuses. Bash speaks to the socket itself: SIPp starts one of
# these per call, and starting Node as often takes more of a machine than the calls do.
set -euo pipefail
IFS=: read -r host port <<<"${1#http://}"
secret=$2 application=$3 user=$4
shift 4
channels='' bootstrap=false
for word; do
  if [ "$word" = --bootstrap ]; then bootstrap=true; else channels+="${channels:+,}{\"name\":\"$word\"}"; fi
done
body="{\"servedUser\":\"$user\",\"channels\":[$channels],\"bootstrap\":$bootstrap}"

exec 3<>"/dev/tcp/$host/$port"
printf '%s\r\n' "POST /ndcsf-dc4/v1/applications/$application/lines HTTP/1.1" "Host: $host:$port" \
  "Authorization: Bearer $secret" 'Content-Type: application/json' "Content-Length: ${#body}" 'Connection: close' '' >&3
printf %s "$body" >&3
answer=$(cat <&3)
read -r _ status _ <<<"$answer"
if [ "$status" != 201 ]; then
  echo "dc4: ${answer%%$'\r'*}: ${answer##*$'\n'}" >&2
  exit 1
fi
