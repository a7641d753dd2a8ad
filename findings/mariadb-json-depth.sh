#!/usr/bin/env bash
# MariaDB 10.11.19 (Debian 12: mariadb-server-core 1:10.11.19-0+deb12u1): a JSON column takes no valid JSON that is nested 32 deep or more.
#
# Behaviour: JSON is LONGTEXT with `check (json_valid(column))`, and json_valid says 0 from 32 levels of arrays or objects
# on, however short the document: '[[…[]…]]' of 64 bytes is refused as "CONSTRAINT `t.j` failed", error 4025, which says
# nothing of depth. LONGTEXT without the check takes it. (MySQL's limit is 100, and its error says so.) A JSON schema in the
# tools of a chat request gets there.
#
# Seen: 31 levels are stored, 32 are refused with ERROR: 4025.
# The server runs in bootstrap mode, reading statements from its input, and ends.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download mariadb-server-core=1:10.11.19-0+deb12u1 libaio1 liburing2 >/dev/null
for package in *.deb; do dpkg-deb -x "$package" root; done
chmod 755 "$folder"
export LD_LIBRARY_PATH="$folder/root/usr/lib/$(uname -m)-linux-gnu"
root/usr/sbin/mariadbd --no-defaults --version | grep -o 'Ver 10\.11[^ ]*'

# Whether a JSON column takes arrays that are nested so deep; what the server says goes to the file `said`.
takes() {
  local depth=$1 json
  json=$(printf '[%.0s' $(seq "$depth"))$(printf ']%.0s' $(seq "$depth"))
  rm -rf data && mkdir data
  printf '%s\n' 'create database d;' 'use d;' 'create table t (j json);' "insert into t values ('$json');" |
    root/usr/sbin/mariadbd --no-defaults --bootstrap --user="$(id -un)" --datadir="$folder/data" \
      --basedir="$folder/root/usr" --lc-messages-dir="$folder/root/usr/share/mysql" \
      --innodb-use-native-aio=0 --innodb-log-file-size=4M --innodb-buffer-pool-size=8M >said 2>&1
}

takes 31 || { cat said; echo 'changed: 31 levels are refused'; exit 1; }
echo '31 levels: stored'
if takes 32; then echo 'changed: 32 levels are stored'; exit 1; fi
grep -o 'ERROR: 4025.*' said
