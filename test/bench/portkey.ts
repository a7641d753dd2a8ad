import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { MockBackend } from './backend.ts';
import type { Children } from './children.ts';
import { processTree } from './proc.ts';
import { freePort, untilAnswering } from './target.ts';
import type { Target } from './target.ts';

/** The version every report was made with; change it together with docs/benchmarks.md. */
const portkeyVersion = '1.15.2';
const packageName = '@portkey-ai/gateway';
/** Newer ones make every stream of this gateway a 500 (`TypeError: immutable`, Portkey-AI/gateway issue 1389). */
const nodeServerVersion = '1.14.1';
const manifest = JSON.stringify({
  private: true,
  dependencies: { [packageName]: portkeyVersion },
  overrides: { '@hono/node-server': nodeServerVersion },
});

/**
 * Installs the package under `folder` unless it is there. It is no dependency of ours: only the bench wants it.
 * @throws Error when npm cannot install it, for example without a network
 */
async function installPortkey(folder: string): Promise<string> {
  const entry = join(folder, 'node_modules', packageName, 'build', 'start-server.js');
  const manifestFile = join(folder, 'package.json');
  const marker = join(folder, 'node_modules', '.installed-from.json');
  if (existsSync(entry) && existsSync(marker) && readFileSync(marker, 'utf8') === manifest) return entry;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(manifestFile, manifest);
  await promisify(execFile)('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts'], {
    cwd: folder,
  });
  writeFileSync(marker, manifest);
  return entry;
}

/** `cacheFolder` keeps the installed package from one run to the next. */
export async function startPortkey(
  children: Children,
  backend: MockBackend,
  cacheFolder: string,
): Promise<Target> {
  const entry = await installPortkey(cacheFolder);
  const port = await freePort();
  const child = children.spawn(process.execPath, [entry, `--port=${port}`, '--headless'], {
    env: { ...process.env, NODE_ENV: 'production' },
    stdio: 'ignore', // it draws a banner
  });
  const to = {
    port,
    headers: {
      authorization: 'Bearer sk-bench-0123456789',
      'x-portkey-provider': 'openai',
      'x-portkey-custom-host': `${backend.url}/v1`,
    },
  };
  await untilAnswering(to);
  return {
    name: 'portkey',
    setup: `npm \`${packageName}@${portkeyVersion}\` with \`@hono/node-server\` held at ${nodeServerVersion} (newer ones break its streams), one process as it comes, \`NODE_ENV=production\`, headless, on the same Node`,
    to,
    pids: () => processTree(child.pid ?? 0),
    companions: () => ({}),
  };
}
