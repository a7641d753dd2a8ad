import { parseArgs } from 'node:util';

export interface KeyLookupArguments {
  /** Path of the config file. */
  config: string;
  /** Where to serve the probes and metrics; undefined: nowhere. */
  managementListen: string | undefined;
}

/** @throws Error that says how to call it, when an argument is missing or unknown */
export function keyLookupArguments(argv: readonly string[]): KeyLookupArguments {
  const { values } = parseArgs({
    args: [...argv],
    options: { config: { type: 'string' }, 'management-listen': { type: 'string' } },
  });
  if (values.config === undefined) {
    throw new Error('usage: key-lookup --config <file> [--management-listen <host:port | unix:/path>]');
  }
  return { config: values.config, managementListen: values['management-listen'] };
}
