/** The config of a first start: a demo backend, one key, usage into SQLite. Written once; the key survives restarts. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

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
  if (existsSync(path)) {
    const key = keyPattern.exec(readFileSync(path, 'utf8'))?.[1];
    if (key === undefined)
      throw new Error(`${path} holds no "key: sk-llmproxy-…" any more; delete it for a new one.`);
    return { path, key, isNew: false };
  }
  const key = `sk-llmproxy-${randomBytes(24).toString('base64url')}`;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, demoYaml(key, dataDir), { mode: 0o600 });
  return { path, key, isNew: true };
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
    url: \${LLMPROXY_DEMO_URL}   # started together with the gateway; put the URL of your own server here

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
