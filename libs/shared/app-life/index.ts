export { endWith, runMain } from './run-main.ts';
export { untilToldToStop } from './told-to-stop.ts';
