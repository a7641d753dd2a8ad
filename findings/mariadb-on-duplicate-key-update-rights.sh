#!/bin/sh
# MariaDB 10.11.19 (Debian 12: mariadb-server-core, mariadb-client-core 1:10.11.19-0+deb12u1).
#
# Surprise: INSERT … ON DUPLICATE KEY UPDATE asks for the UPDATE privilege on every column that is INSERTED, not only on
# those that the UPDATE part assigns. A user with INSERT on the table and SELECT, UPDATE on the one column it assigns is refused
# for a column that it never updates, whether there is a duplicate or not. (MySQL's manual asks for UPDATE on the columns to be
# updated, and for SELECT on those that are only read.) So least rights by column do not carry over: UPDATE on the whole
# table, or on all inserted columns, has to be granted.
#
# Output seen:
#   insert, select (id), update (id):        ERROR 1143 (42000) … UPDATE command denied … for column 'note' in table 't'
#   insert, select (id), update (id, note):  1 row
#
# Runs as root or as a normal user of a Debian 12 whose package lists are there (apt-get update). Exit 0: still so.
set -eu
version='1:10.11.19-0+deb12u1'
work=$(mktemp -d /tmp/finding-XXXXXX)
pid=
finish() { [ -z "$pid" ] || { kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null || true; }; rm -rf "$work"; }
trap finish EXIT
chmod 755 "$work"
cd "$work"
apt-get download -q "mariadb-server-core=$version" "mariadb-client-core=$version" libaio1 liburing2 >/dev/null 2>&1
for deb in ./*.deb; do dpkg-deb -x "$deb" root; done
mkdir data
root=$work/root
export LD_LIBRARY_PATH="$root/usr/lib/x86_64-linux-gnu:$root/usr/lib/aarch64-linux-gnu:$root/lib/x86_64-linux-gnu"
as=; [ "$(id -u)" != 0 ] || { chown -R nobody "$work/data"; as='setpriv --reuid=nobody --regid=nogroup --clear-groups'; }
set -- --no-defaults --basedir="$root/usr" --datadir="$work/data" --lc-messages-dir="$root/usr/share/mysql" \
  --character-sets-dir="$root/usr/share/mysql/charsets" --tmpdir="$work/data" --skip-networking --innodb-use-native-aio=0
{ echo 'create database mysql; use mysql; set @auth_root_socket=null;'
  cat "$root/usr/share/mysql/mysql_system_tables.sql" "$root/usr/share/mysql/mysql_system_tables_data.sql"; } |
  sed '1s/; /;\n/g' | $as "$root/usr/sbin/mariadbd" "$@" --bootstrap >/dev/null 2>&1
$as "$root/usr/sbin/mariadbd" "$@" --socket="$work/data/s.sock" --pid-file="$work/data/pid" >log 2>&1 &
pid=$!
sql() { "$root/usr/bin/mariadb" --no-defaults --socket="$work/data/s.sock" --user="$1" --silent --skip-column-names -e "$2"; }
tries=0
until sql root 'select 1' >/dev/null 2>&1; do
  tries=$((tries + 1)); [ $tries -lt 100 ] || { cat log; exit 2; }
  sleep 0.2
done
sql root "create database d; create table d.t (id int primary key, note text); create user w@localhost;
  grant insert, select (id), update (id) on d.t to w@localhost"
insert="insert into d.t (id, note) values (1, 'x') on duplicate key update id = id"
refusal=$(sql w "$insert" 2>&1 | grep ERROR || true)
echo "insert, select (id), update (id):        $refusal"
sql root "grant update (note) on d.t to w@localhost"
sql w "$insert"
sql w "$insert"
echo "insert, select (id), update (id, note):  $(sql root 'select count(*) from d.t') row"
case $refusal in *"UPDATE command denied"*"'note'"*) ;; *) echo 'no longer so'; exit 1 ;; esac
