import { join } from 'node:path';
import { libraryPath, unpackDebianPackages } from '@llmproxy/debian-packages';
import type { PrivateServerChoice } from './private-server.ts';

/** How to start Debian's nginx: `spawn(command, ['-e', 'stderr', '-p', folder, '-c', file, …], { env })`. */
export interface NginxBinary {
  readonly command: string;
  readonly env: NodeJS.ProcessEnv;
  /** Holds `etc/nginx/mime.types` and so on. */
  readonly root: string;
}

/** Debian's nginx, unpacked, for comparisons. */
export async function debianNginx(choice: PrivateServerChoice = {}): Promise<NginxBinary> {
  const root = await unpackDebianPackages({ name: 'nginx', packages: ['nginx'], ...choice });
  return {
    command: join(root, 'usr/sbin/nginx'),
    env: { ...process.env, LD_LIBRARY_PATH: libraryPath(root) },
    root,
  };
}
