/** `llmproxy <command>`. */
import { checkCommand } from './check.ts';
import { deadLettersCommand } from './dead-letters.ts';
import { start } from './start.ts';

const usage = `llmproxy: the gateway in front of LLM servers

  llmproxy start [-c FILE] [--listen ADDR]   everything on this machine: Redis, gateway, worker, scheduler;
                                             without a config file also a demo backend and a ready-made key
  llmproxy check -c FILE                     is this config file right? exit 0 when it is, else 1
  llmproxy dead-letters list -c FILE         usage events that a reporter did not take after all retries
  llmproxy dead-letters replay -c FILE       deliver them again  [--reporter NAME]
  llmproxy version | help
`;

async function run(command: string | undefined, args: string[]): Promise<number> {
  switch (command) {
    case 'start':
      return start(args);
    case 'check':
      return checkCommand(args);
    case 'dead-letters':
      return deadLettersCommand(args);
    case 'version':
    case '--version':
      console.log(`llmproxy 0.1.0 (Node ${process.version})`);
      return 0;
    case undefined:
    case 'help':
    case '--help':
    case '-h':
      console.log(usage);
      return 0;
    default:
      console.error(`llmproxy: there is no command "${command}".\n\n${usage}`);
      return 2;
  }
}

try {
  process.exitCode = await run(process.argv[2], process.argv.slice(3));
} catch (error) {
  console.error(`llmproxy: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
