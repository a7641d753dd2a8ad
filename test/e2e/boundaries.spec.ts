import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';

const written: string[] = [];
afterEach(() => {
  for (const file of written.splice(0)) rmSync(file);
});

/** What lint says of a file with this text in this folder. */
function lint(folder: string, text: string): string {
  const file = `${folder}/canary-${randomUUID()}.ts`;
  written.push(file);
  writeFileSync(file, text);
  try {
    return execFileSync(process.execPath, ['node_modules/.bin/eslint', file], {
      encoding: 'utf8',
      env: { ...process.env, NX_DAEMON: 'false' },
    });
  } catch (error) {
    return (error as { stdout: string }).stdout;
  }
}

test.each([
  ['a stage that imports another stage', 'libs/data-plane/auth', "import '@llmproxy/forwarding';\n"],
  [
    'a data-plane stage that imports a control-plane one',
    'libs/data-plane/auth',
    "import '@llmproxy/ledger';\n",
  ],
  ['the gateway that imports the control plane', 'apps/gateway', "import '@llmproxy/delivery';\n"],
  ['a shared lib that imports the config', 'libs/shared/errors', "import '@llmproxy/config';\n"],
  ['shipped code that imports test helpers', 'libs/data-plane/auth', "import '@llmproxy/fake-backend';\n"],
  ['a SQL driver in the data plane', 'apps/gateway', "import 'pg';\n"],
])('lint reports %s', (_, folder, text) => {
  expect(lint(folder, text)).toContain('@nx/enforce-module-boundaries');
});

test('lint reports I/O, a clock and chance in core/', () => {
  const report = lint(
    'libs/data-plane/balancing/core',
    "import { readFileSync } from 'node:fs';\nexport const x = [readFileSync, Date.now(), Math.random()];\n",
  );
  expect(report).toContain('no-restricted-imports');
  expect(report.match(/no-restricted-properties/g)).toHaveLength(2);
});

test('lint accepts what is allowed', () => {
  expect(lint('libs/data-plane/auth', "import '@llmproxy/errors';\n")).toBe('');
});
