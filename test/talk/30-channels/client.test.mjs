// The JavaScript client as the server publishes it, /weir.js: every transport, every way to lose a
// connection; each message once and in order, or a gap.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import WebSocket from 'ws';
import { Server, tempDir, until, weir, within } from '../harness.mjs';
import { Between, forbidden, isStream, isWebSocket } from './between.mjs';

const all = ['websocket', 'sse', 'longpoll'];
const base = '/api/v1';
let server;
let connect;
let secret;

before(async () => {
  server = await Server.start();
  const file = join(tempDir(), 'weir.mjs');
  writeFileSync(file, (await server.get('/weir.js', { key: false })).text);
  ({ connect } = await import(pathToFileURL(file)));
  const made = await weir(
    ['admin', 'secret', 'create', '--data', server.data, '--name', 'pages']);
  assert.equal(made.code, 0, made.stderr);
  secret = made.stdout.trim().split(/\s+/);
});
after(() => server.stop());

async function publish(channels, data, at = server) {
  const answer = await at.post(`${base}/publish`, { channels, data });
  assert.equal(answer.status, 201, answer.text);
  return answer.json();
}

/** A client with short pauses that keeps what happens to it. */
function client(t, options = {}, url = server.url) {
  const made = connect(url, {
    token: server.key, WebSocket, pauseMs: 20, pauseMaxMs: 200, ...options,
  });
  made.seen = { gap: 0, states: [], transports: [], errors: [], closed: [] };
  made.on('gap', () => (made.seen.gap += 1));
  made.on('state', (state) => made.seen.states.push(state));
  made.on('transport', (name) => made.seen.transports.push(name));
  made.on('error', (error) => made.seen.errors.push(error));
  made.on('closed', (ids) => made.seen.closed.push(...ids));
  t.after(() => made.close());
  return made;
}

/** Subscribes and keeps the data in `list`. */
function listen(made, patterns, options = {}) {
  const list = [];
  const sub = made.subscribe(patterns, options, (message) => list.push(message.data));
  return { sub, list, ready: within(sub.ready, 'the subscription'), made };
}

const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

async function arrived(list, expected) {
  await until(() => list.length >= expected.length, `${expected.length} messages`, 20_000)
    .catch(() => undefined);
  assert.deepEqual(list, expected);
}

test('the module and its types are published for every origin, and are small', async () => {
  const answer = await server.get('/weir.js', { key: false });
  assert.equal(answer.status, 200);
  assert.match(answer.headers['content-type'], /^text\/javascript/);
  assert.equal(answer.headers['access-control-allow-origin'], '*');
  const known = await server.get('/weir.js',
    { key: false, headers: { 'if-none-match': answer.headers.etag } });
  assert.equal(known.status, 304);
  assert.equal(known.headers['access-control-allow-origin'], '*');
  const types = await server.get('/weir.d.ts', { key: false });
  assert.match(types.text, /export function connect/);
  assert.ok(answer.bytes.length < 18_000, `${answer.bytes.length} bytes`);
  assert.ok(gzipSync(answer.bytes).length < 6_500, `${gzipSync(answer.bytes).length} bytes`);
});

for (const transport of all) {
  const only = { transports: [transport] };

  test(`${transport}: from now on, or from the past on without a seam`, async (t) => {
    const made = client(t, only);
    const name = `c/${transport}/seam`;
    for (const i of numbers(1, 40)) await publish([name], i);
    const now = listen(made, name);
    await now.ready;
    assert.equal(made.transport, transport);
    await publish([name], 41);
    const past = listen(made, [`c/${transport}/+`], { since: 0 });
    for (const i of numbers(42, 60)) await publish([name], i);
    await past.ready;
    await publish([name], 61);
    await arrived(now.list, numbers(41, 61));
    await arrived(past.list, numbers(1, 61));
    assert.deepEqual(made.seen.errors, []);
  });

  test(`${transport}: more than one poll's worth of past`, async (t) => {
    const name = `c/${transport}/long`;
    await server.post(`${base}/channels`, { name, history: { messages: 5000 } });
    for (const some of [0, 1, 2]) {
      const batch = numbers(some * 900 + 1, some * 900 + 900)
        .map((data) => ({ channels: [name], data }));
      assert.equal((await server.post(`${base}/publish`, batch)).status, 201);
    }
    const { list, ready } = listen(client(t, only), name, { since: 0 });
    await ready;
    await arrived(list, numbers(1, 2700));
  });

  test(`${transport}: cut again and again, nothing is lost or doubled`, async (t) => {
    const between = await Between.start(server.port);
    t.after(() => between.close());
    const made = client(t, only, between.url);
    const name = `c/${transport}/cut`;
    const { list, ready } = listen(made, [name, `${name}/#`]);
    await ready;
    for (const i of numbers(1, 60)) {
      if (i % 10 === 0) between.cut();
      await publish(i % 2 ? [name] : [`${name}/x`, name], i);
    }
    await arrived(list, numbers(1, 60));
    assert.equal(made.seen.gap, 0);
  });

  test(`${transport}: a refused channel does not disturb the others`, async (t) => {
    const token = jwt({ subscribe: [`c/${transport}/may/#`] });
    const made = client(t, { ...only, token });
    const no = listen(made, 'secret/plans');
    const yes = listen(made, `c/${transport}/may/1`);
    await assert.rejects(no.ready, (error) => error.status === 403);
    await yes.ready;
    await publish([`c/${transport}/may/1`], 'heard');
    await arrived(yes.list, ['heard']);
    await assert.rejects(within(made.publish('x', 1), 'an answer'), (e) => e.status === 403);
  });

  test(`${transport}: an id stands for its channel, until that is closed`, async (t) => {
    const made = client(t, only);
    const { id } = (await server.post(`${base}/channels`, { name: `c/${transport}/id` })).json();
    let ended;
    const { sub, list, ready } = listen(made, id, { end: (error) => (ended = error) });
    const other = listen(made, `c/${transport}/other`);
    await ready;
    await other.ready;
    await publish([id], 'by id');
    await arrived(list, ['by id']);
    assert.equal((await server.request('DELETE', `${base}/channels/${id}`)).status, 204);
    await until(() => ended !== undefined, 'the end');
    assert.equal(ended?.status ?? 404, 404);
    await assert.rejects(listen(made, id).ready, (error) => error.status === 404);
    await publish([`c/${transport}/other`], 'still');
    await arrived(other.list, ['still']);
    assert.equal(sub.cursor, undefined);
  });

  test(`${transport}: a token is renewed before it ends, and when it is refused`, async (t) => {
    let given = 0;
    const getToken = () => {
      given += 1;
      return given === 1 ? 'not.a.token' : jwt({ subscribe: ['#'] }, 4);
    };
    const made = client(t, { ...only, token: undefined, getToken });
    const name = `c/${transport}/token`;
    const { list, ready } = listen(made, name);
    await ready;
    assert.ok(given >= 2);
    for (let i = 1; given < 4; i++) {
      await publish([name], i);
      await new Promise((wake) => setTimeout(wake, 100));
      assert.ok(i < 300, 'no token was asked for');
    }
    const { length } = await until(() => list.length && list, 'messages');
    assert.deepEqual(list, numbers(1, length));
    assert.equal(made.seen.gap, 0);
  });
}

function jwt(rights, seconds = 600) {
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const [id, key] = secret;
  const exp = Math.floor(Date.now() / 1000) + seconds;
  const text = `${encode({ alg: 'HS256', typ: 'JWT', kid: id })}.` +
    encode({ aud: 'weir', exp, weir: rights });
  return `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`;
}

test('where WebSockets are refused events stream; where these are too, polls are held', async (t) => {
  let blocked = isWebSocket;
  const between = await Between.start(server.port, (head) => blocked(head) ? forbidden : undefined);
  t.after(() => between.close());
  const kept = new Map();
  const storage = { getItem: (key) => kept.get(key) ?? null, setItem: (k, v) => kept.set(k, v) };
  const made = client(t, { storage }, between.url);
  const { list, ready } = listen(made, 'fall');
  await ready;
  await publish(['fall'], 1);
  await arrived(list, [1]);
  assert.deepEqual([made.transport, made.seen.transports], ['sse', ['sse']]);
  blocked = (head) => isWebSocket(head) || isStream(head);
  between.cut();
  await until(() => made.transport === 'longpoll', 'a long poll');
  await publish(['fall'], 2);
  await arrived(list, [1, 2]);
  const next = client(t, { storage }, between.url);
  const before = between.count(/upgrade: *websocket/i);
  await listen(next, 'fall').ready;
  assert.equal(next.transport, 'longpoll', 'what worked is remembered');
  assert.equal(between.count(/upgrade: *websocket/i), before);
});

test('a WebSocket that opens and is cut at once again and again is given up', async (t) => {
  const between = await Between.start(server.port);
  t.after(() => between.close());
  const made = client(t, {}, between.url);
  const { list, ready } = listen(made, 'flaky');
  await ready;
  for (let i = 1; made.transport !== 'sse'; i++) {
    assert.ok(i < 10, 'it goes on with a WebSocket');
    const online = () => made.seen.states.filter((state) => state === 'online').length;
    const before = online();
    between.cut();
    await until(() => online() > before, 'to be online again');
  }
  await publish(['flaky'], 1);
  await arrived(list, [1]);
});

test('a better transport is taken when it works again', async (t) => {
  let blocked = true;
  const between = await Between.start(
    server.port, (head) => blocked && isWebSocket(head) ? forbidden : undefined);
  t.after(() => between.close());
  const made = client(t, { upgradeSeconds: 0.05 }, between.url);
  const { list, ready } = listen(made, 'better');
  await ready;
  assert.equal(made.transport, 'sse');
  await publish(['better'], 1);
  blocked = false;
  await until(() => made.transport === 'websocket', 'the WebSocket');
  await publish(['better'], 2);
  await arrived(list, [1, 2]);
});

for (const transport of ['websocket', 'sse', 'longpoll']) {
  test(`${transport}: a connection that is silent is left`, async (t) => {
    const between = await Between.start(server.port);
    t.after(() => between.close());
    const made = client(t,
      { transports: [transport], heartbeatSeconds: 1, timeoutSeconds: 1 }, between.url);
    const { list, ready } = listen(made, 'silent');
    await ready;
    between.holds = true;
    await publish(['silent'], 1);
    await until(() => made.state === 'waiting', 'the loss to be noticed', 20_000);
    between.holds = false;
    between.cut();
    await arrived(list, [1]);
    assert.equal(made.seen.gap, 0);
  });
}

test('many subscriptions come and go on one connection', async (t) => {
  const between = await Between.start(server.port);
  t.after(() => between.close());
  const made = client(t, {}, between.url);
  const subs = numbers(1, 300).map((i) => listen(made, `many/${i}`));
  await Promise.all(subs.map(({ ready }) => ready));
  const pattern = listen(made, 'many/#');
  await pattern.ready;
  for (const { sub } of subs.slice(0, 150)) sub.unsubscribe();
  for (const i of numbers(1, 300)) await publish([`many/${i}`], i);
  await arrived(pattern.list, numbers(1, 300));
  assert.deepEqual(subs.map(({ list }) => list.length),
    numbers(1, 300).map((i) => (i <= 150 ? 0 : 1)));
  assert.equal(between.count(/upgrade: *websocket/i), 1);
});

test('a message on several channels comes once, with those that were matched', async (t) => {
  const made = client(t);
  const got = [];
  await within(made.subscribe(['both/a', 'both/b'], (message) => got.push(message)).ready, 'it');
  const one = [];
  await within(made.subscribe('both/b', (message) => one.push(message)).ready, 'it');
  const { id } = await made.publish(['both/a', 'both/b', 'both/c'], { x: 1 });
  await until(() => got.length && one.length, 'it');
  assert.deepEqual(got.map((m) => [m.id, m.channels.sort(), m.data]),
    [[id, ['both/a', 'both/b'], { x: 1 }]]);
  assert.deepEqual(one.map((m) => m.channels), [['both/b']]);
});

test('a publish is answered with its id, by each way; a key makes it happen once', async (t) => {
  const socket = client(t);
  const { list, ready } = listen(socket, 'acks');
  await ready;
  const first = await socket.publish('acks', 1);
  assert.match(first.id, /^m\d+$/);
  const poller = client(t, { transports: ['longpoll'] });
  const second = await poller.publish(['acks'], 2);
  assert.equal(second.delivered, 1);
  const between = await Between.start(server.port);
  t.after(() => between.close());
  const unlucky = client(t, { timeoutSeconds: 1 }, between.url);
  between.holds = true;
  const third = unlucky.publish('acks', 3, { key: 'once' });
  await until(async () => list.length === 3, 'the message, though not its answer');
  between.holds = false;
  between.cut();
  assert.match((await within(third, 'the answer')).id, /^m\d+$/);
  await publish(['acks'], 4);
  await arrived(list, [1, 2, 3, 4]);
  await assert.rejects(socket.publish('readings/1/x', 5), (error) => error.status === 403);
  await assert.rejects(poller.publish('readings/1/x', 5), (error) => error.status === 403);
});

test('a subscription goes on elsewhere behind its cursor', async (t) => {
  const first = client(t);
  const a = listen(first, 'move');
  await a.ready;
  await publish(['move'], 1);
  await arrived(a.list, [1]);
  const { cursor } = a.sub;
  first.close();
  assert.equal(first.state, 'closed');
  assert.throws(() => first.subscribe('move', () => undefined));
  await publish(['move'], 2);
  const b = listen(client(t), 'move', { since: cursor });
  await b.ready;
  await publish(['move'], 3);
  await arrived(b.list, [2, 3]);
});

test('what is no longer kept is told as a gap', async (t) => {
  await server.post(`${base}/channels`, { name: 'forgets', history: { messages: 2 } });
  const { id } = await publish(['forgets'], 1);
  for (const i of [2, 3, 4]) await publish(['forgets'], i);
  let gaps = 0;
  const { list, ready } = listen(client(t), 'forgets', { since: id, gap: () => (gaps += 1) });
  await ready;
  await arrived(list, [3, 4]);
  assert.equal(gaps, 1);
});

test('a token that is refused, with no other to be had, ends it all', async (t) => {
  for (const transport of all) {
    const made = client(t, { transports: [transport], token: 'wrong' });
    const { ready } = listen(made, 'x');
    await assert.rejects(ready, (error) => error.status === 401);
    await until(() => made.state === 'idle', 'nothing to do');
  }
});

for (const transport of all) {
  test(`${transport}: the server restarts, or is killed: on it goes, with a gap`, async (t) => {
    const mortal = await Server.start();
    mortal.options = { ...mortal.options, listen: [mortal.url] };
    t.after(() => mortal.kill9());
    const made = client(t, { token: mortal.key, transports: [transport] }, mortal.url);
    const { list, ready } = listen(made, 'phoenix');
    await ready;
    await publish(['phoenix'], 1, mortal);
    await arrived(list, [1]);
    await mortal.stop();
    await until(() => made.state === 'waiting', 'the loss');
    await mortal.again();
    await until(() => made.state === 'online', 'to be online');
    await until(() => made.seen.gap > 0, 'the gap');
    await until(async () => (await publish(['phoenix'], 2, mortal)).delivered, 'it to listen');
    await until(() => list.includes(2), 'a message');
    await mortal.kill9();
    const gaps = made.seen.gap;
    await mortal.again();
    await until(() => made.seen.gap > gaps, 'the gap');
    await until(async () => (await publish(['phoenix'], 3, mortal)).delivered, 'it to listen');
    await until(() => list.includes(3), 'a message');
  });
}

test('the example of the documentation runs', async (t) => {
  await publish(['example'], 'early');
  const file = new URL('../../../docs/examples/live.mjs', import.meta.url).pathname;
  const child = execFile(process.execPath, [file, server.url, server.key, 'example']);
  t.after(() => child.kill());
  let text = '';
  child.stdout.on('data', (part) => (text += part));
  await until(() => /"early"\n.*"hello from \d+"\n/.test(text), 'its output');
  const ended = new Promise((done) => child.on('exit', done));
  child.kill('SIGTERM');
  assert.equal(await within(ended, 'it to end'), 0);
});
