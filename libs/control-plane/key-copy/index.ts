export { copyFileIn, readCopy } from './copy-file.ts';
export type { KeyCopy } from './core/compare.ts';
export { openKeyCopy, type KeyCopyEvents, type KeyCopyKeeper } from './key-copy.ts';
