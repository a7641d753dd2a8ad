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
const ttftP50MsMax = 50;
const probeMs = 2_000;
const steps = 6;

/** Whether nothing piled up: the answers came, and half of the first tokens soon after their requests were due. */
export const keptUp = (report: LoadReport, ratePerSecond: number): boolean =>
  report.errors === 0 && report.perSecond >= answeredMin * ratePerSecond && report.ttft.p50 <= ttftP50MsMax;

/**
 * Halves the interval between a rate that was kept up and one that was not, to 1/64 of `rateMax`.
 * @param rateMax requests per second that the target cannot exceed: what the closed loop reached
 */
export async function capacityOf(bench: Bench, target: Target, rateMax: number): Promise<number> {
  let [kept, missed] = [0, rateMax];
  for (let step = 0; step < steps; step += 1) {
    const rate = Math.round((kept + missed) / 2);
    const report = await bench.generator.run({ ...halfLoadPlan(bench, target, rate), durationMs: probeMs });
    if (keptUp(report, rate)) kept = rate;
    else missed = rate;
  }
  bench.say(
    `capacity     ${target.name.padEnd(16)} keeps up with ${kept}/s (closed loop: ${rateMax.toFixed(0)}/s)`,
  );
  return kept;
}
