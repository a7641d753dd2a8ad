/**
 * `npm test`: starts private Redis, PostgreSQL and MariaDB, runs format, lint, types, unit, stage and e2e tests
 * through nx (what has not changed comes from its cache), and closes with one line that counts them all.
 * `npm run check` (`--quick`) leaves the e2e tests out.
 */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { startServicesForTests } from '@llmproxy/real-services';

const resultsDir = join('dist', 'test-results');
const quick = process.argv.includes('--quick');

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

const say = (text: string): void => void process.stdout.write(`\n=== ${text}\n`);

/** Runs a command to its end; resolves with whether it exited with 0. */
function run(command: string, args: readonly string[], env: Record<string, string>): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: 'inherit', env: { ...process.env, ...env } });
    child.on('error', () => resolve(false));
    child.on('exit', (code) => resolve(code === 0));
  });
}

const nx = (args: readonly string[], env: Record<string, string>): Promise<boolean> =>
  run(process.execPath, [join('node_modules', '.bin', 'nx'), ...args, '--output-style=stream'], {
    NX_DAEMON: 'false',
    // nx forces colours upon what it runs, also into a file.
    ...(process.stdout.isTTY ? {} : { FORCE_COLOR: '0', NO_COLOR: '1' }),
    ...env,
  });

/** Adds up vitest's JSON reports, one per project and one of the e2e tests; nx restores those of cached runs. */
function countResults(): Counts {
  const sum: Counts = { passed: 0, failed: 0, skipped: 0 };
  if (!existsSync(resultsDir)) return sum;
  // A project's name has a slash in it (@llmproxy/redis), so its report lies in a folder.
  for (const file of readdirSync(resultsDir, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.json')) continue;
    const report = JSON.parse(readFileSync(join(resultsDir, file), 'utf8')) as Record<string, number>;
    sum.passed += report['numPassedTests'] ?? 0;
    // A suite that could not even load has no failed test of its own.
    sum.failed += Math.max(report['numFailedTests'] ?? 0, report['numFailedTestSuites'] ?? 0);
    sum.skipped += (report['numPendingTests'] ?? 0) + (report['numTodoTests'] ?? 0);
  }
  return sum;
}

async function runSteps(env: Record<string, string>): Promise<string[]> {
  const failures: string[] = [];
  const step = async (name: string, work: () => Promise<boolean>) => {
    say(name);
    if (!(await work())) failures.push(name);
  };
  await step('format, lint, types, generated files, unit and stage tests', () =>
    nx(['run-many', '-t', 'format', 'lint', 'typecheck', 'generated', 'test', '--nxBail=false'], env),
  );
  await step('bundles', () => nx(['run-many', '-t', 'build'], env));
  if (!quick) await step('e2e tests', () => nx(['run-many', '-t', 'e2e'], env));
  return failures;
}

rmSync(resultsDir, { recursive: true, force: true });
say('starting Redis, PostgreSQL and MariaDB for the tests (fetched once, about a minute)');
const services = await startServicesForTests({ onProgress: say }).catch((cause: Error) => {
  console.error(`\nThe databases for the tests did not start:\n${cause.message}`);
  console.log('\n0 passed, 1 failed, 0 skipped');
  process.exit(1);
});
let failures: string[];
try {
  failures = await runSteps(services.env);
} finally {
  await services.stop();
}
const { passed, failed, skipped } = countResults();
for (const name of failures) console.log(`\nFAILED: ${name} (see above)`);
// A step that failed without a failing test (lint, types) still counts as one failure.
console.log(`\n${passed} passed, ${Math.max(failed, failures.length)} failed, ${skipped} skipped`);
process.exit(failures.length > 0 || failed > 0 || passed === 0 ? 1 : 0);
