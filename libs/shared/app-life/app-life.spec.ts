import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

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

const waiting = `const stop = untilToldToStop(); process.send('waits'); await stop; setInterval(() => {}, 1000);`;

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

test.each([
  [`throw new Error('the port is taken')`, 1, 'the port is taken\n'],
  [`throw Object.assign(new Error('unknown setting'), { exitCode: 78 })`, 78, 'unknown setting\n'],
])('an app that fails with %s ends with %d and says why, without a stack', async (main, code, said) => {
  expect(await start(main).ended).toEqual({ code, signal: null, said });
});
