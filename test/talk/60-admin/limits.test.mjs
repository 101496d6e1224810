// Limits: requests, readings and bytes of each principal; wrong credentials of an address; and what
// a running server keeps to itself.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import WebSocket from 'ws';
import { assertProblem, createKey, request, serve, tempDir, until, within } from '../harness.mjs';
import { local } from './local.mjs';

const t0 = 1_700_000_000_000;
const set = (...all) => all.flatMap((one) => ['--set', one]);

/** 429 that says when to come back. */
function assertLater(answer, what) {
  const problem = assertProblem(answer, 429);
  assert.match(problem.detail, what);
  assert.match(answer.headers['retry-after'], /^[1-9]\d*$/);
  return Number(answer.headers['retry-after']);
}

/** How often 429 was said, by what there was too much of. */
async function limited(server) {
  const { text } = await local(server, 'GET', '/metrics');
  const found = text.matchAll(/^weir_rate_limited_total\{of="(\w+)"\} (\d+)$/gm);
  return Object.fromEntries([...found].map(([, of, count]) => [of, Number(count)]));
}

const count = async (server, metric) =>
  ((await local(server, 'GET', `/api/v1/query?metric=${metric}&from=0&to=${t0 * 2}`)).json()
    .series ?? []).reduce((sum, one) => sum + one.points.length, 0);

test('requests: each key its own, health is always told, SIGHUP changes the limit', async (t) => {
  const file = join(tempDir(), 'weir.conf');
  writeFileSync(file, '[rate]\nrequests_per_s = 1\nburst_s = 4\n');
  const server = await serve(t, { args: ['--config', file] });
  const other = await createKey(server.data);
  const answers = [];
  for (let i = 0; i < 12; i++) answers.push(await server.get('/api/v1/series'));
  const passed = answers.filter(({ status }) => status === 200).length;
  assert.ok(passed >= 4 && passed < 12, `${passed} passed`);
  const refused = answers.find(({ status }) => status === 429);
  assert.equal(assertLater(refused, /requests/), 1);
  assert.equal((await server.get('/api/v1/series', { key: other })).status, 200);
  assert.equal((await server.get('/healthz')).status, 200);
  assert.equal((await server.get('/metrics')).status, 200);
  for (let i = 0; i < 20; i++)
    assert.equal((await local(server, 'GET', '/api/v1/series')).status, 200);
  const { requests, ...rest } = await limited(server);
  assert.equal(requests, 12 - passed);
  assert.deepEqual(rest, { readings: 0, bytes: 0, credentials: 0 });
  writeFileSync(file, '');
  server.child.kill('SIGHUP');
  await until(() => server.log.includes('event=reloaded'), 'the settings to be read');
  for (let i = 0; i < 20; i++) assert.equal((await server.get('/api/v1/series')).status, 200);
});

test('readings: what is over the limit is refused as a whole', async (t) => {
  const server = await serve(t, { args: set('rate.readings_per_s=1', 'rate.burst_s=1') });
  const post = (id, points) => server.post('/api/v1/readings', [{
    device: { id },
    readings: Array.from({ length: points }, (_, i) => ({ time: t0 + i, much: i })),
  }]);
  // More than the burst is let through once, and owed.
  assert.equal((await post('a', 100)).status, 202);
  const wait = assertLater(await post('b', 5), /readings/);
  assert.ok(wait > 90 && wait <= 105, String(wait));
  assertLater(await server.post('/write?precision=ms', `much,device=c much=1 ${t0}`), /readings/);
  assert.equal(await count(server, 'much'), 100);
  assert.deepEqual(await limited(server), { requests: 0, readings: 2, bytes: 0, credentials: 0 });
});

test('bytes: a body of lines waits and is taken whole; a document is refused', async (t) => {
  const server = await serve(t,
    { args: set('rate.bytes_per_s=100KiB', 'rate.burst_s=1', 'intake.chunk_bytes=8KiB') });
  const lines = Array.from({ length: 5000 },
    (_, i) => `slow,device=a v=${i},pad="${'x'.repeat(20)}" ${t0 + i}`).join('\n');
  const begun = Date.now();
  const answer = await server.post('/write?precision=ms', lines);
  assert.equal(answer.status, 204, answer.text);
  // A burst at once, the rest at its pace.
  assert.ok(Date.now() - begun >= (lines.length / 102_400 - 1) * 1000 - 100);
  assert.equal(await count(server, 'slow.v'), 5000);
  assert.equal((await server.post('/api/v1/publish',
    { channels: ['a'], data: 'x'.repeat(300_000) })).status, 429);
  assertLater(await server.post('/api/v1/readings', `[${' '.repeat(200_000)}]`), /bytes/);
  const { bytes, ...rest } = await limited(server);
  assert.equal(bytes, 2);
  assert.deepEqual(rest, { requests: 0, readings: 0, credentials: 0 });
});

test('messages that a WebSocket publishes count as requests', async (t) => {
  const server = await serve(t, { args: set('rate.requests_per_s=1', 'rate.burst_s=5') });
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}/api/v1/subscribe`,
    { headers: { authorization: `Bearer ${server.key}` } });
  const acks = [];
  socket.on('message', (data) => acks.push(JSON.parse(data)));
  await within(new Promise((done) => socket.on('open', done)), 'a WebSocket to open');
  for (let ref = 0; ref < 20; ref++)
    socket.send(JSON.stringify({ publish: ['a'], data: ref, ref }));
  await until(() => acks.length === 20, 'twenty acknowledgements');
  const good = acks.filter(({ ok }) => ok).length;
  assert.ok(good >= 4 && good < 20, `${good} published`);
  for (const { ok, error } of acks) if (!ok) assert.equal(error.status, 429);
  assert.equal((await limited(server)).requests, 20 - good);
  socket.terminate();
});

test('wrong credentials: an address that guesses is not told when it is right', async (t) => {
  const server = await serve(t, { args: set('rate.failures_per_s=1') });
  const known = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const again = new http.Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => [known, again].forEach((agent) => agent.destroy()));
  const ask = (key, agent) => request(server.port, 'GET', '/api/v1/series', { key, agent });
  assert.equal((await ask(server.key, known)).status, 200);
  const statuses = [];
  for (let i = 0; i < 30; i++) statuses.push((await ask(`guess-${i}`)).status);
  const looked = statuses.filter((status) => status === 401).length;
  assert.ok(looked >= 10 && looked < 25, `${looked} were looked at`);
  assert.ok(statuses.every((status) => status === 401 || status === 429));
  // The right ones, twice on one connection: what was not told is not remembered either.
  assertLater(await ask(server.key, again), /wrong credentials/);
  assertLater(await ask(server.key, again), /wrong credentials/);
  assert.equal((await ask(server.key, known)).status, 200);
  assert.equal((await server.get('/healthz')).status, 200);
  assert.equal((await local(server, 'GET', '/api/v1/series')).status, 200);
  assert.ok((await limited(server)).credentials > 0);
  await until(async () => (await ask(server.key)).status === 200, 'the address to be forgiven');
});

test('metrics name no series, device, tenant, key or person', async (t) => {
  const server = await serve(t);
  const user = { username: 'planted-person', password: 'planted-pass', permission: 'user' };
  const admin = (path, body) => local(server, 'POST', `/api/v1/admin/${path}`, body);
  await admin('users', user);
  await admin('keys', { name: 'planted-key', rights: 'read' });
  await admin('devices', { id: 'planted-device', state: true });
  const body = [{ device: { id: 'planted-device' }, readings: [{ time: t0, planted: 1 }] }];
  const posted = await server.post('/api/v1/readings', body);
  assert.equal(posted.json().accepted, 1, posted.text);
  await server.post('/api/v1/publish', { channels: ['planted/channel'], data: 1 });
  const { text } = await server.get('/metrics');
  assert.doesNotMatch(text, /planted|"[^"]*main/);
  const labels = new Set([...text.matchAll(/[{,](\w+)="/g)].map(([, name]) => name));
  assert.deepEqual([...labels].sort(), ['class', 'le', 'limit', 'of', 'reason', 'result']);
});

test('no core files, unless asked for', async (t) => {
  const core = (pid) => /^Max core file size +(\S+) +(\S+)/m.exec(
    readFileSync(`/proc/${pid}/limits`, 'utf8')).slice(1);
  const server = await serve(t);
  assert.deepEqual(core(server.pid), ['0', '0']);
  const open = await serve(t, { args: set('process.dumpable=yes') });
  assert.deepEqual(core(open.pid), core('self'));
});
