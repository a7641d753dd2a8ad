// Bundles one app with esbuild: `node bundle.mjs apps/gateway` writes dist/apps/gateway/main.js.
import { build } from 'esbuild';

const projectRoot = process.argv[2];
await build({
  entryPoints: [`${projectRoot}/main.ts`],
  outfile: `dist/${projectRoot}/main.js`,
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  sourcemap: true,
  minifySyntax: true, // inlines constants across files, which the byte scanners gain from
  logLevel: 'warning',
  external: ['pg-native'],
  // Bundled CommonJS packages call require(); an ES module has none of its own.
  banner: {
    js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
  },
});
