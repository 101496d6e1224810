// A running server: health, metrics, logs, signals, the demonstration.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createKey, Events, serve, Server, tempDir, until, weir } from '../harness.mjs';

test('health, readiness and version', async (t) => {
  const server = await serve(t);
  assert.equal((await server.get('/healthz', { key: false })).status, 200);
  assert.equal((await server.get('/readyz', { key: false })).status, 200);
  const { stdout } = await weir(['--version']);
  const version = (await server.get('/version', { key: false })).json().version;
  assert.ok(stdout.includes(version));
});

test('metrics are Prometheus text, each with help and type', async (t) => {
  const server = await serve(t);
  await server.post('/write', 'a v=1\na v=2');
  const answer = await server.get('/metrics', { key: false });
  assert.equal(answer.status, 200);
  assert.match(answer.headers['content-type'], /^text\/plain/);
  const names = new Set();
  for (const line of answer.text.trim().split('\n')) {
    if (line.startsWith('#')) assert.match(line, /^# (HELP|TYPE) weir_\w+ \S/);
    else assert.match(line, /^weir_\w+(\{[^}]*\})? [-+0-9.e]+(Inf|NaN)?$/, line);
    names.add(line.split(/[ {]/)[line.startsWith('#') ? 2 : 0]);
  }
  assert.ok(names.size > 5);
});

test('the log says durability, and speaks JSON on request', async (t) => {
  const plain = await serve(t);
  assert.match(plain.log, /durability=fsync/);
  const json = await serve(t, { key: false, args: ['--set', 'log.format=json'] });
  const line = json.log.split('\n').find((row) => row.includes('"listening"'));
  assert.ok(line, json.log);
  const entry = JSON.parse(line);
  assert.equal(entry.event, 'listening');
  assert.match(entry.address, /^http:/);
});

/** A write of so many bytes whose head the server has read, as its 100 says. */
async function begin(server, bytes) {
  const raw = await server.connect();
  raw.send(`POST /write HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${server.key}\r\n` +
    `Expect: 100-continue\r\nContent-Length: ${bytes}\r\n\r\n`);
  assert.equal((await raw.answer()).status, 100);
  return raw;
}

test('SIGTERM answers what is held, then ends with 0', async () => {
  const server = await Server.start();
  const line = 'drain v=1 1700000000000000000\n';
  const raw = await begin(server, line.length);
  raw.send(line.slice(0, 10));
  server.child.kill('SIGTERM');
  await until(async () => (await server.get('/readyz').catch(() => ({ status: 503 })))
    .status !== 200, 'the server to refuse');
  raw.send(line.slice(10));
  const answer = await raw.answer();
  assert.ok([204, 503].includes(answer.status));
  raw.close();
  const how = await server.child.ended;
  assert.equal(how.code, 0, how.stderr);
});

test('a second signal ends at once what the first one waits for', async () => {
  const server = await Server.start();
  const raw = await begin(server, 100);
  server.child.kill('SIGTERM');
  await until(() => server.log.includes('event=stopping'), 'the server to drain');
  // The signal gets its usual meaning just before that line.
  server.child.kill('SIGINT');
  const how = await server.child.ended;
  assert.equal(how.signal, 'SIGINT');
  raw.close();
});

test('a key that is removed is refused and its stream ends', async (t) => {
  const server = await serve(t);
  const key = await createKey(server.data, 'read,subscribe');
  const events = await Events.open(server, '/api/v1/subscribe?channel=a', { key });
  const list = await weir(['admin', 'key', 'list', '--data', server.data]);
  assert.ok(!list.stdout.includes(key));
  const name = list.stdout.trim().split('\n').at(-1).split(/\s+/)[1];
  const run = await weir(['admin', 'key', 'remove', '--data', server.data, '--name', name]);
  assert.equal(run.code, 0, run.stderr);
  await until(() => events.over, 'the stream to end');
  assert.equal((await server.get('/api/v1/series', { key })).status, 401);
  const again = await weir(['admin', 'key', 'remove', '--data', server.data, '--name', name]);
  assert.equal(again.code, 1);
  assert.match(again.stderr, new RegExp(name));
});

test('SIGHUP reloads what may change, and keeps running on a bad file', async (t) => {
  const file = join(tempDir(), 'weir.conf');
  writeFileSync(file, '[http]\nbody_bytes_max = 1048576\n');
  const server = await serve(t, { args: ['--config', file] });
  const body = `[${' '.repeat(100_000)}]`;
  assert.notEqual((await server.post('/api/v1/readings', body)).status, 413);
  writeFileSync(file, '[http]\nbody_bytes_max = 65536\n');
  server.child.kill('SIGHUP');
  await until(async () => (await server.post('/api/v1/readings', body)).status === 413,
    'the new limit');
  writeFileSync(file, '[http]\nnonsense = 1\n');
  server.child.kill('SIGHUP');
  await until(() => /weir\.conf:2/.test(server.log), 'the error in the log');
  assert.equal((await server.get('/healthz')).status, 200);
});

test('the demonstration: its key, its address, readings that move', async (t) => {
  const demo = await Server.start({ command: 'demo', key: 'weir-demo-key' });
  t.after(() => demo.child.exitCode === null && demo.stop());
  assert.deepEqual((await demo.get('/api/v1/demo', { key: false })).json().key, 'weir-demo-key');
  // History comes first, faster than anybody may be able to listen.
  await until(() => demo.log.includes('event=fleet'), 'the history to be sent');
  const events = await Events.open(demo, '/api/v1/subscribe?channel=readings/%23');
  const devices = new Set();
  while (devices.size < 2)
    for (const one of await events.next(20)) devices.add(one.json.data.device);
  events.close();
  await until(async () => {
    const { items } = (await demo.get('/api/v1/series?limit=1000')).json();
    const metrics = new Set(items.map((one) => one.metric));
    return metrics.has('temp') && metrics.size > 1;
  }, 'series of the fleet');
  const text = demo.child.text.stdout + demo.log;
  assert.ok(text.includes('weir-demo-key'));
  assert.equal(text.match(/\bcurl\b/g)?.length, 3);
});

test('the demonstration is for loopback only', async () => {
  const run = await weir(['demo', '--listen', 'http://0.0.0.0:0']);
  assert.notEqual(run.code, 0);
  assert.match(run.stderr, /loopback/);
});

test('simulate is reproducible and its promise is kept by the store', async (t) => {
  const server = await serve(t);
  const args = ['simulate', '--seed', '7', '--count', '2000', '--url', server.url, '--key', server.key];
  const first = await weir(args, { ms: 60_000 });
  assert.equal(first.code, 0, first.stderr);
  const second = await weir(args, { ms: 60_000 });
  assert.equal(second.stdout, first.stdout);
  assert.ok(first.stdout.length > 0);
});
