import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import { Spool } from './spool.ts';
import { usageEvent } from './testing/usage-event.ts';
import type { UsageEvent } from './usage-event.ts';

const root = mkdtempSync(join(tmpdir(), 'spool-'));
afterAll(() => rmSync(root, { recursive: true }));
let folders = 0;
const freshFolder = () => join(root, `${(folders += 1)}`, 'not-there-yet');

function openSpool(folder: string): Spool {
  const spool = new Spool(folder);
  onTestFinished(() => spool.close());
  return spool;
}

/** Takes note of what is replayed; refuses everything after `acceptMax` batches. */
function receiver(acceptMax = Infinity) {
  const ids: string[] = [];
  const unreadable: string[] = [];
  const unread: (string | undefined)[] = [];
  let accepted = 0;
  return {
    ids,
    unreadable,
    onUnreadable: (file: string) => void unreadable.push(file),
    unread,
    onUnread: (_: string, cause: unknown) => void unread.push((cause as NodeJS.ErrnoException).code),
    send: (events: UsageEvent[]) => {
      if (accepted >= acceptMax) return Promise.reject(new Error('Redis is away'));
      accepted += 1;
      ids.push(...events.map((event) => event.event_id));
      return Promise.resolve();
    },
  };
}

const batches = (count: number) => Array.from({ length: count }, () => [usageEvent(), usageEvent()]);
const idsOf = (of: readonly UsageEvent[][]) => of.flat().map((event) => event.event_id);

test('batches come back in the order and grouping they were spooled in, once', async () => {
  const spool = openSpool(freshFolder());
  const [first, second] = batches(2) as [UsageEvent[], UsageEvent[]];
  await spool.append(first);
  await spool.append(second);
  const taken: string[][] = [];
  const send = (events: UsageEvent[]) => Promise.resolve(void taken.push(idsOf([events])));
  await expect(spool.replay({ ...receiver(), send })).resolves.toBe(2);
  expect(taken).toEqual([idsOf([first]), idsOf([second])]);
  await expect(spool.replay(receiver())).resolves.toBe(0);
});

test('a file that cannot be read is told and kept, holds up no other, and is replayed when it can be', async () => {
  const folder = freshFolder();
  const spool = openSpool(folder);
  const [readable, other] = batches(2) as [UsageEvent[], UsageEvent[]];
  await spool.append(readable);
  // Stands for what the system refuses: opening it fails with EISDIR, though it is there.
  const target = join(root, 'unreadable-for-now');
  mkdirSync(target);
  symlinkSync(target, join(folder, 'usage-1-a.ndjson'));
  const received = receiver();
  await expect(spool.replay(received)).resolves.toBe(1);
  expect([received.ids, received.unread, received.unreadable]).toEqual([idsOf([readable]), ['EISDIR'], []]);
  rmSync(target, { recursive: true });
  writeFileSync(target, `${JSON.stringify(other)}\n`);
  utimesSync(target, new Date(0), new Date(0)); // its claim is old
  await expect(spool.replay(received)).resolves.toBe(1);
  expect(received.ids).toEqual(idsOf([readable, other]));
});

test('a batch appended while another process replays is replayed too, then or later', async () => {
  const folder = freshFolder();
  const [writer, reader] = [openSpool(folder), openSpool(folder)];
  const written = batches(300);
  const received = receiver();
  let isWriting = true;
  const reading = (async () => {
    while (isWriting) await reader.replay(received);
  })();
  await Promise.all(written.map((events) => writer.append(events)));
  isWriting = false;
  await reading;
  await reader.replay(received);
  expect([...new Set(received.ids)].toSorted()).toEqual(idsOf(written).toSorted());
});

test('one file is replayed by one process only', async () => {
  const folder = freshFolder();
  const writer = openSpool(folder);
  const written = batches(50);
  for (const events of written) await writer.append(events);
  await writer.close();
  const received = receiver();
  await Promise.all(Array.from({ length: 4 }, () => openSpool(folder).replay(received)));
  expect(received.ids).toEqual(idsOf(written));
});

test('what could not be sent is still there for the next replay', async () => {
  const spool = openSpool(freshFolder());
  const written = batches(5);
  for (const events of written) await spool.append(events);
  const first = receiver(2);
  await expect(spool.replay(first)).rejects.toThrow('Redis is away');
  const second = receiver();
  await spool.replay(second);
  expect([...first.ids, ...second.ids]).toEqual(idsOf(written));
});

test('a file whose replay died with its process is replayed by another', async () => {
  const folder = freshFolder();
  const spool = openSpool(folder);
  const written = batches(1);
  await spool.append(written[0] ?? []);
  await spool.close();
  const [name = ''] = readdirSync(folder);
  const content = readFileSync(join(folder, name));
  rmSync(join(folder, name));
  const claim = join(folder, 'usage-1-abc.claimed');
  writeFileSync(claim, content);
  await expect(spool.replay(receiver())).resolves.toBe(0); // its owner may still be at it
  utimesSync(claim, new Date(0), new Date(0));
  const received = receiver();
  await spool.replay(received);
  expect(received.ids).toEqual(idsOf(written));
});

test('a line that is no batch is told and kept, and holds up no other', async () => {
  const folder = freshFolder();
  const spool = openSpool(folder);
  const written = batches(1);
  await spool.append(written[0] ?? []);
  await spool.close();
  const [name = ''] = readdirSync(folder);
  const whole = readFileSync(join(folder, name), 'utf8');
  writeFileSync(join(folder, name), `[{"event_id":"cut sho\n${whole}`);
  const received = receiver();
  await spool.replay(received);
  expect(received.ids).toEqual(idsOf(written));
  expect(received.unreadable).toHaveLength(1);
  expect(readFileSync(join(folder, 'unreadable.txt'), 'utf8')).toBe('[{"event_id":"cut sho\n');
});

test('a disk that refuses is told to the caller, who keeps the batch', async () => {
  const blocked = join(root, 'a-file');
  writeFileSync(blocked, '');
  await expect(openSpool(blocked).append([usageEvent()])).rejects.toThrow(/EEXIST|ENOTDIR/);
});
