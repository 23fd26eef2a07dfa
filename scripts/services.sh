#!/usr/bin/env bash
# Installs what the tests run real servers of, when it is missing and can be: PostgreSQL, from Debian's packages.
# Must never start anything: the tests do, on ports and in folders of their own.
set -euo pipefail

ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >/dev/null
else
  echo "PostgreSQL is not installed: its tests will say so and be skipped" >&2
fi
