/** `llmproxy <command>`. */
import { tellFailure } from './arguments.ts';
import { checkCommand } from './check.ts';
import { deadLettersCommand } from './dead-letters.ts';
import { keysCommand } from './keys.ts';
import { start } from './start.ts';

const usage = `llmproxy: the gateway in front of LLM servers

  llmproxy start [--listen ADDR]         everything on this machine: Redis, gateway, worker, scheduler; without a
        [--data-dir DIR]                 config file also a demo backend and a ready-made key, in DIR (default: data)
  llmproxy check                         is this config file right? exit 0 when it is, else 1
  llmproxy keys add --name NAME          a new key in the built-in store; it is printed once
  llmproxy keys list                     the keys of the built-in store
  llmproxy keys disable|enable|remove ID|NAME
  llmproxy keys restore [ID|NAME]…       puts back what Redis has lost, from a scheduler's copy
  llmproxy dead-letters list             usage events that a reporter did not take after all retries
  llmproxy dead-letters replay           deliver them again  [--reporter NAME] [--id ID]…
  llmproxy version | help

Each takes -c FILE, the config; without it, config.yaml of this folder. keys and dead-letters know the demo's too.
`;

type Command = (args: string[]) => number | Promise<number>;

const version: Command = () => {
  console.log(`llmproxy 0.1.0 (Node ${process.version})`);
  return 0;
};
const help: Command = () => {
  console.log(usage);
  return 0;
};

const commands: ReadonlyMap<string, Command> = new Map([
  ['start', start],
  ['check', checkCommand],
  ['keys', keysCommand],
  ['dead-letters', deadLettersCommand],
  ...['version', '--version'].map((name) => [name, version] as const),
  ...['help', '--help', '-h'].map((name) => [name, help] as const),
]);

async function run(name = 'help', args: string[] = []): Promise<number> {
  const command = commands.get(name);
  if (command !== undefined) return command(args);
  console.error(`llmproxy: there is no command "${name}".\n\n${usage}`);
  return 2;
}

try {
  process.exitCode = await run(process.argv[2], process.argv.slice(3));
} catch (error) {
  process.exitCode = tellFailure(error);
}
// Told to stop while it was fetching or starting something, `start` does not wait for what became of that.
if (process.argv[2] === 'start') process.exit();
