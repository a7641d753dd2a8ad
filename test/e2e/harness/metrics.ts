import { fetchText } from './http-client.ts';

/** Value of a series, summed over those of its label sets that hold all of `labels`; 0 when there is none. */
export async function metricSum(
  management: string,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): Promise<number> {
  const { status, text } = await fetchText(management, '/metrics', { headers: {} });
  if (status !== 200) throw new Error(`/metrics answered ${status}: ${text}`);
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  let sum = 0;
  for (const [, series, set = '', value] of text.matchAll(/^(\w+)(?:\{(.*)\})? (\S+)$/gm)) {
    if (series === name && wanted.every((pair) => set.includes(pair))) sum += Number(value);
  }
  return sum;
}
