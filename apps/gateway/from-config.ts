/** Translates the config's words into those of the libraries. */
import { openKeyring, type KeyProvider } from '@llmproxy/auth';
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

/**
 * The providers whose keys are listed, in the order they are asked.
 * @param readAtMs when the config was read, ms since 1970 UTC
 */
export function listedKeys(config: Config, readAtMs: number): KeyProvider[] {
  return config.auth.pipeline.map((provider) => {
    const keys = 'keys' in provider ? provider.keys : [];
    const records = keys.map((key) => ({
      ...key,
      starts_at: unixSeconds(key.starts_at),
      expires_at: unixSeconds(key.expires_at),
      last_reset_at: unixSeconds(key.last_reset_at),
    }));
    return { name: provider.name, source: openKeyring(records, readAtMs) };
  });
}

/** As every source spells a moment. */
const unixSeconds = (atMs: number | null): number | null => (atMs === null ? null : atMs / 1000);
