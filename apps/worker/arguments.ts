import { parseArgs } from 'node:util';

export interface WorkerArguments {
  /** Path of the config file. */
  config: string;
  /** Where to serve the probes and metrics; undefined: nowhere. */
  managementListen: string | undefined;
}

/** @throws Error that says how to call it, when an argument is missing or unknown */
export function workerArguments(argv: readonly string[]): WorkerArguments {
  const { values } = parseArgs({
    args: [...argv],
    options: { config: { type: 'string' }, 'management-listen': { type: 'string' } },
  });
  if (values.config === undefined) {
    throw new Error('usage: worker --config <file> [--management-listen <host:port | unix:/path>]');
  }
  return { config: values.config, managementListen: values['management-listen'] };
}
