import { defineConfig } from 'vitest/config';

// One config for every project; nx passes `--dir` so that each target runs only its own specs.
export default defineConfig({
  test: {
    include: ['**/*.spec.ts'],
    pool: 'forks',
    testTimeout: 30_000,
    hookTimeout: 120_000,
  },
});
