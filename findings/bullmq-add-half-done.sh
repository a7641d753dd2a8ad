#!/usr/bin/env bash
# BullMQ 6.7.0 on Redis 7.0 (Debian 12): a job whose `add` was rejected half-way is never queued, however often it is added
# again, and each of these calls resolves with its id.
#
# Behaviour: `add` is one script, which writes the key of the deduplication and the job's hash before it puts the id into a
# list. Redis does not roll a script back: when a later command of it is refused (no right to LPUSH in the ACL of the user;
# a key of the wrong type), `add` rejects, and both are left. From then on the deduplication, and without it the job's id
# alone, say that the job is there already. Whoever adds with an id so that a retry does no harm loses the job that way.
#
# Seen: the first add rejects with "can't run this command"; after the right is granted the second resolves with "a" (and
# "b", without deduplication), and no job waits.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
apt-get download redis-tools libjemalloc2 liblzf1 >/dev/null 2>&1
for package in *.deb; do dpkg-deb -x "$package" root; done
npm init -y >/dev/null
npm install --silent --no-audit --no-fund bullmq@6.7.0 ioredis@5.11.1
export LD_LIBRARY_PATH="$folder/root/usr/lib/$(uname -m)-linux-gnu"
# Debian's redis-server is this program by another name.
ln -s root/usr/bin/redis-check-rdb redis-server
./redis-server --version | grep -o 'v=7\.0[^ ]*'
./redis-server --port 0 --unixsocket "$folder/r.sock" --save '' >log 2>&1 &
server=$!
until [ -S r.sock ]; do sleep 0.1; done

cat >try.mjs <<'JS'
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
const path = process.argv[2];
const admin = new Redis({ path });
await admin.call('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '&*', '+@all', '-lpush');
const connection = new Redis({ path, username: 'app', password: 'secret', maxRetriesPerRequest: null });
const queue = new Queue('jobs', { connection });
queue.on('error', () => undefined);
const once = { jobId: 'a', deduplication: { id: 'a', ttl: 3_600_000 } };
const add = (options) => queue.add('work', {}, options).then(({ id }) => `resolves with ${id}`, ({ message }) => message);
const first = [await add(once), await add({ jobId: 'b' })];
await admin.call('ACL', 'SETUSER', 'app', '+lpush');
const again = [await add(once), await add({ jobId: 'b' })];
const waiting = await queue.getWaitingCount();
console.log({ first, again, waiting });
const asSeen = first.every((said) => said.includes("can't run this command")) &&
  again.join() === 'resolves with a,resolves with b' && waiting === 0;
if (!asSeen) console.log('changed');
process.exit(asSeen ? 0 : 1);
JS
node try.mjs "$folder/r.sock"
