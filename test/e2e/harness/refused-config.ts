/** Configs that nothing may be started on. */
import { startApp, type Exit } from './child.ts';
import { writeConfig, type Setup } from './gateway.ts';

export interface Said {
  readonly exit: Exit;
  readonly stderr: string;
}

/** What the gateway and `llmproxy check` say of a config, and how they end. */
export async function refusalsOf(setup: Setup): Promise<{ gateway: Said; check: Said }> {
  const path = writeConfig(setup);
  const run = async (app: 'gateway' | 'cli', args: string[]): Promise<Said> => {
    await using child = startApp(app, args, setup.folder);
    const exit = await child.exited;
    return { exit, stderr: child.output.stderr };
  };
  const [gateway, check] = await Promise.all([
    run('gateway', ['--config', path]),
    run('cli', ['check', '-c', path]),
  ]);
  return { gateway, check };
}

/** Runs a command of `llmproxy` on the config of a gateway; returns what it wrote to stdout, trimmed. */
export async function llmproxy(folder: string, ...args: string[]): Promise<string> {
  await using child = startApp('cli', [...args, '-c', `${folder}/config.yaml`], folder);
  const { code } = await child.exited;
  if (code !== 0) throw new Error(`llmproxy ${args.join(' ')} ended with ${code}: ${child.output.stderr}`);
  return child.output.stdout.trim();
}
