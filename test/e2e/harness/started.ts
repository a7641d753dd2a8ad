/** `llmproxy start` as a newcomer runs it: no config file, everything else by itself. */
import { repoRoot, startNode, type Child } from './child.ts';
import { until } from './until.ts';

export interface Started extends Child {
  /** `http://127.0.0.1:<port>`, as the banner says it. */
  readonly address: string;
  readonly key: string;
  /** The line to paste. */
  readonly curlLine: string;
}

const startMsMax = 120_000;

/** Resolves when the banner is there. @throws Error with the output when it ends instead */
export async function startEverything(cwd: string): Promise<Started> {
  const args = [`${repoRoot}apps/cli/llmproxy.mjs`, 'start', '--listen', '127.0.0.1:0', '--data-dir', 'data'];
  const child = startNode({ args, cwd, ipc: false, group: true });
  let hasEnded = false;
  void child.exited.then(() => (hasEnded = true));
  const find = (pattern: RegExp): string => pattern.exec(child.output.stderr)?.[1] ?? '';
  try {
    await until('the banner', () => hasEnded || child.output.stderr.includes('Ctrl-C stops'), startMsMax);
    if (hasEnded) throw new Error(`it ended:\n${child.output.stderr}\n${child.output.stdout}`);
    return Object.assign(child, {
      address: find(/Address {3}(http:\S+)\/v1$/m),
      key: find(/API key {3}(\S+)$/m),
      curlLine: find(/^ +(curl .*)$/m),
    });
  } catch (cause) {
    await child[Symbol.asyncDispose]();
    throw cause;
  }
}
