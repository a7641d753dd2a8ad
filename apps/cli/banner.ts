import type { Config } from '@llmproxy/config';
import type { DemoConfig } from './demo-config.ts';

export interface BannerFacts {
  address: string;
  config: Config;
  configPath: string;
  demo: DemoConfig | undefined;
}

/** What a person sees once everything is up: where it listens, with which key, and a line to paste. */
export function banner({ address, config, configPath, demo }: BannerFacts): string {
  const backends = config.backends.map(({ name, url }) => `${name} (${url})`).join(', ');
  const lines = ['', '  LLMProxy is ready', '', `  Address   ${address}/v1`, `  Backends  ${backends}`];
  lines.push(`  Config    ${configPath}`);
  const metricsAt =
    config.management.listen === undefined ? `${address}${config.metrics.path}` : config.management.listen;
  if (config.metrics.enabled) lines.push(`  Metrics   ${metricsAt}`);
  if (demo) {
    lines.push(
      `  API key   ${demo.key}`,
      '',
      '  Try it (add "stream":true for a stream):',
      '',
      `  ${curlLine(address, demo.key)}`,
    );
  } else if (!config.auth.enabled)
    lines.push('  Warning   no auth block: anyone who reaches this address may use the backends');
  lines.push('', '  Ctrl-C stops everything.', '', '');
  return lines.join('\n');
}

function curlLine(address: string, key: string): string {
  const body = JSON.stringify({ model: 'demo', messages: [{ role: 'user', content: 'Hello!' }] });
  return (
    `curl -sN ${address}/v1/chat/completions -H 'Authorization: Bearer ${key}' ` +
    `-H 'Content-Type: application/json' -d '${body}'`
  );
}
