import nx from '@nx/eslint-plugin';
import tseslint from 'typescript-eslint';

const only = (sourceTag, ...onlyDependOnLibsWithTags) => ({ sourceTag, onlyDependOnLibsWithTags });

/** Who may import whom. `spec` is the extra scope that tests may reach. */
const boundaries = (...spec) => [
  'error',
  {
    enforceBuildableLibDependency: false,
    banTransitiveDependencies: false,
    depConstraints: [
      only('scope:data-plane', 'scope:data-plane', 'scope:shared', ...spec),
      only('scope:control-plane', 'scope:control-plane', 'scope:shared', ...spec),
      only('scope:cli', 'scope:control-plane', 'scope:shared', ...spec),
      only('scope:demo', 'scope:shared', ...spec),
      only('scope:shared', 'scope:shared', ...spec),
      only('scope:testing', 'scope:testing', 'scope:shared'),
      only('type:app', 'type:stage', 'type:lib', 'type:config', ...spec.map(() => 'type:testing')),
      only('type:config', 'type:lib', ...spec.map(() => 'type:testing')),
      only('type:testing', 'type:testing', 'type:lib', 'type:config'),
      ...['type:stage', 'type:lib'].map((tag) => only(tag, 'type:lib', ...spec.map(() => 'type:testing'))),
      {
        sourceTag: 'scope:data-plane',
        bannedExternalImports: ['pg', 'mysql2', 'mysql2/*', 'kysely', 'better-sqlite3'],
      },
    ],
  },
];

const coreIsPure = {
  'no-restricted-imports': [
    'error',
    {
      patterns: [
        {
          group: ['node:*', 'undici', 'ioredis', 'bullmq'],
          message: 'core/ is pure: data and nowMs in, data out.',
        },
      ],
    },
  ],
  'no-restricted-globals': ['error', 'process', 'setTimeout', 'setInterval', 'performance', 'fetch'],
  'no-restricted-properties': [
    'error',
    { object: 'Date', property: 'now', message: 'core/ takes nowMs as a parameter.' },
    { object: 'Math', property: 'random', message: 'core/ takes its randomness as a parameter.' },
  ],
};

export default tseslint.config(
  {
    ignores: ['**/node_modules', '**/dist', '**/.cache', '**/.nx', '**/*.mjs', '**/*.js', 'vitest.config.ts'],
  },
  {
    files: ['**/*.ts'],
    plugins: { '@nx': nx, '@typescript-eslint': tseslint.plugin },
    languageOptions: {
      parser: tseslint.parser,
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@nx/enforce-module-boundaries': boundaries(),
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: false }],
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      'max-lines-per-function': ['error', { max: 50, skipBlankLines: true, skipComments: true }],
      'max-params': ['error', 4],
      complexity: ['error', 10],
      'prefer-const': 'error',
      'no-var': 'error',
      eqeqeq: 'error',
    },
  },
  { files: ['libs/*/*/core/**/*.ts', 'apps/*/core/**/*.ts'], ignores: ['**/*.spec.ts'], rules: coreIsPure },
  {
    files: ['**/*.{spec,conformance}.ts', 'test/**/*.ts', 'libs/testing/**/*.ts'],
    rules: { '@nx/enforce-module-boundaries': boundaries('scope:testing'), 'max-lines-per-function': 'off' },
  },
);
