// The `main.js` of each built app. Plain JavaScript that any Node understands: an older one would end at the first module
// or word that it does not know, with a stack trace that does not say why.
const needed = 24;
if (Number(process.versions.node.split('.')[0]) >= needed) await import('./app.js');
else {
  const pinned = `node_modules/node-${process.platform}-${process.arch}/bin/node`;
  process.stderr.write(
    `llmproxy needs Node.js ${needed} or later; this is ${process.versions.node} (${process.execPath}). ` +
      `In an installed checkout Linux on x64 and arm64 has one: ${pinned}\n`,
  );
  process.exitCode = 78; // as for a config that cannot be used: to start it again is of no use
}
