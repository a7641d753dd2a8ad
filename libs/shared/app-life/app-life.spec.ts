import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { closeInOrder } from './close-in-order.ts';

const index = fileURLToPath(new URL('./index.ts', import.meta.url));

/** A process with `main` as its app. */
function start(main: string) {
  const source = `import { runMain, untilToldToStop } from ${JSON.stringify(index)};
    runMain(async () => { ${main} });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said += text));
  const ended = Promise.all([once(child, 'exit'), once(child.stderr ?? child, 'end')]).then(
    ([[code, signal]]) => ({ code: code as unknown, signal: signal as unknown, said }),
  );
  return { child, ended };
}

const openHandle = 'setInterval(() => {}, 1000);';
const waiting = `const stop = untilToldToStop(60_000); process.send('waits'); await stop; ${openHandle}`;
/** Never closes what it holds open. */
const hanging = (deadlineMs: number) =>
  `const stop = untilToldToStop(${deadlineMs}); process.send('waits'); await stop; ${openHandle}
   process.send('hangs'); await new Promise(() => undefined);`;

test.each(['SIGTERM', 'SIGINT'] as const)(
  'an app that is sent %s ends in order, open handles or not',
  async (signal) => {
    const { child, ended } = start(waiting);
    await once(child, 'message');
    child.kill(signal);
    expect(await ended).toEqual({ code: 0, signal: null, said: '' });
  },
);

test('an app whose parent is gone ends in order', async () => {
  const { child, ended } = start(waiting);
  await once(child, 'message');
  child.disconnect();
  expect(await ended).toEqual({ code: 0, signal: null, said: '' });
});

test('an app that cannot close what it holds open ends at its deadline, and says so', async () => {
  const { child, ended } = start(hanging(300));
  await once(child, 'message');
  child.kill('SIGTERM');
  const said = 'told to stop 0.3 s ago and still not closed: ending anyway\n';
  expect(await ended).toEqual({ code: 1, signal: null, said });
});

test.each([
  ['SIGTERM', 143],
  ['SIGINT', 130],
] as const)('a later %s ends an app that is still closing', async (signal, code) => {
  const { child, ended } = start(hanging(3_600_000));
  await once(child, 'message');
  child.kill('SIGTERM');
  await once(child, 'message');
  // What comes within a second of the first is the same wish.
  const insisting = setInterval(() => child.kill(signal), 50);
  expect(await ended).toEqual({ code, signal: null, said: '' });
  clearInterval(insisting);
});

test.each([
  [`throw new Error('the port is taken')`, 1, 'the port is taken\n'],
  [`throw Object.assign(new Error('unknown setting'), { exitCode: 78 })`, 78, 'unknown setting\n'],
])('an app that fails with %s ends with %d and says why, without a stack', async (main, code, said) => {
  expect(await start(main).ended).toEqual({ code, signal: null, said });
});

test('a part that hangs or fails is named, and keeps no other from being closed', async () => {
  const closed: string[] = [];
  const parts = [
    { name: 'limits', close: () => void closed.push('limits') },
    { name: 'queue', close: () => new Promise(() => undefined) },
    { name: 'keys', close: () => Promise.reject(new Error('no connection')) },
    {
      name: 'news',
      close: () => {
        throw new Error('not open');
      },
    },
    { name: 'Redis', close: async () => void closed.push('Redis') },
  ];
  expect(await closeInOrder(parts, 100)).toEqual([
    'queue: not closed within 100 ms',
    'keys: no connection',
    'news: not open',
  ]);
  expect(closed).toEqual(['limits', 'Redis']);
});
