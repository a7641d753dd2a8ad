/** Limits that would not be in force, or that contradict each other. */
import type { KeyEntry, KeyList } from './check-auth.ts';
import type { Blocks, Finding } from './check-links.ts';
import type { Problem } from './problem.ts';
import type { Path } from './read-yaml.ts';
import type { ConfigFile } from './schema/config-file.ts';

type RateLimit = ConfigFile['rate_limit'];
type Scope = RateLimit['global'];

const limitKeys = [
  'requests_per_second',
  'burst_size',
  'requests_per_minute',
  'tokens_per_minute',
  'max_concurrent',
] as const;

const isLimited = (limits: Scope): boolean => limitKeys.some((key) => limits[key] !== undefined);

/** What is wrong with `rate_limit` and with `backends[].limits`. */
export function checkLimits({ rate_limit, backends, auth }: Blocks): Finding[] {
  if (rate_limit === undefined) return [];
  const found = [
    ...(['global', 'per_ip'] as const).flatMap((name) => loneBurst(rate_limit[name], ['rate_limit', name])),
    ...(backends ?? []).flatMap(({ limits }, i) => {
      const reason = switchedOff(rate_limit, 'per_backend');
      if (limits === undefined || reason === undefined) return [];
      return [notInForce(['backends', i, 'limits'], reason)];
    }),
  ];
  const { enabled, per_key } = rate_limit;
  if (auth?.enabled === false && enabled && per_key.enabled && isLimited(per_key)) {
    const message = 'auth is not on, so nobody presents a key: add the block auth, or limit per_ip';
    found.push({ path: ['rate_limit', 'per_key'], message, at: 'key' });
  }
  return found;
}

function loneBurst(scope: Scope, at: Path): Finding[] {
  if (scope.burst_size === undefined || scope.requests_per_second !== undefined) return [];
  const message = 'without requests_per_second this would have no effect';
  return [{ path: [...at, 'burst_size'], message, at: 'key' }];
}

function switchedOff(rateLimit: RateLimit, scope: 'per_key' | 'per_backend'): string | undefined {
  if (!rateLimit.enabled) return 'rate_limit.enabled';
  return rateLimit[scope].enabled ? undefined : `rate_limit.${scope}.enabled`;
}

const notInForce = (path: Path, setting: string): Finding => ({
  path,
  message: `${setting} is false: this would have no effect`,
  at: 'key',
});

/** Limits and quotas of keys that nobody would enforce, and limits that are given in both spellings. */
export function checkKeyLimits(lists: readonly KeyList[], rateLimit: RateLimit | undefined): Problem[] {
  return lists.flatMap(({ yaml, path, keys }) =>
    keys
      .flatMap((key, i) => keyLimits(key, rateLimit, [...path, i]))
      .map((finding) => yaml.problem(finding.path, finding.message, finding.at)),
  );
}

function keyLimits(key: KeyEntry, rateLimit: RateLimit | undefined, at: Path): Finding[] {
  const found: Finding[] = [];
  if (key.limits !== undefined && key.rate_limit !== undefined) {
    const message = 'limits is given too: remove this other spelling of it';
    found.push({ path: [...at, 'rate_limit'], message, at: 'key' });
  }
  if (rateLimit === undefined) return found;
  if (!rateLimit.enabled && key.total_quota !== undefined && key.total_quota >= 0) {
    found.push(notInForce([...at, 'total_quota'], 'rate_limit.enabled'));
  }
  const reason = switchedOff(rateLimit, 'per_key');
  if (reason === undefined) return found;
  const given = (['limits', 'rate_limit'] as const).filter((name) => key[name] !== undefined);
  return [...found, ...given.map((name) => notInForce([...at, name], reason))];
}
