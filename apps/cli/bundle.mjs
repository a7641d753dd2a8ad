// Bundles one app with esbuild: `node bundle.mjs apps/gateway` writes dist/apps/gateway/app.js, and the main.js
// that starts it.
import { build } from 'esbuild';
import { readFileSync } from 'node:fs';
import { copyFile, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Puts the text of Redis scripts into the bundle: `new URL('./x.lua', import.meta.url)` would look beside it. */
const scriptsInside = {
  name: 'scripts-inside',
  setup({ onLoad }) {
    onLoad({ filter: /[\\/]libs[\\/].*\.ts$/ }, async ({ path }) => {
      const source = await readFile(path, 'utf8');
      const scripts = [];
      const contents = source.replace(/new URL\('(\.[\w./-]*\.lua)', import\.meta\.url\)/g, (_, file) => {
        const script = join(dirname(path), file);
        scripts.push(script);
        return `new URL(${JSON.stringify(`data:text/x-lua,${encodeURIComponent(readFileSync(script, 'utf8'))}`)})`;
      });
      return scripts.length === 0 ? undefined : { contents, loader: 'ts', watchFiles: scripts };
    });
  },
};

const projectRoot = process.argv[2];
await build({
  entryPoints: [`${projectRoot}/main.ts`],
  outfile: `dist/${projectRoot}/app.js`,
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  sourcemap: true,
  minifySyntax: true, // inlines constants across files, which the byte scanners gain from
  logLevel: 'warning',
  external: ['pg-native'],
  plugins: [scriptsInside],
  // Bundled CommonJS packages call require(); an ES module has none of its own.
  banner: {
    js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
  },
});
await copyFile('apps/cli/entry.mjs', `dist/${projectRoot}/main.js`);
