#!/usr/bin/env bash
# BullMQ 6.7.0 with ioredis 5.11.1, on Redis 7.0 or later.
#
# `skipVersionCheck: true` reads as if it only left out a check (and BullMQ's console line about maxmemory-policy with
# it). It makes BullMQ take every server for Redis 5.0.0: it then blocks for whole seconds only, so that a job with a
# delay of 150 ms is processed most of a second late.
#
# Output seen (ms late, six jobs each):
#   checked: 28 113 38 2 60 81
#   skipped: 943 947 966 869 873 877
#
# Fails if that is no longer so. Needs bash, node 20 or later, npm; redis-server from the PATH, or else from Debian's package.
set -euo pipefail
work=$(mktemp -d); server=; trap '[ -z "$server" ] || kill "$server" || true; rm -rf "$work"' EXIT
cd "$work"

redis=$(command -v redis-server || true)
if [ -z "$redis" ]; then
  for package in redis-tools liblzf1 libjemalloc2 liblua5.1-0 lua-bitop lua-cjson libatomic1; do
    apt-get download "$package" >/dev/null 2>&1 && dpkg-deb -x "$package"_*.deb debian
  done
  redis=$(find debian -name redis-check-rdb -type f | head -1) # the server under another name
  cp "$redis" redis-server; redis="$work/redis-server"
  LD_LIBRARY_PATH="$(find debian -name '*.so*' -printf '%h\n' | sort -u | paste -sd:)"; export LD_LIBRARY_PATH
fi
"$redis" --port 0 --unixsocket "$work/redis.sock" --save '' --dir "$work" >/dev/null &
server=$!

npm init -y >/dev/null && npm install --no-audit --no-fund --silent bullmq@6.7.0 ioredis@5.11.1
cat >late.mjs <<'JS'
import { Queue, Worker } from 'bullmq';
import { setTimeout as sleep } from 'node:timers/promises';

async function lateness(skipVersionCheck) {
  const connection = { path: process.argv[2], maxRetriesPerRequest: null, skipVersionCheck };
  const name = `q-${skipVersionCheck}`;
  const late = [];
  const queue = new Queue(name, { connection });
  const worker = new Worker(name, async (job) => void late.push(Date.now() - job.data.due), { connection });
  await worker.waitUntilReady();
  for (let job = 0; job < 6; job++) {
    await queue.add('job', { due: Date.now() + 150 }, { delay: 150 });
    await sleep(1500);
  }
  await worker.close();
  await queue.close();
  return late;
}
const [checked, skipped] = [await lateness(false), await lateness(true)];
console.log(`checked: ${checked.join(' ')}\nskipped: ${skipped.join(' ')}`);
const median = (all) => all.toSorted((a, b) => a - b)[3];
process.exit(median(checked) < 300 && median(skipped) > 600 ? 0 : 1);
JS
node late.mjs "$work/redis.sock"
