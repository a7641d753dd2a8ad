export { hashOfKey, keyIdOfHash, maskKey } from './key-identity.ts';
export { nameLatestChange, readChanges, type Changes } from './changes.ts';
export { isRemovedText, parseKeyRecord, UnreadableKey, type KeyRecord } from './key-record.ts';
export {
  changeKeyRecord,
  findKeyRecord,
  listKeyRecords,
  readKeyTexts,
  removedKeptMs,
  removeKeyRecord,
  reservePlaces,
  restoreKeyRecord,
  scanKeyTexts,
  storeKeyRecord,
  type KeyText,
  type StoredKey,
} from './key-store.ts';
export { followRevocations, publishRevocation, type FollowRevocations } from './revocations.ts';
