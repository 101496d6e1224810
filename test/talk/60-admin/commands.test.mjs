// The command line: help, exit codes, keys, configuration, what refuses to start.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { once } from 'node:events';
import { test } from 'node:test';
import { createKey, serve, Server, tempDir, weir } from '../harness.mjs';

test('--version and --help', async () => {
  const version = await weir(['--version']);
  assert.equal(version.code, 0);
  assert.match(version.stdout, /\d+\.\d+\.\d+/);
  const help = await weir(['--help']);
  assert.equal(help.code, 0);
  for (const command of ['serve', 'demo', 'simulate', 'admin', 'bench']) {
    assert.match(help.stdout, new RegExp(`\\b${command}\\b`));
    const own = await weir([command, '--help']);
    assert.equal(own.code, 0, command);
    assert.ok(own.stdout.length > 40, command);
  }
});

for (const args of [[], ['dance'], ['serve', '--colour'], ['serve', 'extra'], ['admin', 'dance'],
  ['serve', '--listen'], ['admin', 'key', 'create', '--name', 'x']]) {
  test(`misuse is exit code 2: weir ${args.join(' ')}`, async () => {
    const run = await weir(args);
    assert.equal(run.code, 2, run.stderr);
    assert.ok(run.stderr.length > 0);
  });
}

const check = (text, more = []) => {
  const file = join(tempDir(), 'weir.conf');
  writeFileSync(file, text);
  return weir(['serve', '--check-config', '--config', file, '--data', tempDir(), ...more]);
};

test('--check-config accepts what is right', async () => {
  const run = await check('# comment\n[http]\nbody_bytes_max = 1048576\n');
  assert.equal(run.code, 0, run.stderr);
});

for (const [name, text, line] of [
  ['an unknown key', '[http]\n\nbody_byte_max = 5\n', 3],
  ['an unknown section', '[htp]\nbody_bytes_max = 5\n', null],
  ['a value out of range', '[http]\nbody_bytes_max = -1\n', 2],
  ['a value that is no number', '[http]\nbody_bytes_max = many\n', 2],
  ['a line without =', '[http]\nbody_bytes_max\n', 2],
]) {
  test(`--check-config names file and line: ${name}`, async () => {
    const run = await check(text);
    assert.equal(run.code, 1, run.stdout + run.stderr);
    assert.match(run.stderr, line ? new RegExp(`weir\\.conf:${line}\\b`) : /weir\.conf:\d/);
  });
}

test('settings by --set and environment, unknown ones refused', async () => {
  assert.equal((await check('', ['--set', 'http.body_bytes_max=65536'])).code, 0);
  assert.notEqual((await check('', ['--set', 'http.nothing=1'])).code, 0);
  const data = tempDir();
  const run = await weir(['serve', '--check-config', '--data', data],
    { env: { WEIR_HTTP_BODY_BYTES_MAX: 'many' } });
  assert.equal(run.code, 1);
  assert.match(run.stderr, /WEIR_HTTP_BODY_BYTES_MAX/);
});

test('a key made while the server runs works at once', async (t) => {
  const server = await serve(t);
  const key = await createKey(server.data, 'read');
  assert.equal((await server.get('/api/v1/series', { key })).status, 200);
});

test('a key made while no server runs works after start, and after a restart', async (t) => {
  const data = tempDir();
  const key = await createKey(data, 'read');
  const server = await serve(t, { data, key });
  assert.equal((await server.get('/api/v1/series')).status, 200);
  await server.stop();
  await server.again();
  assert.equal((await server.get('/api/v1/series')).status, 200);
});

test('a key is printed once and nowhere else', async (t) => {
  const server = await serve(t);
  await server.get('/api/v1/series');
  await server.get(`/api/v1/series?token=${server.key}`);
  assert.ok(!server.log.includes(server.key));
  const metrics = await server.get('/metrics');
  assert.ok(!metrics.text.includes(server.key));
});

test('a key for a name that is no name is refused', async () => {
  const run = await weir(['admin', 'key', 'create', '--data', tempDir(), '--name', 'Ä b',
    '--rights', 'read']);
  assert.notEqual(run.code, 0);
  const rights = await weir(['admin', 'key', 'create', '--data', tempDir(), '--name', 'a',
    '--rights', 'read,fly']);
  assert.notEqual(rights.code, 0);
  assert.match(rights.stderr, /fly/);
});

test('without a key only what is open answers', async (t) => {
  const server = await serve(t, { key: false });
  for (const path of ['/', '/healthz', '/readyz', '/version'])
    assert.equal((await server.get(path)).status, 200, path);
  for (const path of ['/api/v1/series', '/api/v1/query?metric=a', '/api/v1/subscribe?channel=a'])
    assert.equal((await server.get(path)).status, 401, path);
  assert.equal((await server.post('/write', 'a v=1')).status, 401);
  assert.equal((await server.get('/api/v1/demo')).status, 404);
});

test('a second server on the same data refuses and says so', async (t) => {
  const server = await serve(t);
  const run = await weir(['serve', '--data', server.data, '--listen', 'http://127.0.0.1:0']);
  assert.equal(run.code, 1);
  assert.match(run.stderr, /use|lock|another|running/i);
  assert.equal((await server.get('/healthz')).status, 200);
});

test('a port that is taken is an error with its name', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address();
  const run = await weir(['serve', '--data', tempDir(), '--listen', `http://127.0.0.1:${port}`]);
  other.close();
  assert.equal(run.code, 1);
  assert.match(run.stderr, new RegExp(`${port}`));
});

test('an address that is none is misuse', async () => {
  for (const address of ['127.0.0.1', 'ftp://127.0.0.1:1', 'http://127.0.0.1:99999', 'http://']) {
    const run = await weir(['serve', '--data', tempDir(), '--listen', address]);
    assert.ok([1, 2].includes(run.code), `${address}: ${run.code}`);
    assert.ok(run.stderr.length > 0);
  }
});

test('a data directory that cannot be written is an error with its name', async () => {
  const path = join(tempDir(), 'file');
  writeFileSync(path, 'not a directory');
  const run = await weir(['serve', '--data', path, '--listen', 'http://127.0.0.1:0']);
  assert.equal(run.code, 1);
  assert.ok(run.stderr.includes(path));
  if (process.getuid() !== 0) {
    const closed = join(tempDir(), 'closed');
    mkdirSync(closed);
    chmodSync(closed, 0o500);
    assert.equal((await weir(['serve', '--data', closed])).code, 1);
  }
});

test('the data directory is for its owner alone', async (t) => {
  const data = join(tempDir(), 'made');
  const server = await serve(t, { data });
  assert.ok(existsSync(data));
  assert.equal(statSync(data).mode & 0o007, 0);
  assert.equal(statSync(join(data, 'admin.sock')).mode & 0o077, 0);
  assert.equal((await server.get('/healthz')).status, 200);
});

test('several addresses, IPv6 too', async (t) => {
  let server;
  try {
    server = await Server.start({ listen: ['http://127.0.0.1:0', 'http://[::1]:0'] });
  } catch (error) {
    if (/address family|cannot assign/i.test(error.message)) return t.skip('no IPv6 here');
    throw error;
  }
  t.after(() => server.stop());
  for (const address of server.addresses)
    assert.equal((await fetch(`${address}/healthz`)).status, 200, address);
});
