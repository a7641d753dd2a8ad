export { corkForTurn, inTurn, turnEnded, type Stage } from './turn.ts';
