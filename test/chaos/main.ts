/**
 * `npm run chaos [-- <scenario> …]`: runs each scenario with processes of its own, prints what was required and what was
 * found, exits 1 when anything was not as required. New scenario: one file, one line in the table.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { withChildren } from '../bench/children.ts';
import type { Children } from '../bench/children.ts';
import { buildApps } from '../bench/gateway-parts.ts';
import { exits } from './exits.ts';
import { runawayHook } from './runaway-hook.ts';
import type { Place, Scenario } from './scenario.ts';
import { slowReader } from './slow-reader.ts';
import { stores } from './stores.ts';
import { streams10k } from './streams-10k.ts';
import { workerMemory } from './worker-memory.ts';

const scenarios: readonly Scenario[] = [streams10k, slowReader, runawayHook, exits, stores, workerMemory];

const repoRoot = new URL('../../', import.meta.url).pathname;
/** Runs one scenario with processes of its own; true when all was as required. */
async function passes(scenario: Scenario, children: Children): Promise<boolean> {
  const folder = mkdtempSync(join(tmpdir(), 'llmproxy-chaos-'));
  console.log(`\n${scenario.name}: ${scenario.shows}`);
  try {
    const place: Place = { children, folder, repoRoot, say: (line) => console.log(`  … ${line}`) };
    const checks = await scenario.run(place);
    for (const { ok, text, found } of checks) console.log(`  ${ok ? 'ok    ' : 'FAILED'}  ${text}: ${found}`);
    return checks.every(({ ok }) => ok);
  } catch (error) {
    console.log(`  FAILED  ${error instanceof Error ? error.message : String(error)}`);
    return false;
  } finally {
    await children.endAll();
    rmSync(folder, { recursive: true, force: true });
  }
}

function chosen(names: readonly string[]): readonly Scenario[] {
  const unknown = names.find((name) => !scenarios.some((scenario) => scenario.name === name));
  if (unknown === undefined)
    return names.length === 0 ? scenarios : scenarios.filter(({ name }) => names.includes(name));
  const known = scenarios.map(({ name, shows }) => `  ${name}: ${shows}`).join('\n');
  throw new Error(`no scenario ${unknown}; there are\n${known}`);
}

const toRun = chosen(process.argv.slice(2));
const code = await withChildren(async (children) => {
  await buildApps(repoRoot, ['gateway', 'worker', 'scheduler'], console.log);
  const failed: string[] = [];
  for (const scenario of toRun) {
    if (!(await passes(scenario, children))) failed.push(scenario.name);
  }
  console.log(failed.length === 0 ? '\nall scenarios passed' : `\nFAILED: ${failed.join(', ')}`);
  return failed.length === 0 ? 0 : 1;
});
process.exit(code);
