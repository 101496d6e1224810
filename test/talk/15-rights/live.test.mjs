// What is heard and said live: frames of a WebSocket by role, and streams that end with the rights
// they began with.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { Events, Server, until, within } from '../harness.mjs';
import { settle, subscriberToken } from './inhabitants.mjs';

let server, world;
before(async () => {
  server = await Server.start();
  world = await settle(server);
});
after(() => server.stop());

/** An open socket: frames (parsed), code once closed, ask(message) → its acknowledgement. */
async function open(role, query = '', headers = world.headers[role]) {
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}/api/v1/subscribe${query}`,
    { headers, perMessageDeflate: false });
  const client = { socket, frames: [], code: null, refs: 0 };
  socket.on('message', (data) => client.frames.push(JSON.parse(data)));
  socket.on('close', (code) => (client.code = code));
  client.ask = async (message) => {
    const ref = ++client.refs;
    socket.send(JSON.stringify({ ...message, ref }));
    return until(() => client.frames.find(({ ack }) => ack === ref), `ack ${ref}`);
  };
  client.status = async (message) => {
    const { ok, error } = await client.ask(message);
    return ok ? 200 : error.status;
  };
  client.closed = () => until(() => client.code !== null, 'the close');
  client.heard = (value) => until(
    () => client.frames.find(({ data }) => data?.value === value || data === value), `${value}`);
  await within(new Promise((done, fail) => {
    socket.on('open', done);
    socket.on('error', fail);
  }), 'a WebSocket to open');
  return client;
}

let clock = 1_700_000_000_000;
const report = async (device, temp, on = world) => {
  const body = { device: { id: device }, readings: [{ time: clock++, temp }] };
  assert.equal((await on.ask('application', 'POST', '/api/v1/readings', body)).json().accepted, 1);
};
const give = (device, users) => world.call('PUT', `/api/v1/admin/devices/${device}`, { users });
const bearer = (token) => ({ authorization: `Bearer ${token}` });

// What a frame asks for, and its answer to: admin user gateway application subscriber.
const frames = [
  [{ subscribe: ['readings/own/#'] }, '200 200 403 200 403'],
  [{ subscribe: ['readings/foreign/temp'] }, '200 403 403 200 403'],
  [{ subscribe: ['readings/absent/temp'] }, '200 403 403 200 403'],
  [{ subscribe: ['readings/own/temp', 'readings/foreign/temp'] }, '200 403 403 200 403'],
  [{ subscribe: ['readings/+/temp'] }, '200 403 403 200 403'],
  [{ subscribe: ['alerts/own'] }, '200 200 403 200 403'],
  [{ subscribe: ['#'] }, '200 403 403 200 403'],
  [{ subscribe: ['talk/in'] }, '200 403 403 200 200'],
  [{ publish: ['talk/in'], data: 1 }, '200 403 403 200 200'],
  [{ publish: ['talk/out'], data: 1 }, '200 403 403 200 403'],
  [{ publish: ['readings/own/temp'], data: 1 }, '403 403 403 403 403'],
  [{ publish: ['alerts/own'], data: 1 }, '403 403 403 403 403'],
  [{ publish: ['gateways/1/logs'], data: 1 }, '403 403 403 403 403'],
];
for (const [at, role] of ['admin', 'user', 'gateway', 'application', 'subscriber'].entries()) {
  test(`frames of a WebSocket: ${role}`, async () => {
    const client = await open(role);
    for (const [message, expected] of frames)
      assert.equal(await client.status(message), Number(expected.split(' ')[at]),
        JSON.stringify(message));
    client.socket.close();
  });
}

test('a gateway hears its own topics only', async () => {
  const client = await open('gateway');
  const { own, foreign } = world.gateways;
  assert.equal(await client.status({ subscribe: [`gateways/${own}/#`] }), 200);
  assert.equal(await client.status({ subscribe: [`gateways/${foreign}/#`] }), 403);
  assert.equal(await client.status({ subscribe: ['gateways/+/logs'] }), 403);
  client.socket.close();
});

test('a token that comes in the first frame has the rights it has elsewhere', async () => {
  const token = world.headers.user.authorization.slice('Bearer '.length);
  const client = await open(null, '', {});
  assert.equal(await client.status({ token }), 200);
  assert.equal(await client.status({ subscribe: ['readings/own/temp'] }), 200);
  assert.equal(await client.status({ subscribe: ['readings/foreign/temp'] }), 403);
  client.socket.close();
  const late = await open(null, '?channel=readings/foreign/temp', {});
  late.socket.send(JSON.stringify({ token }));
  await late.closed();
  assert.equal(late.code, 1008);
});

test('a user hears his own device and not the other\'s', async () => {
  const client = await open('user', '?channel=readings/own/%23');
  await report('foreign', 71);
  await report('own', 72);
  await client.heard(72);
  assert.deepEqual(client.frames.map(({ data }) => data.value), [72]);
  client.socket.close();
});

test('who loses a device hears it no more, and goes on hearing the rest', async () => {
  for (const id of ['lent', 'kept']) {
    await world.call('POST', '/api/v1/admin/devices', { id });
    await give(id, ['uma']);
  }
  const lent = await open('user', '?channel=readings/lent/temp&channel=readings/kept/temp');
  const kept = await open('user', '?channel=readings/kept/temp');
  const stream = await Events.open(server, '/api/v1/subscribe?channel=readings/lent/temp',
    { key: '', headers: world.headers.user });
  const staff = await open('admin', '?channel=readings/lent/temp');
  await world.call('PUT', '/api/v1/admin/devices/lent', { name: 'still hers' });
  for (const id of ['lent', 'kept'])
    await world.call('PUT', `/api/v1/admin/devices/${id}/config`, { state: true });
  await report('lent', 81);
  await lent.heard(81);
  await stream.next(1);
  await give('lent', ['olga']);
  await lent.closed();
  assert.equal(lent.code, 4401);
  await until(() => stream.over, 'the end of the stream');
  await report('lent', 82);
  await report('kept', 83);
  await kept.heard(83);
  await staff.heard(82);
  assert.ok(!lent.frames.some(({ data }) => data?.value === 82));
  assert.equal((await world.ask('user', 'GET', '/api/v1/latest?device=lent')).status, 404);
  assert.equal((await world.ask('user', 'GET', '/api/v1/latest?device=kept')).status, 200);
  assert.equal(kept.code, null);
  kept.socket.close();
  staff.socket.close();
});

test('a subscriber is heard and hears until his token expires', async () => {
  const token = subscriberToken(world.secret,
    { subscribe: ['talk/#'], publish: ['talk/in'], seconds: 2 });
  const client = await open(null, '?channel=talk/%2B', bearer(token));
  const stream = await Events.open(server, '/api/v1/subscribe?channel=talk/in',
    { key: '', headers: bearer(token) });
  const lasting = await open('subscriber', '?channel=talk/in');
  assert.equal(await client.status({ publish: ['talk/in'], data: 'hello' }), 200);
  await client.heard('hello');
  await client.closed();
  assert.equal(client.code, 4401);
  await until(() => stream.over, 'the end of the stream');
  const answer = await server.get('/api/v1/subscribe?channel=talk/in', { key: false, headers: bearer(token) });
  assert.equal(answer.status, 401);
  await world.ask('application', 'POST', '/api/v1/publish', { channels: ['talk/in'], data: 'on' });
  await lasting.heard('on');
  assert.equal(lasting.code, null);
  lasting.socket.close();
});

test('a secret that is removed ends what it signed', async () => {
  const secret = await world.call('POST', '/api/v1/admin/secrets', { name: 'short' });
  const token = subscriberToken(secret, { subscribe: ['talk/#'] });
  const client = await open(null, '?channel=talk/in', bearer(token));
  await world.call('DELETE', '/api/v1/admin/secrets/short');
  await client.closed();
  assert.equal(client.code, 4401);
});

test('a person who is removed hears nothing more', async () => {
  await world.call('POST', '/api/v1/admin/users',
    { username: 'zoe', password: 'long-enough-word', permission: 'developer' });
  const answer = await server.request('POST', '/api/v1/admin/token', { key: false, headers: {
    authorization: `Basic ${Buffer.from('zoe:long-enough-word').toString('base64')}` } });
  const client = await open(null, '?channel=talk/in', bearer(answer.json().token));
  await world.call('DELETE', '/api/v1/admin/users/zoe');
  await client.closed();
  assert.equal(client.code, 4401);
});
