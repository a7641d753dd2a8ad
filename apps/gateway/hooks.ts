/** Binds the operator's Lua to the decisions it takes part in. */
import type { Decide } from '@llmproxy/auth';
import type { Config } from '@llmproxy/config';
import type { RawHeaders } from '@llmproxy/exchange';
import { compileHook, decisionOf, type Hook } from '@llmproxy/lua';

type HookConfig = NonNullable<Config['auth']['pipeline'][number]['hook']>;

/** A decision about a key by a hook; `log` takes what the script logs. */
export function decideBy(hook: HookConfig, log: (message: string) => void): Decide {
  const { source, name, budget } = hook;
  const compiled: Hook = compileHook(source, { name, budget, log });
  return async (data, { secret, method, path, ip, rawHeaders }, metadata) => {
    const request = { method, path, ip, headers: firstValues(rawHeaders) };
    const outcome = await compiled.run({ api_key: secret, data, key: data, request, metadata });
    const decision = decisionOf(outcome);
    if (decision.allow) return { allow: true, metadata: decision.metadata };
    return { ...decision, reasonForLog: decision.reason };
  };
}

/** As scripts find them: `Content-Type`, first value of each. */
function firstValues(rawHeaders: RawHeaders): Record<string, string> {
  const headers: Record<string, string> = {};
  for (let i = 0; i < rawHeaders.length; i += 2) {
    headers[canonical(rawHeaders[i] as string)] ??= rawHeaders[i + 1] as string;
  }
  return headers;
}

const canonical = (name: string): string =>
  name
    .toLowerCase()
    .replace(/(^|-)([a-z])/g, (_, dash: string, letter: string) => dash + letter.toUpperCase());
