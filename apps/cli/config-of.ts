/** The config that a command works with: the one named, or the one that `llmproxy start` would take. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfig, type Config } from '@llmproxy/config';

/** @throws ConfigError when it cannot be used */
export function configOf(path: string | undefined): Config {
  return loadConfig(path ?? defaultConfig(), {
    LLMPROXY_DEMO_URL: 'http://127.0.0.1:1', // the demo config names it; no command but start needs its value
    ...process.env,
  });
}

const defaultConfig = (): string => (existsSync('config.yaml') ? 'config.yaml' : join('data', 'demo.yaml'));
