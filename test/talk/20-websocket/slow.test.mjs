// Clients that read too slowly, or not at all, or are gone without a word; and the end of a
// channel that very many hold.
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { Events, Server, until } from '../harness.mjs';
import { next } from './frames.mjs';

let server;
before(async () => (server = await Server.start({ args: [
  '--set', 'ws.ping_s=1', '--set', 'net.out_bytes_max=256KiB', '--set', 'net.slow_write_ms=1000',
] })));
after(() => server.stop());

const head = (query) => `GET /api/v1/subscribe?${query} HTTP/1.1\r\nHost: a\r\n` +
  'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n' +
  `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer ${server.key}\r\n\r\n`;

async function open(query) {
  const raw = await server.connect();
  raw.send(head(query));
  assert.equal((await raw.answer({ head: true })).status, 101);
  return raw;
}

const closes = async (reason) => {
  const { text } = await server.get('/metrics');
  const found = new RegExp(`connections_closed_total\\{reason="${reason}"\\} (\\d+)`).exec(text);
  return Number(found?.[1] ?? 0);
};

/** Messages of 100 kB, numbered: more than sockets and bounds hold. */
async function flood(channel, count = 150) {
  const text = 'x'.repeat(100_000);
  for (let i = 0; i < count; i++) {
    const answer = await server.post('/api/v1/publish', { channels: [channel], data: [i, text] });
    assert.equal(answer.status, 201);
  }
}

/** All frames until `over(message)` or a close: { numbers, gaps, close }. */
async function readAll(raw, over = () => false) {
  const heard = { numbers: [], gaps: [], close: null };
  for (;;) {
    const got = await next(raw);
    if (got.opcode === 8) {
      heard.close = { code: got.code, reason: got.body.subarray(2).toString() };
      return heard;
    }
    assert.equal(got.opcode, 1, 'the connection ended without a close');
    const message = JSON.parse(got.text);
    if (message.gap) heard.gaps.push(heard.numbers.length);
    else heard.numbers.push(message.data[0]);
    if (over(message)) return heard;
  }
}

const rising = (numbers) => numbers.every((one, i) => i === 0 || one > numbers[i - 1]);

test('a long past is not too much for who reads slowly, whatever becomes of slow ones', async () => {
  for (const slow of ['disconnect', 'drop_oldest']) {
    const made = await server.post('/api/v1/channels',
      { name: `long/${slow}`, slow, history: { bytes: 32_000_000 } });
    assert.equal(made.status, 201, made.text);
    await flood(`long/${slow}`);
    const raw = await open(`channel=long/${slow}&since=0`);
    raw.socket.on('data', () => {
      raw.socket.pause();
      setTimeout(() => raw.socket.resume(), 1);
    });
    const heard = await readAll(raw, (message) => message.data?.[0] === 149);
    assert.deepEqual([heard.close, heard.gaps, heard.numbers.length], [null, [], 150]);
    assert.ok(rising(heard.numbers));
    raw.close();
  }
});

test('who never reads is dropped, and nobody else notices', async () => {
  const before = await closes('slow_reader');
  const quick = await Events.open(server, '/api/v1/subscribe?channel=never');
  const slow = await open('channel=never');
  slow.socket.pause();
  await flood('never');
  const heard = await quick.next(150);
  assert.deepEqual(heard.map((one) => one.json.data[0]), heard.map((_, i) => i));
  await until(async () => await closes('slow_reader') > before, 'the slow one to be dropped');
  quick.close();
  slow.close();
});

test('who reads late gets what it was owed, and a close that says where to resume', async () => {
  const slow = await open('channel=late');
  slow.socket.pause();
  await flood('late', 60);
  slow.socket.resume();
  const heard = await readAll(slow);
  assert.equal(heard.close.code, 1013);
  const since = /since=(m\d+)$/.exec(heard.close.reason)?.[1];
  assert.ok(since, heard.close.reason);
  assert.ok(heard.numbers.length < 60);
  // Resuming goes on where it ended, in several attempts if need be; of messages of 100 kB a
  // history of 1 MiB keeps ten, so what it forgot meanwhile is said to be a gap.
  let cursor = since;
  const gaps = new Set();
  for (let tries = 0; heard.numbers.at(-1) !== 59 && tries < 20; tries++) {
    const raw = await open(`channel=late&since=${cursor}`);
    const more = await readAll(raw, (message) => message.data?.[0] === 59);
    for (const at of more.gaps) gaps.add(heard.numbers.length + at);
    heard.numbers.push(...more.numbers);
    cursor = /since=(m\d+)$/.exec(more.close?.reason ?? '')?.[1];
    raw.close();
  }
  assert.equal(heard.numbers.at(-1), 59);
  heard.numbers.forEach((number, i) => {
    if (i && number !== heard.numbers[i - 1] + 1) assert.ok(gaps.has(i), `lost before ${number}`);
    assert.ok(i === 0 || number > heard.numbers[i - 1], `${number} again`);
  });
  slow.close();
});

const policies = [['drop_oldest', true], ['drop_newest', false]].flatMap(
  (row) => [[...row, 'the connection'], [...row, 'the channel']]);
for (const [policy, last, who] of policies) {
  test(`${who} says ${policy}: the connection stays, and a gap is told`, async () => {
    const channel = `policy/${policy}/${who.slice(4)}`;
    const says = who === 'the channel' ? { slow: policy } : {};
    const made = await server.post('/api/v1/channels', { name: channel, ...says });
    assert.equal(made.status, 201, made.text);
    const query = says.slow ? '' : `&slow=${policy}`;
    const slow = await open(`channel=${channel}${query}`);
    slow.socket.pause();
    await flood(channel, 100);
    slow.socket.resume();
    // What was owed comes, then the gap; then what is new.
    const first = await readAll(slow, (message) => message.gap);
    assert.ok(first.numbers.length < 100 && first.numbers[0] === 0, first.numbers.join());
    assert.ok(rising(first.numbers));
    await server.post('/api/v1/publish', { channels: [channel], data: [1000] });
    const then = await readAll(slow, (message) => message.data?.[0] === 1000);
    assert.equal(then.numbers.includes(99), last);
    assert.ok(rising([...first.numbers, ...then.numbers]));
    assert.deepEqual(then.gaps, []);
    slow.close();
  });
}

test('what a connection says counts more than what its channel says', async () => {
  await server.post('/api/v1/channels', { name: 'policy/both', slow: 'drop_newest' });
  const slow = await open('channel=policy/both&slow=disconnect');
  slow.socket.pause();
  await flood('policy/both', 60);
  slow.socket.resume();
  assert.equal((await readAll(slow)).close.code, 1013);
});

test('a message on channels that do not agree is not lost silently', async () => {
  await server.post('/api/v1/channels', { name: 'policy/a', slow: 'drop_newest' });
  await server.post('/api/v1/channels', { name: 'policy/b', slow: 'drop_oldest' });
  const slow = await open('channel=policy/a');
  slow.socket.pause();
  const text = 'x'.repeat(100_000);
  for (let i = 0; i < 60; i++) {
    const body = { channels: ['policy/a', 'policy/b'], data: [i, text] };
    assert.equal((await server.post('/api/v1/publish', body)).status, 201);
  }
  slow.socket.resume();
  assert.equal((await readAll(slow)).close.code, 1013);
});

test('a policy that is none, or for a poll, is 400', async () => {
  for (const query of ['slow=never&mode=sse', 'slow=drop_oldest', 'slow=&mode=sse'])
    assert.equal((await server.get(`/api/v1/subscribe?channel=a&${query}`)).status, 400, query);
});

test('who reads a byte at a time is dropped when nothing moves any more', async (t) => {
  const before = await closes('slow_reader');
  let bytes = 0;
  const socket = net.connect({
    host: '127.0.0.1', port: server.port,
    onread: { buffer: Buffer.alloc(1), callback: () => (bytes++, false) },
  });
  const reads = setInterval(() => socket.resume(), 2);
  t.after(() => {
    clearInterval(reads);
    socket.destroy();
  });
  socket.on('error', () => {});
  socket.write(head('channel=bytes'));
  await until(() => bytes > 100, 'the head, byte by byte');
  await flood('bytes', 100);
  await until(async () => await closes('slow_reader') > before, 'the end of it', 30_000);
});

test('who is gone without a word is found by a ping that nobody answers', async () => {
  const before = await closes('idle');
  const raw = await open('channel=silent');
  // It reads, and says nothing: as a host that lost its power behind a proxy does.
  assert.equal(await raw.ended(), true);
  assert.ok(await closes('idle') > before);
  raw.close();
});

test('a channel closed while two thousand hold it', { timeout: 60_000 }, async () => {
  const { id } = (await server.post('/api/v1/channels', { name: 'held/by/all' })).json();
  const sockets = [];
  for (let i = 0; i < 2000; i += 100)
    sockets.push(...await Promise.all(Array.from({ length: 100 }, () => new Promise((done, fail) => {
      const socket = new WebSocket(
        `ws://127.0.0.1:${server.port}/api/v1/subscribe?channel=held/by/all`,
        { headers: { authorization: `Bearer ${server.key}` }, perMessageDeflate: false });
      socket.on('open', () => done(socket));
      socket.on('error', fail);
    }))));
  let told = 0;
  for (const socket of sockets)
    socket.on('message', (data) => {
      assert.deepEqual(JSON.parse(data), { closed: [id] });
      told++;
    });
  const info = (await server.get(`/api/v1/channels/${id}`)).json();
  assert.equal(info.subscribers, 2000);
  assert.equal((await server.request('DELETE', `/api/v1/channels/${id}`)).status, 204);
  await until(() => told === 2000, 'all to be told', 20_000);
  const again = (await server.post('/api/v1/channels', { name: 'held/by/all' })).json();
  assert.notEqual(again.id, id);
  assert.equal((await server.get(`/api/v1/channels/${again.id}`)).json().subscribers, 0);
  for (const socket of sockets) socket.terminate();
});
