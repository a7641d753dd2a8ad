/**
 * The highest constant rate a target keeps up with. The closed loop of 64 connections reaches more: there a busy target
 * finds several requests waiting whenever it wakes up, and handles them for the price of one wake-up. Clients that do
 * not wait for each other grant it no such thing, so half of the closed loop's rate may be more than all it can take.
 */
import { halfLoadPlan } from './measure.ts';
import type { Bench } from './measure.ts';
import type { LoadReport } from './plan.ts';
import type { Target } from './target.ts';

const answeredMin = 0.99;
/** Beyond what a first token takes when there is hardly any load: more is a queue. */
const queuedMsMax = 10;
const lightLoad = 0.1;
const probeMs = 2_000;
const steps = 6;

/** Whether nothing piled up: the answers came, and half of the first tokens about as soon as without other load. */
export const keptUp = (report: LoadReport, ratePerSecond: number, lightP50Ms: number): boolean =>
  report.errors === 0 &&
  report.perSecond >= answeredMin * ratePerSecond &&
  report.ttft.p50 <= lightP50Ms + queuedMsMax;

/**
 * Halves the interval between a rate that was kept up and one that was not, to 1/64 of `rateMax`.
 * @param rateMax requests per second that the target cannot exceed: what the closed loop reached
 */
export async function capacityOf(bench: Bench, target: Target, rateMax: number): Promise<number> {
  const probe = (rate: number) =>
    bench.generator.run({ ...halfLoadPlan(bench, target, rate), durationMs: probeMs });
  const light = await probe(Math.round(rateMax * lightLoad));
  let [kept, missed] = [0, rateMax];
  for (let step = 0; step < steps; step += 1) {
    const rate = Math.round((kept + missed) / 2);
    if (keptUp(await probe(rate), rate, light.ttft.p50)) kept = rate;
    else missed = rate;
  }
  bench.say(
    `capacity     ${target.name.padEnd(16)} keeps up with ${kept}/s (closed loop: ${rateMax.toFixed(0)}/s)`,
  );
  return kept;
}
