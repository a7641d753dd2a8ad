/** Run from a checkout before it is built: whether `llmproxy start` is called rightly. */
import { tellFailure } from './arguments.ts';
import { startArguments } from './start-arguments.ts';

try {
  startArguments(process.argv.slice(2));
} catch (error) {
  process.exitCode = tellFailure(error);
}
