/** The config of a first start: a demo backend, one key, usage into SQLite. Written once; the key survives restarts. */
import { randomBytes } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface DemoConfig {
  path: string;
  key: string;
  /** True when it was made by this start. */
  isNew: boolean;
}

const keyPattern = /key: (sk-llmproxy-\S+)/;

/**
 * Finds or writes `<dataDir>/demo.yaml`, readable by its owner only.
 * @throws Error when the file exists but holds no key
 */
export function demoConfig(dataDir: string): DemoConfig {
  const path = join(dataDir, 'demo.yaml');
  mkdirSync(dataDir, { recursive: true });
  const isNew = written(path, demoYaml(`sk-llmproxy-${randomBytes(24).toString('base64url')}`, dataDir));
  const key = keyPattern.exec(readFileSync(path, 'utf8'))?.[1];
  if (key === undefined)
    throw new Error(`${path} holds no "key: sk-llmproxy-…" any more; delete it for a new one.`);
  return { path, key, isNew };
}

/** Makes the file, whole or not at all, unless there is one: of two starts at once both go by the same. */
function written(path: string, text: string): boolean {
  if (existsSync(path)) return false;
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, text, { mode: 0o600 });
  try {
    linkSync(draft, path);
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
    return false;
  } finally {
    unlinkSync(draft);
  }
}

const demoYaml = (
  key: string,
  dataDir: string,
) => `# Written by \`llmproxy start\` without a config file. Copy it as a start for your own:
#   npm start -- --config my.yaml
# All settings: docs/reference/configuration.md
server:
  listen: 127.0.0.1:8000

backends:
  - name: demo
    url: \${LLMPROXY_DEMO_URL:-http://localhost:11434}   # the demo backend; in a copy put the URL of your own server here

auth:
  pipeline:
    - name: demo-keys
      type: static
      static:
        keys:
          - key: ${key}
            name: demo
            user_id: demo-user

health_check:
  interval: 5s

usage:
  reporters:
    - name: sqlite
      type: database
      database:
        storage: main

storage:
  databases:
    - name: main
      driver: sqlite   # llmproxy.db in data_dir

data_dir: ${JSON.stringify(dataDir)}
`;
