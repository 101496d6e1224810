// The real nginx and HAProxy in front of a server, with the configurations of docs/proxies.md:
// only ports are put in, and what keeps all files in a directory of the test.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { tempDir, until, within } from '../harness.mjs';

const text = readFileSync(new URL('../../../docs/proxies.md', import.meta.url), 'utf8');
const documented = (kind) => new RegExp('```' + kind + '\\n(.*?)```', 's').exec(text)[1];

/** What is to be replaced must be there: the documentation is what is tested. */
function put(config, from, to) {
  if (!config.includes(from)) throw new Error(`docs/proxies.md has no '${from}'`);
  return config.replaceAll(from, to);
}

const kinds = {
  nginx: {
    binary: '/usr/sbin/nginx',
    config: (port, own, dir) => `
pid ${dir}/pid;
error_log ${dir}/error.log;
daemon off;
master_process off;
events { worker_connections 512; }
http {
access_log off;
${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${dir}/${name};`).join('\n')}
${put(put(documented('nginx'), 'listen 80', `listen 127.0.0.1:${own}`), '127.0.0.1:8080',
    `127.0.0.1:${port}`)}
}`,
    args: (file, dir) => ['-p', dir, '-e', `${dir}/error.log`, '-c', file],
  },
  haproxy: {
    binary: '/usr/sbin/haproxy',
    config: (port, own) => put(
      put(documented('haproxy'), 'bind :80', `bind 127.0.0.1:${own}`), '127.0.0.1:8080',
      `127.0.0.1:${port}`),
    args: (file) => ['-db', '-f', file],
  },
};

export const names = Object.keys(kinds);
export const missing = (name) =>
  existsSync(kinds[name].binary) ? false : `the package ${name} is not installed`;

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await new Promise((done) => server.once('listening', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

const answers = (port) => new Promise((done) => {
  const socket = net.connect({ port, host: '127.0.0.1' });
  socket.on('connect', () => done(true)).on('error', () => done(false));
  socket.on('connect', () => socket.destroy());
});

/** { url, port, stop() }: the proxy `name` before the port. */
export async function front(name, port) {
  const { binary, config, args } = kinds[name];
  const dir = tempDir();
  const own = await freePort();
  const file = join(dir, 'conf');
  writeFileSync(file, config(port, own, dir));
  const child = spawn(binary, args(file, dir), { stdio: ['ignore', 'ignore', 'pipe'] });
  const end = () => child.kill('SIGKILL');
  process.on('exit', end);
  let errors = '';
  child.stderr.on('data', (part) => (errors += part));
  const ended = new Promise((done) => child.on('exit', done));
  await until(async () => {
    if (child.exitCode !== null) throw new Error(`${name} ended: ${errors}`);
    return answers(own);
  }, `${name} to listen`);
  return {
    port: own,
    url: `http://127.0.0.1:${own}`,
    async stop() {
      child.kill('SIGTERM');
      await within(ended, `${name} to end`).catch(end);
      process.off('exit', end);
    },
  };
}
