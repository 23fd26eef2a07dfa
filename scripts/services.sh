#!/usr/bin/env bash
# Installs what the tests run real servers of, when it is missing and can be: PostgreSQL, from Debian's packages, and
# moto, which speaks S3, from PyPI into target/moto.
# Must never start anything: the tests do, on ports and in folders of their own.
set -euo pipefail

if [ ! -x target/moto/bin/moto_server ]; then
  if ! { python3 -m venv target/moto && target/moto/bin/pip install -q --disable-pip-version-check 'moto[server,s3]==5.2.5'; } >&2; then
    rm -rf target/moto
    echo "moto can't be installed (python3, venv, PyPI): the tests of object stores will be skipped" >&2
  fi
fi

ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >/dev/null
else
  echo "PostgreSQL is not installed: its tests will say so and be skipped" >&2
fi
