export { hashOfKey, keyIdOfHash, maskKey } from './key-identity.ts';
export { UnreadableKey, type KeyRecord } from './key-record.ts';
export {
  changeKeyRecord,
  findKeyRecord,
  listKeyRecords,
  removeKeyRecord,
  storeKeyRecord,
  type StoredKey,
} from './key-store.ts';
export { followRevocations, publishRevocation, type FollowRevocations } from './revocations.ts';
