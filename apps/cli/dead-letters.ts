/** `llmproxy dead-letters list|replay`: what reporters did not take after all their retries. */
import type { Config } from '@llmproxy/config';
import { openDeadLetters, type DeadLetters } from '@llmproxy/delivery';
import { readArguments, UsageError } from './arguments.ts';
import { configOf } from './config-of.ts';
import { redisOf } from './redis-of.ts';

const help = 'usage: llmproxy dead-letters list|replay [-c FILE] [--reporter NAME] [--id ID]… [--limit N]';

/** Prints one JSON line per letter, or how many were queued again; returns the exit code. */
export async function deadLettersCommand(args: string[]): Promise<number> {
  const { values, positionals } = readArguments({
    args,
    words: 1,
    options: {
      config: { type: 'string', short: 'c' },
      reporter: { type: 'string' },
      id: { type: 'string', multiple: true },
      limit: { type: 'string', default: '100' },
    },
  });
  const [action] = positionals;
  if (action !== 'list' && action !== 'replay') {
    console.error(help);
    return 2;
  }
  if (!/^[1-9]\d{0,8}$/.test(values.limit))
    throw new UsageError('--limit takes a whole number of at least 1');
  const config = configOf(values.config);
  const letters = openDeadLetters({ redis: redisOf(config) });
  try {
    for (const reporter of reportersOf(config, values.reporter)) {
      if (action === 'list') await list(letters, reporter, Number(values.limit));
      else await replay(letters, reporter, values.id ?? 'all');
    }
    return 0;
  } finally {
    await letters.close();
  }
}

function reportersOf(config: Config, wanted: string | undefined): string[] {
  const names = config.usage.reporters.map(({ name }) => name);
  if (wanted === undefined) return names;
  if (!names.includes(wanted))
    throw new Error(`no reporter is named "${wanted}"; there are: ${names.join(', ') || 'none'}`);
  return [wanted];
}

async function list(letters: DeadLetters, reporter: string, limit: number): Promise<void> {
  for (const { events, ...letter } of await letters.listDeadLetters(reporter, { limit })) {
    console.log(JSON.stringify({ reporter, ...letter, event_ids: events.map(({ event_id }) => event_id) }));
  }
}

async function replay(letters: DeadLetters, reporter: string, ids: readonly string[] | 'all'): Promise<void> {
  console.log(`${reporter}: ${await letters.replayDeadLetters(reporter, ids)} queued again`);
}
