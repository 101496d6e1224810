// What is taken away counts at once on connections that are open: kept alive, in the middle of an
// upload, event streams, WebSockets. (Rights lost without credentials lost: 15-rights/live.)
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { logIn, settle, subscriberToken } from '../15-rights/inhabitants.mjs';
import { assertProblem, Events, Server, until, within } from '../harness.mjs';

let server, world, serial = 0;
const bearer = (token) => ({ authorization: `Bearer ${token}` });
const basic = (name, word) => ({ authorization: `Basic ${Buffer.from(`${name}:${word}`).toString('base64')}` });
const password = 'correct-horse-battery';

before(async () => {
  server = await Server.start({ args: ['--set', 'rate.failures_per_s=100000',
    '--set', 'intake.chunk_bytes=8KiB'] });
  world = await settle(server);
});
after(() => server.stop());

const call = (...all) => world.call(...all);

// Makes one: { headers, device it writes for, what it may: reads, writes, hears (a channel) }.
const makers = {
  async key() {
    const name = `key${++serial}`;
    const { key } = await call('POST', '/api/v1/admin/keys', { name, rights: ['read', 'write', 'publish', 'subscribe'] });
    return { name, headers: bearer(key), reads: true, writes: 'own', hears: 'talk/in' };
  },
  async person() {
    const name = `person${++serial}`;
    await call('POST', '/api/v1/admin/users', { username: name, password, permission: 'developer' });
    return { name, headers: bearer(await logIn(server, name)), reads: true, writes: 'own', hears: 'talk/in' };
  },
  async gateway() {
    const { id, auth } = await call('POST', '/api/v1/admin/gateways', { name: `g${++serial}` });
    const device = `of-gateway-${id}`;
    const made = await call('POST', '/api/v1/admin/devices', { id: device, gateway: id });
    await call('PUT', `/api/v1/admin/devices/${device}/config`, { state: true });
    return { id, name: device, auth: made.auth, headers: basic(`gateway-${id}`, auth), writes: device, hears: `gateways/${id}/logs` };
  },
  async device() {
    const id = `alone${++serial}`;
    const { auth } = await call('POST', '/api/v1/admin/devices', { id });
    await call('PUT', `/api/v1/admin/devices/${id}/config`, { state: true });
    return { id, auth, headers: basic(`device-${id}`, auth), reads: true, writes: id };
  },
  async subscriber() {
    const name = `secret${++serial}`;
    const secret = await call('POST', '/api/v1/admin/secrets', { name });
    return { name, headers: bearer(subscriberToken(secret, { subscribe: ['talk/#'] })), hears: 'talk/in' };
  },
};

// How it ends: [whose, how, what is done].
const endings = [
  ['key', 'removed', ({ name }) => call('DELETE', `/api/v1/admin/keys/${name}`)],
  ['person', 'removed', ({ name }) => call('DELETE', `/api/v1/admin/users/${name}`)],
  ['person', 'revoked', ({ name }) => call('POST', `/api/v1/admin/users/${name}/revoke`, undefined, 204)],
  ['person', 'given another password', ({ name }) => call('PUT', `/api/v1/admin/users/${name}`, { password: 'another-word' })],
  ['person', 'made a user', ({ name }) => call('PUT', `/api/v1/admin/users/${name}`, { permission: 'user' })],
  ['gateway', 'removed', ({ id }) => call('DELETE', `/api/v1/admin/gateways/${id}`)],
  ['gateway', 'set inactive', ({ id }) => call('PUT', `/api/v1/admin/gateways/${id}/config`, { State: 'Stolen' })],
  ['device', 'removed', ({ id }) => call('DELETE', `/api/v1/admin/devices/${id}`)],
  ['subscriber', 'without its secret', ({ name }) => call('DELETE', `/api/v1/admin/secrets/${name}`)],
];

/** A kept connection: asks the same again and again. */
function keep(one) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  return { close: () => agent.destroy(),
    ask: () => one.reads ? server.get('/api/v1/series', { key: false, headers: one.headers, agent })
      : one.writes ? server.post('/api/v1/readings', '[]', { key: false, headers: one.headers, agent })
        : server.get('/api/v1/series', { key: false, headers: one.headers, agent }) };
}

const metric = (name) => `m${name}`;
async function points(name) {
  const { series } = (await world.ask('admin', 'GET', `/api/v1/latest?metric=${metric(name)}`)).json();
  return series.map(({ value }) => value);
}

/** An upload of lines under way: line(value) sends one more; end() → the status, or 0: cut. */
function upload(one, name) {
  let status = null;
  const out = http.request({ host: '127.0.0.1', port: server.port, method: 'POST', path: '/api/v1/readings', agent: false,
    headers: { ...one.headers, 'content-type': 'application/x-ndjson', 'transfer-encoding': 'chunked' } }, (answer) => {
    answer.resume();
    answer.on('error', () => {});
    let text = '';
    answer.on('data', (part) => (text += part));
    answer.on('end', () => (status = { code: answer.statusCode, text }));
  });
  out.on('error', () => (status ??= { code: 0, text: '' }));
  return {
    line: (value) => out.write(`${JSON.stringify({ device: { id: one.writes, ...(one.auth && { auth: one.auth }) },
      readings: [{ time: 1_700_000_000_000 + value, [metric(name)]: value }] })}\n${' '.repeat(70_000)}\n`),
    end: async () => {
      out.end();
      return until(() => status, 'the end of the upload');
    },
  };
}

async function open(one) {
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}/api/v1/subscribe?channel=${one.hears}`, { headers: one.headers });
  const client = { socket, code: null, frames: [] };
  socket.on('message', (data) => client.frames.push(JSON.parse(data)));
  socket.on('close', (code) => (client.code = code));
  await within(new Promise((done, fail) => {
    socket.on('open', done);
    socket.on('error', fail);
  }), 'a WebSocket to open');
  return client;
}

for (const [kind, how, end] of endings) {
  test(`a ${kind} that is ${how} is nobody on every connection that is open`, async () => {
    const one = await makers[kind]();
    const name = `${kind}${serial}`;
    const kept = keep(one);
    const first = (await kept.ask()).status;
    assert.ok([200, 202, 403].includes(first) && (first !== 403 || kind === 'subscriber'), String(first));
    const socket = one.hears && await open(one);
    const stream = one.hears && await Events.open(server, `/api/v1/subscribe?channel=${one.hears}`, { key: '', headers: one.headers });
    const sending = one.writes && upload(one, name);
    if (sending) {
      sending.line(1);
      await until(async () => (await points(name)).includes(1), 'the first line');
    }
    await end(one);
    assertProblem(await kept.ask(), 401);
    if (sending) {
      sending.line(2);
      sending.line(3);
      const { code, text } = await sending.end();
      assert.ok([0, 202, 401, 403].includes(code), `${code} ${text}`);
      if (code === 202) assert.equal(JSON.parse(text).accepted, 1, text);
      assert.deepEqual(await points(name), [1]);
    }
    if (socket) {
      await until(() => socket.code !== null, 'the close');
      assert.equal(socket.code, 4401);
      await until(() => stream.over, 'the end of the stream');
      await world.ask('application', 'POST', '/api/v1/publish', { channels: ['talk/in'], data: `after ${name}` });
      assert.ok(!socket.frames.some(({ data }) => data === `after ${name}`));
    }
    kept.close();
  });
}

test('a device set inactive is rejected from its next reading on, in an upload, too', async () => {
  const one = await makers.device();
  const sending = upload(one, 'inactive');
  sending.line(1);
  await until(async () => (await points('inactive')).includes(1), 'the first line');
  await call('PUT', `/api/v1/admin/devices/${one.id}/config`, { state: false });
  sending.line(2);
  const { code, text } = await sending.end();
  assert.ok([0, 202, 401].includes(code), text);
  if (code === 202) assert.deepEqual(JSON.parse(text).rejected.map(({ code }) => code), ['inactive_device']);
  assert.deepEqual(await points('inactive'), [1]);
});

test('a device taken from a gateway, or given to another, is rejected from its next reading on', async () => {
  const one = await makers.gateway();
  const other = await makers.gateway();
  const sending = upload(one, 'moved');
  sending.line(1);
  await until(async () => (await points('moved')).includes(1), 'the first line');
  await call('PUT', `/api/v1/admin/devices/${one.writes}`, { gateway: other.id });
  sending.line(2);
  const { code, text } = await sending.end();
  assert.equal(code, 202);
  assert.deepEqual(JSON.parse(text).rejected.map(({ code }) => code), ['wrong_gateway']);
  assert.deepEqual(await points('moved'), [1]);
});

test('a gateway that is removed leaves none of its credentials in a body behind', async () => {
  const { id, auth } = await call('POST', '/api/v1/admin/gateways');
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const send = () => server.post('/api/v1/readings', { gateway: { id, auth }, device: { id: 'own', auth: 'x' }, readings: [{ temp: 1 }] },
    { key: false, agent });
  assert.equal((await send()).status, 202);
  await call('DELETE', `/api/v1/admin/gateways/${id}`);
  assertProblem(await send(), 401);
  agent.destroy();
});

test('a tenant’s things stay as they are when one of another tenant has the same name', async () => {
  const acme = await settle(server, 'acme');
  const made = await acme.call('POST', '/api/v1/admin/keys', { name: 'twin', rights: ['read'] });
  const ours = await call('POST', '/api/v1/admin/keys', { name: 'twin', rights: ['read'] });
  await acme.call('DELETE', '/api/v1/admin/keys/twin');
  assertProblem(await server.get('/api/v1/series', { key: made.key }), 401);
  assert.equal((await server.get('/api/v1/series', { key: ours.key })).status, 200);
  await acme.call('DELETE', '/api/v1/admin/users/uma');
  assert.equal((await world.ask('user', 'GET', '/api/v1/me')).status, 200);
  assertProblem(await acme.ask('user', 'GET', '/api/v1/me'), 401);
});

test('a revoked administrator reads no further in the log', async () => {
  const one = await makers.person();
  await call('PUT', `/api/v1/admin/users/${one.name}`, { permission: 'admin', node: true });
  const headers = bearer(await logIn(server, one.name));
  const stream = await Events.open(server, '/api/v1/admin/logs?level=debug', { key: '', headers });
  assert.equal(stream.status, 200);
  await call('POST', `/api/v1/admin/users/${one.name}/revoke`, undefined, 204);
  await until(() => stream.over, 'the end of the stream');
});

test('a revoked administrator imports no further', async () => {
  const one = await makers.person();
  let status = null;
  const out = http.request({ host: '127.0.0.1', port: server.port, method: 'POST', path: '/api/v1/admin/devices/import',
    agent: false, headers: { ...one.headers, 'content-type': 'application/x-ndjson', 'transfer-encoding': 'chunked' } },
  (answer) => {
    answer.resume();
    answer.on('error', () => {});
    answer.on('end', () => (status = answer.statusCode));
  });
  out.on('error', () => (status ??= 0));
  const rows = (from) => Array.from({ length: 2000 }, (_, i) => `{"id":"bulk-${from + i}"}\n`).join('');
  const there = async (n) => (await world.ask('admin', 'GET', `/api/v1/admin/devices/bulk-${n}`)).status === 200;
  out.write(rows(0));
  await until(() => there(0), 'the first part');
  await call('DELETE', `/api/v1/admin/users/${one.name}`);
  out.write(rows(2000));
  out.end();
  await until(() => status !== null, 'the end of the import');
  assert.ok([0, 401].includes(status), String(status));
  assert.equal(await there(2000), false);
  assert.equal(await there(3999), false);
});

test('a held poll of a removed key brings nothing more', async () => {
  const one = await makers.key();
  const held = server.get('/api/v1/subscribe?channel=talk/in&mode=longpoll&timeout=20&since=now', { key: false, headers: one.headers });
  const ended = held.catch(() => ({ status: 0, text: '' }));
  const held2 = open(one);
  await held2;
  await call('DELETE', `/api/v1/admin/keys/${one.name}`);
  await world.ask('application', 'POST', '/api/v1/publish', { channels: ['talk/in'], data: 'too late' });
  const { status, text } = await ended;
  assert.ok([0, 200, 401].includes(status), `${status} ${text}`);
  assert.doesNotMatch(text, /too late/);
});
