export {
  startFakeBackend,
  type FakeBackend,
  type FakeBackendOptions,
  type PlayFor,
  type RecordedRequest,
} from './fake-backend.ts';
export { play, type Ending, type Play, type PlayOptions, type Step } from './play.ts';
export { openai } from './openai-plays.ts';
export { anthropic } from './anthropic-plays.ts';
export { createGate, type Gate } from './gate.ts';
export { transcript } from './transcript.ts';
