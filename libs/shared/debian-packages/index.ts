export { defaultCacheDir, libraryPath, unpackDebianPackages } from './unpack.ts';
export type { WantedPackages } from './unpack.ts';
export { startServerProcess, untilReady } from './server-process.ts';
export type { ServerProcess, ServerStart } from './server-process.ts';
