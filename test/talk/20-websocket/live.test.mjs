// Live messages over WebSocket, with the `ws` client.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { createKey, Server, until, within } from '../harness.mjs';

let server;
before(async () => (server = await Server.start()));
after(() => server.stop());

const t0 = 1_700_000_000_000;

/** An open socket that keeps what it hears: frames (parsed) and, at the end, the close code. */
async function open(query = '', { key = server.key, headers = {} } = {}) {
  const address = `ws://127.0.0.1:${server.port}/api/v1/subscribe${query}`;
  if (key) headers = { ...headers, authorization: `Bearer ${key}` };
  const socket = new WebSocket(address, { headers, perMessageDeflate: false });
  const client = { socket, frames: [], code: null };
  socket.on('message', (data) => client.frames.push(JSON.parse(data)));
  socket.on('close', (code) => (client.code = code));
  client.next = async (count = 1) => {
    await until(() => client.frames.length >= count, `${count} frames`);
    return client.frames.splice(0, count);
  };
  client.ask = async (message) => {
    socket.send(typeof message === 'string' ? message : JSON.stringify(message));
    return (await client.next())[0];
  };
  await within(new Promise((done, fail) => {
    socket.on('open', done);
    socket.on('error', fail);
  }), 'a WebSocket to open');
  return client;
}

const write = (device, value, time) =>
  server.post('/write?precision=ms', `ws,device=${device} v=${value} ${time}`);

test('a reading arrives as one text frame', async () => {
  const client = await open('?channel=readings/w1/ws.v');
  assert.equal((await write('w1', 1.5, t0)).status, 204);
  const [message] = await client.next();
  assert.match(message.id, /^m/);
  assert.equal(typeof message.time, 'number');
  assert.deepEqual(message.channels, ['readings/w1/ws.v']);
  assert.deepEqual(message.data,
    { metric: 'ws.v', device: 'w1', tags: { device: 'w1' }, time: t0, value: 1.5 });
  client.socket.close();
  await until(() => client.code !== null, 'the close');
  assert.ok([1000, 1005].includes(client.code));
});

test('patterns match levels; ids rise; several events of one turn are several frames', async () => {
  const client = await open('?channel=readings/%2B/ws.v&channel=readings/w2/%23');
  const lines = [];
  for (let i = 0; i < 50; i++) lines.push(`ws,device=w2 v=${i} ${t0 + i}`);
  await server.post('/write?precision=ms', lines.join('\n'));
  const frames = await client.next(50);
  assert.deepEqual(frames.map((one) => one.data.value), lines.map((_, i) => i));
  const ids = frames.map((one) => BigInt(one.id.slice(1)));
  for (let i = 1; i < ids.length; i++) assert.ok(ids[i] > ids[i - 1]);
  client.socket.close();
});

test('subscribe, unsubscribe and publish are acknowledged by ref', async () => {
  const client = await open();
  assert.deepEqual(await client.ask({ subscribe: ['news/a'], ref: 1 }), { ack: 1, ok: true });
  client.socket.send(JSON.stringify({ publish: ['news/a'], data: { n: 1 }, ref: 'two' }));
  const frames = await client.next(2);
  const ack = frames.find((one) => one.ack === 'two');
  const message = frames.find((one) => one.channels);
  assert.equal(ack.ok, true);
  assert.equal(ack.id, message.id);
  assert.deepEqual(message.data, { n: 1 });
  assert.deepEqual(await client.ask({ unsubscribe: ['news/a'], ref: 3 }), { ack: 3, ok: true });
  const again = await client.ask({ publish: ['news/a'], data: 2, ref: 4 });
  assert.equal(again.ack, 4);
  client.socket.close();
});

test('a publish over HTTP reaches WebSocket subscribers and says how many', async () => {
  const client = await open('?channel=blog/1');
  const answer = await server.post('/api/v1/publish', { channels: ['blog/1'], data: ['x', 1] });
  assert.equal(answer.status, 201, answer.text);
  const [message] = await client.next();
  assert.equal(message.id, answer.json().id);
  assert.deepEqual(message.data, ['x', 1]);
  assert.equal(answer.json().delivered, 1);
  client.socket.close();
});

test('views cannot be published to', async () => {
  const client = await open();
  const ack = await client.ask({ publish: ['readings/a/b'], data: 1, ref: 1 });
  assert.equal(ack.ok, false);
  assert.equal(ack.error.status, 403);
  const answer = await server.post('/api/v1/publish', { channels: ['readings/a/b'], data: 1 });
  assert.equal(answer.status, 403);
  client.socket.close();
});

test('a bad pattern is refused in its acknowledgement, the connection stays', async () => {
  const client = await open();
  const ack = await client.ask({ subscribe: ['a//b'], ref: 9 });
  assert.equal(ack.ack, 9);
  assert.equal(ack.ok, false);
  assert.ok(ack.error.detail);
  assert.equal((await client.ask({ subscribe: ['a/b'], ref: 10 })).ok, true);
  client.socket.close();
});

test('the token may be the first frame', async () => {
  const client = await open('?channel=readings/w3/%23', { key: false });
  client.socket.send(JSON.stringify({ token: server.key }));
  const ack = await client.ask({ subscribe: ['x/y'], ref: 1 });
  assert.equal(ack.ok, true);
  await write('w3', 3, t0);
  assert.equal((await client.next())[0].data.value, 3);
  client.socket.close();
});

test('a wrong token in the first frame closes', async () => {
  const client = await open('', { key: false });
  client.socket.send(JSON.stringify({ token: 'wrong' }));
  await until(() => client.code !== null, 'the close');
  assert.ok(client.code >= 4400 || client.code === 1008, `${client.code}`);
});

test('a wrong key is refused before the upgrade', async () => {
  await assert.rejects(open('', { key: 'wrong' }), /401/);
});

test('a key without the right to subscribe is refused', async () => {
  const key = await createKey(server.data, 'write');
  await assert.rejects(open('?channel=a', { key }), /403/);
});

test('what is not JSON closes with 1007', async () => {
  const client = await open();
  client.socket.send('{"subscribe":');
  await until(() => client.code !== null, 'the close');
  assert.equal(client.code, 1007);
});

test('a draining server says 1012', async () => {
  const other = await Server.start({ data: undefined });
  const socket = new WebSocket(`ws://127.0.0.1:${other.port}/api/v1/subscribe?channel=a`,
    { headers: { authorization: `Bearer ${other.key}` } });
  await within(new Promise((done, fail) => socket.on('open', done).on('error', fail)), 'open');
  const closed = new Promise((done) => socket.on('close', done));
  await other.stop();
  assert.equal(await within(closed, 'the close'), 1012);
});

test('two hundred sockets hear the same message', async () => {
  const clients = await Promise.all(
    Array.from({ length: 200 }, () => open('?channel=readings/all/%23')));
  await write('all', 42, t0);
  const heard = await Promise.all(clients.map(async (client) => (await client.next())[0]));
  assert.equal(new Set(heard.map((one) => one.id)).size, 1);
  for (const client of clients) client.socket.terminate();
});

// ── ids, keys, the end of a channel ──

const create = async (name) => (await server.post('/api/v1/channels', { name })).json().id;

test('channels are said by their ids; an unknown one is 404', async () => {
  const id = await create('ids/one');
  const client = await open();
  assert.deepEqual(await client.ask({ subscribe: [id], ref: 1 }), { ack: 1, ok: true });
  client.socket.send(JSON.stringify({ publish: [String(id)], data: 'x', ref: 2 }));
  const frames = await client.next(2);
  assert.ok(frames.find((one) => one.ack === 2).ok);
  assert.deepEqual(frames.find((one) => one.channels).channels, ['ids/one']);
  assert.deepEqual(await client.ask({ unsubscribe: [id], ref: 3 }), { ack: 3, ok: true });
  for (const message of [{ subscribe: [999999999] }, { publish: ['999999999'], data: 1 }]) {
    const answer = await client.ask({ ...message, ref: 4 });
    assert.equal(answer.ok, false);
    assert.equal(answer.error.status, 404);
  }
  client.socket.close();
});

test('a message with a key is published once', async () => {
  const client = await open('?channel=keys/one');
  const message = JSON.stringify({ publish: ['keys/one'], data: 1, key: 'k1', ref: 1 });
  client.socket.send(message);
  client.socket.send(message);
  const frames = await client.next(3);
  const acks = frames.filter((one) => one.ack === 1);
  assert.equal(acks.length, 2);
  assert.equal(acks[0].id, acks[1].id);
  assert.equal(frames.filter((one) => one.channels).length, 1);
  client.socket.close();
});

test('a closed channel is told, and a later one of its name is another one', async () => {
  const id = await create('closing/one');
  const exact = await open('?channel=closing/one');
  const wild = await open('?channel=closing/%23');
  const gone = await server.request('DELETE', `/api/v1/channels/${id}`);
  assert.equal(gone.status, 204);
  assert.deepEqual(await exact.next(), [{ closed: [id] }]);
  await server.post('/api/v1/publish', { channels: ['closing/one'], data: 1 });
  assert.equal((await wild.next())[0].data, 1);
  assert.deepEqual(await exact.ask({ subscribe: ['closing/one'], since: 0, ref: 1 })
    .then((first) => first.data), 1);
  for (const client of [exact, wild]) client.socket.close();
});

test('since over the socket: what was, then what is', async () => {
  for (let i = 0; i < 3; i++)
    await server.post('/api/v1/publish', { channels: ['past/one'], data: i });
  const client = await open();
  client.socket.send(JSON.stringify({ subscribe: ['past/one'], since: 0, ref: 1 }));
  const frames = await client.next(4);
  assert.deepEqual(frames.filter((one) => one.channels).map((one) => one.data), [0, 1, 2]);
  assert.ok(frames.some((one) => one.ack === 1 && one.ok));
  await server.post('/api/v1/publish', { channels: ['past/one'], data: 3 });
  assert.equal((await client.next())[0].data, 3);
  client.socket.close();
});

test('the largest message reaches its subscribers, whatever they may be owed', async () => {
  const client = await open('?channel=large/one');
  const data = 'x'.repeat((1 << 20) - 2);
  for (let i = 0; i < 3; i++)
    assert.equal((await server.post('/api/v1/publish', { channels: ['large/one'], data })).status, 201);
  for (const message of await client.next(3)) assert.equal(message.data, data);
  client.socket.close();
});

// ── compression ──

test('long messages are compressed for who takes it, short ones are not', async () => {
  const address = `ws://127.0.0.1:${server.port}/api/v1/subscribe?channel=deflate/one`;
  const socket = new WebSocket(address, { headers: { authorization: `Bearer ${server.key}` } });
  const frames = [];
  let bytes = 0;
  socket.on('message', (data) => frames.push(JSON.parse(data)));
  await within(new Promise((done) => socket.on('open', done)), 'a WebSocket to open');
  assert.match(socket.extensions, /^permessage-deflate/);
  socket._socket.on('data', (part) => (bytes += part.length));
  await server.post('/api/v1/publish', { channels: ['deflate/one'], data: 'x'.repeat(100_000) });
  await until(() => frames.length === 1, 'the message');
  assert.equal(frames[0].data.length, 100_000);
  assert.ok(bytes < 2000, `${bytes} bytes`);
  socket.send(JSON.stringify({ subscribe: [`deflate/${'y'.repeat(200)}`], ref: 'z'.repeat(100) }));
  await until(() => frames.length === 2, 'the acknowledgement');
  assert.equal(frames[1].ok, true);
  socket.terminate();
});

test('a message that blows up beyond the bound is refused with 1009', async () => {
  const address = `ws://127.0.0.1:${server.port}/api/v1/subscribe`;
  const socket = new WebSocket(address, { headers: { authorization: `Bearer ${server.key}` } });
  let code = null;
  socket.on('close', (said) => (code = said));
  await within(new Promise((done) => socket.on('open', done)), 'a WebSocket to open');
  socket.send(JSON.stringify({ subscribe: [], filler: ' '.repeat(3 << 20) }));
  await until(() => code !== null, 'the close');
  assert.equal(code, 1009);
});
