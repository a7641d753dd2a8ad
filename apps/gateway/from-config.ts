/** Translates the config's words into those of the libraries. */
import type { Config } from '@llmproxy/config';
import type { BackendSettings } from './backends.ts';

export function backendSettings(config: Config): BackendSettings[] {
  return config.backends.map((backend) => ({
    name: backend.name,
    url: backend.url,
    weight: backend.weight,
    timeoutMs: backend.timeout,
    connectTimeoutMs: backend.connect_timeout,
    inject: injected(backend),
    secretHeaders: backend.credential ? [backend.credential.header.toLowerCase()] : [],
    includeUsage: backend.include_usage,
  }));
}

function injected({ headers, credential }: Config['backends'][number]): string[] {
  const pairs = Object.entries(headers).flat();
  if (credential) pairs.push(credential.header.toLowerCase(), credential.value);
  return pairs;
}
