import type { LuaOutcome } from './hook.ts';
import type { LuaValue } from './values.ts';

type Metadata = Readonly<Record<string, LuaValue>>;

/** Whether a hook lets a request through. `message` is for the client, `reason` for the log: why a denial was not the script's own. */
export type HookDecision =
  | { readonly allow: true; readonly metadata: Metadata }
  | {
      readonly allow: false;
      readonly message: string | undefined;
      readonly metadata: Metadata;
      readonly reason: string | undefined;
    };

const NOTHING: Metadata = Object.freeze({});

function denied(reason: string | undefined, message?: string, metadata = NOTHING): HookDecision {
  return { allow: false, message, metadata, reason };
}

const isFields = (value: LuaValue | undefined): value is Metadata =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function typeOf(value: LuaValue | undefined): string {
  if (value === undefined) return 'missing';
  if (value === null) return 'nil';
  if (Array.isArray(value)) return 'a list';
  return `a ${typeof value === 'object' ? 'table' : typeof value}`;
}

/**
 * Reads an outcome as `true`, `false` or `{allow = boolean, message = string, metadata = table}`. Whatever else it is, a failure included,
 * denies: a mistake in a script must not open the gateway.
 */
export function decisionOf(outcome: LuaOutcome): HookDecision {
  if (outcome.kind === 'failed') return denied(`the hook failed (${outcome.reason}): ${outcome.message}`);
  const { value } = outcome;
  if (value === true) return { allow: true, metadata: NOTHING };
  if (value === false) return denied(undefined);
  if (value === undefined) return denied('the hook returned nothing');
  return isFields(value) ? decisionOfFields(value) : denied(`the hook returned ${typeOf(value)}`);
}

function decisionOfFields(fields: Metadata): HookDecision {
  const { allow } = fields;
  const metadata = isFields(fields['metadata']) ? fields['metadata'] : NOTHING;
  const message = typeof fields['message'] === 'string' ? fields['message'] : undefined;
  if (allow === true) return { allow: true, metadata };
  if (allow === false) return denied(undefined, message, metadata);
  return denied(`'allow' is ${typeOf(allow)}, not a boolean`, message, metadata);
}
