#!/bin/bash
# Health check of a service's container: is /ready answered with 200 on the port of ADMIN_LISTEN?
# In bash alone, so that the image needs no HTTP client.
set -eu
exec 3<>"/dev/tcp/127.0.0.1/${ADMIN_LISTEN##*:}"
printf 'GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
answer=$(timeout 3 cat <&3)
# What is not ready is in the body: `docker inspect` shows it.
printf '%s\n' "${answer##*$'\n'}"
[[ $answer == 'HTTP/1.1 200 '* ]]
