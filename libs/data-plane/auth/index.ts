export { createAuthenticate } from './authenticate.ts';
export { openKeyring, keyIdOf, type KeyRecord } from './keyring.ts';
export { firstDecisive, anonymous, type AuthProvider, type Caller, type Verdict } from './core/verdict.ts';
export { maskKey } from './core/mask-key.ts';
