import { expect, test } from 'vitest';
import { slots } from './slots.ts';

test('no more work runs at once than there are slots, and what waits keeps its order', async () => {
  const inSlot = slots(2);
  const begun: number[] = [];
  const finish: (() => void)[] = [];
  const works = [0, 1, 2, 3].map((index) =>
    inSlot(async () => {
      begun.push(index);
      await new Promise<void>((resolve) => (finish[index] = resolve));
    }),
  );
  await Promise.resolve();
  expect(begun).toEqual([0, 1]);
  finish[1]?.();
  await works[1];
  expect(begun).toEqual([0, 1, 2]);
  finish[0]?.();
  finish[2]?.();
  await works[0];
  await expect.poll(() => begun).toEqual([0, 1, 2, 3]);
  finish[3]?.();
  await Promise.all(works);
});

test('a slot is free again after work that failed', async () => {
  const inSlot = slots(1);
  await expect(inSlot(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
  await expect(inSlot(() => Promise.resolve('yes'))).resolves.toBe('yes');
});
