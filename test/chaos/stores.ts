/** The outages that stores of platform teams really have. Writes docs/chaos.md. */
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { machine, table } from '../bench/markdown.ts';
import type { Check, Place, Scenario } from './scenario.ts';
import { failover } from './stores-failover.ts';
import type { Part, PartReport } from './stores-part.ts';
import { shard } from './stores-shard.ts';
import { stutters } from './stores-stutter.ts';

const parts: readonly Part[] = [shard, failover, stutters];

async function run(place: Place): Promise<readonly Check[]> {
  const startedAt = new Date();
  const startedMs = performance.now();
  const reports: [Part, PartReport][] = [];
  for (const [index, part] of parts.entries()) {
    place.say(part.title);
    const folder = join(place.folder, `part-${index}`);
    mkdirSync(folder);
    const report = await part.run({ ...place, folder });
    reports.push([part, report]);
    console.log(`\n${table(report.head, report.rows)}\n`);
  }
  const minutes = ((performance.now() - startedMs) / 60_000).toFixed(1);
  const page = join(place.repoRoot, 'docs/chaos.md');
  writeFileSync(page, pageOf(reports, startedAt, minutes));
  const prettier = ['node_modules/prettier/bin/prettier.cjs', '--write', page];
  await promisify(execFile)(process.execPath, prettier, { cwd: place.repoRoot });
  return reports.flatMap(([part, { checks }]) =>
    checks.map((check) => ({ ...check, text: `${part.title}: ${check.text}` })),
  );
}

function pageOf(reports: readonly [Part, PartReport][], startedAt: Date, minutes: string): string {
  return `# Outages of the stores

Written by \`npm run chaos -- stores\` on ${startedAt.toISOString().slice(0, 10)}, in ${minutes} minutes. Do not edit: run it again.

Machine: ${machine()}; load average at the end of the run ${loadavg()[2]?.toFixed(0)}. Everything shares it: two gateways, a worker that writes to SQLite, a scheduler, Redis, and the clients, one half of which ask with a key for more than its limit of requests per minute allows all the while.

${reports.map(([part, report]) => section(part, report)).join('\n\n')}
`;
}

function section({ title, what }: Part, { checks, head, rows }: PartReport): string {
  const found = checks.map(({ text, ok, found: it }) => [text, ok ? 'yes' : '**no**', it]);
  return `## ${title}

${what}

${table(['required', 'so', 'found'], found)}

${table(head, rows)}`;
}

export const stores: Scenario = {
  name: 'stores',
  shows:
    'through outages of Redis no usage event is lost or doubled, limits hold, and all goes on by itself (writes docs/chaos.md)',
  run,
};
