// Finds a Node.js 24 whatever Node started us: the one running, or the pinned npm platform package.
// Plain JavaScript on purpose: this file must run on any Node >= 20 before anything is installed or built.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const repoRoot = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** Path of a Node >= 24 executable, or undefined when neither the running Node nor the platform package is one. */
export function findNode24() {
  if (Number(process.versions.node.split('.')[0]) >= 24) return process.execPath;
  const pinned = join(repoRoot, 'node_modules', `node-${process.platform}-${process.arch}`, 'bin', 'node');
  return existsSync(pinned) ? pinned : undefined;
}

/** What to tell a user for whom there is no Node 24. */
export const noNode24 =
  `llmproxy needs Node.js 24 or later; this is ${process.version} on ${process.platform}-${process.arch}, and the pinned ` +
  `npm package node-${process.platform}-${process.arch} is not installed. Run "npm install" (Linux x64 and arm64 get ` +
  `Node 24 that way), or install Node.js 24 from https://nodejs.org.`;
