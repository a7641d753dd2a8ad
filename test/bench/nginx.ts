import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { libraryPath, unpackDebianPackages } from '@llmproxy/debian-packages';
import type { MockBackend } from './backend.ts';
import type { Children } from './children.ts';
import { processTree } from './proc.ts';
import { freePort, untilAnswering } from './target.ts';
import type { Target } from './target.ts';

/** An nginx binary and the environment it needs. */
export interface NginxProgram {
  readonly command: string;
  readonly env: Readonly<Record<string, string>>;
}

/** The nginx of Debian, unpacked into the project's cache. @throws Error when it is not there and cannot be downloaded */
export async function debianNginx(say: (line: string) => void): Promise<NginxProgram> {
  const root = await unpackDebianPackages({ name: 'nginx', packages: ['nginx'], onProgress: say });
  return { command: join(root, 'usr/sbin/nginx'), env: { LD_LIBRARY_PATH: libraryPath(root) } };
}

/** As plain as a proxy can be: kept-alive connections to the backend, nothing buffered, no log. */
function config(listen: number, backend: number): string {
  return `daemon off;
worker_processes 2;
pid nginx.pid;
error_log stderr crit;
events { worker_connections 16384; }
http {
  access_log off;
  keepalive_requests 100000000;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  upstream backend {
    server 127.0.0.1:${backend};
    keepalive 512;
    keepalive_requests 100000000;
  }
  server {
    listen 127.0.0.1:${listen} backlog=4096;
    location / {
      proxy_pass http://backend;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }
  }
}
`;
}

export async function startNginx(
  children: Children,
  program: NginxProgram,
  backend: MockBackend,
  folder: string,
): Promise<Target> {
  const port = await freePort();
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'nginx.conf'), config(port, backend.port));
  const child = children.spawn(program.command, ['-p', folder, '-c', join(folder, 'nginx.conf')], {
    env: { ...process.env, ...program.env },
  });
  const to = { port, headers: {} };
  await untilAnswering(to);
  return {
    name: 'nginx',
    setup:
      'Debian package, 2 workers, plain `proxy_pass`, keep-alive to the backend, `proxy_buffering off`, no log',
    to,
    pids: () => processTree(child.pid ?? 0),
    companions: () => ({}),
  };
}
