/** How `llmproxy start` is called. */
import { readArguments } from './arguments.ts';

export interface StartArguments {
  config?: string | undefined;
  listen?: string | undefined;
  dataDir: string;
}

/** @throws UsageError */
export function startArguments(args: readonly string[]): StartArguments {
  const { values } = readArguments({
    args,
    options: {
      config: { type: 'string', short: 'c' },
      listen: { type: 'string' },
      'data-dir': { type: 'string', default: 'data' },
    },
  });
  return { config: values.config, listen: values.listen, dataDir: values['data-dir'] };
}
