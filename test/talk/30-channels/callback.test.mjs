// Guests: who comes to subscribe without credentials of the server's own may be a user of a web
// application beside it, which is asked (auth.subscribe_url).
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import WebSocket from 'ws';
import { assertProblem, Events, serve, tempDir, until, weir, within } from '../harness.mjs';
import { Application, json, raw, status } from './application.mjs';

const base = '/api/v1';
const cookie = { cookie: 'session=alice; theme=dark' };
const guest = { key: false, headers: cookie };
const poll = (channel, more = '') =>
  `${base}/subscribe?channel=${encodeURIComponent(channel)}${more}`;

/** A server that asks the application; nothing is kept but what `sets` says. */
async function between(t, decide, ...sets) {
  const app = await Application.start(t, decide);
  const server = await serve(t, { args: [
    '--set', `auth.subscribe_url=${app.url}`, '--set', 'auth.subscribe_cache_s=0',
    ...sets.flatMap((set) => ['--set', set]),
  ] });
  return { app, server };
}

async function publish(server, channel, data) {
  const answer = await server.post(`${base}/publish`, { channels: [channel], data });
  assert.equal(answer.status, 201, answer.text);
  return answer.json();
}

async function freePort() {
  const listener = net.createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address();
  await new Promise((done) => listener.close(done));
  return port;
}

/** An open WebSocket that keeps what it hears: heard, closed. */
async function open(t, server, path, options = {}) {
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}${path}`, options);
  socket.heard = [];
  socket.on('message', (text) => socket.heard.push(JSON.parse(text)));
  socket.on('close', (code) => (socket.closed = code));
  socket.on('error', () => undefined);
  t.after(() => socket.terminate());
  const refused = new Promise((done) =>
    socket.once('unexpected-response', (_, answer) => done(answer.statusCode)));
  socket.refused = await within(Promise.race([once(socket, 'open').then(() => 0), refused]),
    'a WebSocket');
  socket.ask = async (question) => {
    const ref = (socket.ref = (socket.ref ?? 0) + 1);
    socket.send(JSON.stringify({ ...question, ref }));
    return until(() => socket.heard.find((frame) => frame.ack === ref) ??
      (socket.closed && { closed: socket.closed }), 'an acknowledgement');
  };
  return socket;
}

async function metric(server, name) {
  const { text } = await server.get('/metrics');
  return Number(new RegExp(`^${name.replace(/[{}"]/g, '\\$&')} (\\d+)`, 'm').exec(text)[1]);
}

// ── the question ──

test('a poll asks with the client\'s headers, and is answered', async (t) => {
  const { app, server } = await between(t, status(204));
  await publish(server, 'blog/7', { hello: 1 });
  const answer = await server.get(`${poll('blog/7')}&channel=news`, { key: false, headers: {
    ...cookie, authorization: 'Bearer theirs', 'x-secret': 'not for them',
  } });
  assert.equal(answer.status, 200, answer.text);
  assert.deepEqual(answer.json().messages.map((one) => one.data), [{ hello: 1 }]);
  const [asked] = app.asked;
  assert.equal(asked.method, 'POST');
  assert.equal(asked.url, '/weir/auth?from=weir');
  assert.equal(asked.headers['content-type'], 'application/json');
  assert.equal(asked.headers.cookie, cookie.cookie);
  assert.equal(asked.headers.authorization, 'Bearer theirs');
  assert.equal(asked.headers['x-secret'], undefined);
  assert.match(asked.headers['user-agent'], /^weir\//);
  assert.deepEqual(asked.channels, ['blog/7', 'news']);
  assert.equal(asked.tenant, 'main');
  assert.equal(asked.transport, 'poll');
  assert.equal(asked.peer, '127.0.0.1');
  assert.equal(asked.token, undefined);
});

test('other headers can be passed on, and a token of the address', async (t) => {
  const { app, server } = await between(t, status(204),
    'auth.subscribe_headers=X-User  origin');
  const answer = await server.get(poll('a', '&token=their%20%22token'), { key: false, headers: {
    ...cookie, 'x-user': ['one', 'two'], origin: 'http://page.example',
  } });
  assert.equal(answer.status, 200, answer.text);
  const [asked] = app.asked;
  assert.equal(asked.headers['x-user'], 'one, two');
  assert.equal(asked.headers.origin, 'http://page.example');
  assert.equal(asked.headers.cookie, undefined);
  assert.equal(asked.token, 'their "token');
});

test('what a client sends stays in its header', async (t) => {
  const { app, server } = await between(t, status(204), 'auth.subscribe_headers=Cookie X-A');
  const line = await server.connect();
  line.send(Buffer.from(`GET ${poll('a%22%5D,%22tenant%22:%22other').replace(/%25/g, '%')}&token=%ff ` +
    'HTTP/1.1\r\nHost: x\r\nCookie: a="b\\"; c={"allow":true}\xff\r\nCookie: d=e\r\n' +
    'X-A: \r\nx-a:  \t \r\n\r\n', 'latin1'));
  const answer = await line.answer();
  assert.equal(answer.status, 200, answer.body);
  line.close();
  const [asked] = app.asked;
  assert.equal(asked.headers.cookie, 'a="b\\"; c={"allow":true}\xff; d=e');
  assert.equal(asked.headers['x-a'], undefined);
  assert.equal(asked.tenant, 'main');
  assert.deepEqual(asked.channels, ['a"],"tenant":"other']);
});

test('a channel said by its id is asked for by its name', async (t) => {
  const { app, server } = await between(t, status(204));
  const { id } = await publish(server, 'room/1', 1).then(() =>
    server.get(`${base}/channels?name=room/1`)).then((list) => list.json().items
    .find((one) => one.name === 'room/1'));
  const answer = await server.get(poll(String(id)), guest);
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.json().messages.length, 1);
  assert.deepEqual(app.asked[0].channels, ['room/1']);
  assertProblem(await server.get(poll('987654321'), guest), 404);
});

// ── who is asked for ──

test('credentials of the server are not asked for', async (t) => {
  const { app, server } = await between(t, status(403));
  assert.equal((await server.get(poll('a'), { headers: cookie })).status, 200);
  assert.equal((await server.get(`${poll('a')}&token=${server.key}`, { key: false })).status, 200);
  const socket = await open(t, server, `${base}/subscribe?channel=a`,
    { headers: { ...cookie, authorization: `Bearer ${server.key}` } });
  assert.equal(socket.refused, 0);
  assert.deepEqual(await socket.ask({ subscribe: ['b'] }), { ack: 1, ok: true });
  assert.equal(app.asked.length, 0);
});

test('a key that may not subscribe is refused, not asked for', async (t) => {
  const { app, server } = await between(t, status(204));
  const made = await server.post(`${base}/admin/keys`, { name: 'r', rights: ['read'] });
  const run = made.status === 201 ? made.json().key : null;
  const key = run ?? (await weir(['admin', 'key', 'create', '--data', server.data, '--name', 'r',
    '--rights', 'read'])).stdout.trim();
  assertProblem(await server.get(poll('a'), { key }), 403);
  assert.equal(app.asked.length, 0);
});

test('guests may do nothing else', async (t) => {
  const { app, server } = await between(t, status(204));
  assertProblem(await server.post(`${base}/publish`, { channels: ['a'], data: 1 }, guest), 401);
  assertProblem(await server.post(`${base}/channels`, { name: 'a' }, guest), 401);
  assertProblem(await server.get(`${base}/channels`, guest), 401);
  assertProblem(await server.get(`${base}/series`, guest), 401);
  assertProblem(await server.post('/write', 'a b=1', guest), 401);
  assert.equal(app.asked.length, 0);
});

test('without the setting guests are refused as ever', async (t) => {
  const server = await serve(t);
  assertProblem(await server.get(poll('a'), guest), 401);
  assertProblem(await server.get(poll('a'), { key: 'wrong' }), 401);
});

// ── the answer ──

test('every transport is let in by 204 and gets what is published', async (t) => {
  const { app, server } = await between(t, status(204));
  const events = await Events.open(server, poll('a'), { key: false, headers: cookie });
  assert.equal(events.status, 200);
  const socket = await open(t, server, `${base}/subscribe?channel=a`, { headers: cookie });
  assert.equal(socket.refused, 0);
  const held = server.get(poll('a', '&mode=longpoll&since=now'), guest);
  await until(() => app.asked.length === 3, 'three questions');
  assert.deepEqual(app.asked.map((one) => one.transport).sort(),
    ['longpoll', 'sse', 'websocket']);
  await until(async () => {
    await publish(server, 'a', 'hello');
    return events.list.length && socket.heard.length;
  }, 'messages');
  assert.equal((await held).json().messages[0].data, 'hello');
  events.close();
});

test('refusals are passed on with the application\'s words', async (t) => {
  const { app, server } = await between(t, json({ detail: 'ask "Bob" first' }, 403));
  const problem = assertProblem(await server.get(poll('a'), guest), 403);
  assert.equal(problem.detail, 'ask "Bob" first');
  app.decide = status(401);
  const answer = await server.get(poll('a'), guest);
  assertProblem(answer, 401);
  assert.match(answer.headers['www-authenticate'], /^Bearer/);
  app.decide = json({ allow: false });
  assertProblem(await server.get(poll('a'), guest), 403);
  app.decide = json({ allow: [] });
  assertProblem(await server.get(poll('a'), guest), 403);
  app.decide = (question, reply) => reply.writeHead(403).end('<html>no');
  assertProblem(await server.get(poll('a'), guest), 403);
  app.decide = status(403);
  assert.equal((await Events.open(server, poll('a'), { key: false })).status, 403);
  assert.equal((await open(t, server, `${base}/subscribe?channel=a`)).refused, 403);
  assertProblem(await server.get(poll('a', '&mode=longpoll'), guest), 403);
  assert.equal(await metric(server, 'weir_guests_total{result="refused"}'), 8);
});

test('patterns of the answer hold', async (t) => {
  const { app, server } = await between(t, json({ allow: ['user/7/#', 'news'] }));
  assert.equal((await server.get(poll('user/7/mail'), guest)).status, 200);
  assert.equal((await server.get(poll('user/7/#'), guest)).status, 200);
  assertProblem(await server.get(poll('user/8/mail'), guest), 403);
  assertProblem(await server.get(poll('#'), guest), 403);
  assertProblem(await server.get(`${poll('news')}&channel=user/8`, guest), 403);
  app.decide = json({ allow: true });
  assert.equal((await server.get(poll('anything/#'), guest)).status, 200);
});

test('what is not understood is no permission', async (t) => {
  const { app, server } = await between(t, status(204), 'auth.subscribe_timeout_ms=500ms');
  const wrong = [
    json(true), json([]), json('yes'), json({}), json({ allow: 1 }), json({ allow: 'true' }),
    json({ allow: null }), json({ allow: {} }), json({ allow: [1] }), json({ allow: ['a', null] }),
    json({ allow: ['a//b'] }), json({ allow: ['a#'] }), json({ allow: [''] }),
    json({ allow: true, expires_in_s: 'soon' }), json({ allow: true, expires_in_s: -1 }),
    json({ allow: true, expires_in_s: 0 }), json({ allow: true, cache_s: 1.5 }),
    json({ allow: true, user: 7 }), json({ allow: true, user: 'a\nb' }),
    json({ allow: true, user: 'x'.repeat(300) }), json({ allow: true, publish: true }),
    json({ allow: true, publish: ['a/#/b'] }), json({ allow: Array(1001).fill('a') }),
    json({ allow: true }, 201), json({ allow: true }, 500), status(302), status(404), status(202),
    (question, reply) => reply.end('<html>please log in</html>'),
    (question, reply) => reply.end('{"allow":true'),
    (question, reply) => reply.end('{"allow":true}{"allow":true}'),
    (question, reply) => reply.end('{"allow":false,"allow":true}'),
    (question, reply) => reply.end(`{"allow":true,"x":"${'x'.repeat(100_000)}"}`),
    (question, reply) => reply.writeHead(302, { location: app.url }).end(),
    (question, reply) => reply.writeHead(200, { 'content-length': 14 }).write('{"allow":') &&
      reply.socket.end(),
    (question, reply) => reply.socket.destroy(),
    raw('HTTP/1.1 200 OK\r\n\r\n'),
    raw('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'),
    raw('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'),
    raw('HTTP/1.1 2'), raw('{"allow":true}'), raw('SSH-2.0-x\r\n'),
    raw(`HTTP/1.1 200 OK\r\n${'X-A: b\r\n'.repeat(20_000)}\r\n`),
    raw('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'),
  ];
  for (const [at, decide] of wrong.entries()) {
    app.decide = decide;
    const answer = await server.get(poll('a'), guest);
    assert.equal(answer.status, 503, `${at}: ${decide} ${answer.text}`);
    assert.equal(answer.headers['retry-after'], '3');
    assertProblem(answer, 503);
  }
  assert.equal(app.asked.length, wrong.length);
  assert.equal(await metric(server, 'weir_guests_total{result="failed"}'), wrong.length);
  const lines = server.log.split('\n').filter((line) => line.includes('subscribe_not_asked'));
  assert.ok(lines.length >= 1 && lines.length <= 3, server.log);
  assert.match(lines[0], /it is no JSON object/);
  assert.match(lines[0], /auth\.subscribe_url/);
  app.decide = (question, reply) => reply.writeHead(200).end();
  assert.equal((await server.get(poll('a'), guest)).status, 200);
});

test('an application that is slow, or not there, lets nobody in', async (t) => {
  const { app, server } = await between(t, () => undefined, 'auth.subscribe_timeout_ms=300ms');
  const answers = await Promise.all([
    server.get(poll('a'), guest), server.get(poll('b', '&mode=longpoll'), guest)]);
  for (const answer of answers) assertProblem(answer, 503);
  assert.equal((await open(t, server, `${base}/subscribe?channel=a`, { headers: cookie })).refused,
    503);
  app.stop();
  assertProblem(await server.get(poll('a'), guest), 503);
  assert.match(server.log, /no answer within 300 ms/);
  await Application.start(t, status(204), app.port);
  assert.equal((await server.get(poll('a'), guest)).status, 200);
});

test('wrong credentials count once the application has refused them, too', async (t) => {
  const { app, server } = await between(t, status(204), 'rate.failures_per_s=1');
  for (let i = 0; i < 30; i++)
    assert.equal((await server.get(poll('a'), { key: `theirs-${i}` })).status, 200);
  app.decide = status(401);
  let seen = 401;
  for (let i = 0; i < 30 && seen === 401; i++)
    seen = (await server.get(poll('a'), { key: `theirs-${i}` })).status;
  assert.equal(seen, 429);
  assert.equal((await server.get(poll('a'), guest)).status, 401); // without: nothing was wrong
});

test('a user and a password count at once', async (t) => {
  const { server } = await between(t, status(204), 'rate.failures_per_s=1');
  let seen = 200;
  for (let i = 0; i < 30 && seen === 200; i++) {
    const pair = Buffer.from(`device-1:${i}`).toString('base64');
    seen = (await server.get(poll('a'), { key: false,
      headers: { authorization: `Basic ${pair}` } })).status;
  }
  assert.equal(seen, 429);
});

test('a guest with a name has the limits of a principal', async (t) => {
  const { app, server } = await between(t, json({ allow: true, user: 'alice' }),
    'rate.requests_per_s=1');
  let seen = 200;
  for (let i = 0; i < 30 && seen === 200; i++) seen = (await server.get(poll('a'), guest)).status;
  assert.equal(seen, 429);
  app.decide = json({ allow: true, user: 'bob' });
  assert.equal((await server.get(poll('a'), guest)).status, 200);
  app.decide = status(204);
  for (let i = 0; i < 30; i++) assert.equal((await server.get(poll('a'), guest)).status, 200);
});

// ── the end of it ──

test('a permission ends when it said so', async (t) => {
  const { server } = await between(t, json({ allow: true, expires_in_s: 1 }));
  const events = await Events.open(server, poll('a'), { key: false, headers: cookie });
  const socket = await open(t, server, `${base}/subscribe?channel=a`, { headers: cookie });
  const held = await server.get(poll('a', '&mode=longpoll&since=now'), guest);
  assert.equal(held.status, 401);
  await until(() => events.over, 'the end of the stream');
  assert.equal(await until(() => socket.closed, 'the end of the WebSocket'), 4401);
});

test('a guest shows the name that the application gives him', async (t) => {
  const { app, server } = await between(t, json({ allow: true, user: 'alice' }));
  const made = await server.post(`${base}/channels`, { name: 'room', presence: true });
  assert.equal(made.status, 201, made.text);
  const socket = await open(t, server, `${base}/subscribe?channel=room`, { headers: cookie });
  app.decide = json({ allow: ['room', '$presence/room'] });
  const events = await Events.open(server, poll('$presence/room', '&since=0'),
    { key: false });
  const { items } = await until(async () => {
    const list = (await server.get(`${base}/channels/room/presence`)).json();
    return list.items.length && list;
  }, 'somebody there');
  assert.equal(items[0].sub, 'alice');
  socket.close();
  await until(() => events.list.length || events.over, 'word of him');
  events.close();
});

// ── WebSockets ──

test('a WebSocket without channels is asked for when it subscribes', async (t) => {
  const { app, server } = await between(t, (question, answer) =>
    (question.channels.every((name) => name.startsWith('user/7')) ? json({ allow: true })
      : json({ detail: 'not yours' }, 403))(question, answer));
  const socket = await open(t, server, `${base}/subscribe`, { headers: cookie });
  assert.equal(socket.refused, 0);
  assert.equal(app.asked.length, 0);
  assert.equal((await socket.ask({ unsubscribe: [] })).ok, true);
  const no = await socket.ask({ subscribe: ['user/8/a'] });
  assert.equal(no.ok, false);
  assert.equal(no.error.status, 403);
  assert.equal(no.error.detail, 'not yours');
  assert.equal((await socket.ask({ subscribe: ['a//b'] })).error.status, 422);
  assert.equal(app.asked.length, 1);
  assert.equal((await socket.ask({ subscribe: ['user/7/a', 'user/7/b'] })).ok, true);
  assert.equal(app.asked[1].headers.cookie, cookie.cookie);
  assert.equal(app.asked[1].transport, 'websocket');
  // Within what is granted nobody is asked, beyond it again.
  assert.equal((await socket.ask({ subscribe: ['user/7/b'] })).ok, true);
  assert.equal(app.asked.length, 2);
  assert.equal((await socket.ask({ subscribe: ['user/7/c'] })).ok, true);
  assert.deepEqual(app.asked[2].channels, ['user/7/c']);
  assert.equal((await socket.ask({ subscribe: ['user/7/a', 'user/9'] })).error.status, 403);
  assert.equal((await socket.ask({ subscribe: ['user/7/a', 'user/7/c'] })).ok, true);
  assert.equal(app.asked.length, 4);
  for (const name of ['user/7/a', 'user/7/b', 'user/7/c']) await publish(server, name, name);
  await until(() => socket.heard.filter((one) => one.id).length === 3, 'three messages');
});

test('a WebSocket may still send a token first', async (t) => {
  const { app, server } = await between(t, status(403));
  const socket = await open(t, server, `${base}/subscribe`, { headers: cookie });
  assert.equal((await socket.ask({ token: server.key })).ok, true);
  assert.equal((await socket.ask({ subscribe: ['a'] })).ok, true);
  assert.equal(app.asked.length, 0);
  const wrong = await open(t, server, `${base}/subscribe`);
  assert.equal((await wrong.ask({ token: 'wrong' })).closed, 4401);
  const early = await open(t, server, `${base}/subscribe`);
  assert.equal((await early.ask({ publish: ['a'], data: 1 })).closed, 4401);
});

test('a guest publishes where the application lets him', async (t) => {
  const { server } = await between(t, json({ allow: ['chat'], publish: ['chat'] }));
  const socket = await open(t, server, `${base}/subscribe?channel=chat`, { headers: cookie });
  assert.equal((await socket.ask({ publish: ['chat'], data: 'hi' })).ok, true);
  assert.equal((await socket.ask({ publish: ['other'], data: 'hi' })).error.status, 403);
  await until(() => socket.heard.some((one) => one.data === 'hi'), 'his own words');
});

test('a WebSocket by id, asked for in a frame', async (t) => {
  const { app, server } = await between(t, status(204));
  const made = await server.post(`${base}/channels`, { name: 'room/9' });
  const socket = await open(t, server, `${base}/subscribe`, { headers: cookie });
  assert.equal((await socket.ask({ subscribe: [made.json().id] })).ok, true);
  assert.deepEqual(app.asked[0].channels, ['room/9']);
  assert.equal((await socket.ask({ subscribe: [987654321] })).error.status, 404);
});

test('weir.js listens with nothing but the page\'s cookie', async (t) => {
  const { app, server } = await between(t, status(204));
  const file = join(tempDir(), 'weir.mjs');
  writeFileSync(file, (await server.get('/weir.js', { key: false })).text);
  const { connect } = await import(pathToFileURL(file));
  class Browser extends WebSocket {
    constructor(url, protocols) {
      super(url, protocols, { headers: cookie });
    }
  }
  const client = connect(server.url, { WebSocket: Browser });
  t.after(() => client.close());
  const heard = [];
  const first = client.subscribe('a', (message) => heard.push(message.data));
  await within(first.ready, 'the first subscription');
  await within(client.subscribe('b', (message) => heard.push(message.data)).ready, 'the second');
  await publish(server, 'a', 1);
  await publish(server, 'b', 2);
  await until(() => heard.length === 2, 'two messages');
  // Others make sure where they are by a poll, which in a browser has the cookie, too.
  assert.ok(app.asked.some((one) => one.transport === 'websocket' &&
    one.headers.cookie === cookie.cookie));
});

// ── crowds ──

test('a permission is kept for a while', async (t) => {
  const { app, server } = await between(t, json({ allow: true, cache_s: 60 }), 'net.loops=1');
  for (let i = 0; i < 3; i++) assert.equal((await server.get(poll('a'), guest)).status, 200);
  assert.equal(app.asked.length, 1);
  assert.equal((await server.get(poll('b'), guest)).status, 200);
  assert.equal((await server.get(poll('a'), { key: false, headers: { cookie: 'bob' } })).status,
    200);
  assert.equal((await server.get(poll('a'), { key: false })).status, 200);
  assert.equal(app.asked.length, 4);
  assert.equal(await metric(server, 'weir_guests_cached_total'), 2);
  app.decide = json({ detail: 'never', cache_s: 60 }, 403);
  for (let i = 0; i < 3; i++)
    assert.equal(assertProblem(await server.get(poll('c'), guest), 403).detail, 'never');
  assert.equal(app.asked.length, 5);
});

test('it grows old', async (t) => {
  const { app, server } = await between(t, json({ allow: true, cache_s: 60 }), 'net.loops=1',
    'auth.subscribe_cache_s_max=1s');
  assert.equal((await server.get(poll('a'), guest)).status, 200);
  app.decide = status(403);
  assert.equal((await server.get(poll('a'), guest)).status, 200);
  await until(async () => (await server.get(poll('a'), guest)).status === 403, 'its end');
  assert.equal((await server.get(poll('a'), guest)).status, 403);
});

test('equal questions are one', async (t) => {
  let answers = [];
  const { app, server } = await between(t, (question, answer) => answers.push(answer),
    'net.loops=1');
  const all = Array.from({ length: 50 }, () => server.get(poll('a'), guest));
  const other = server.get(poll('a'), { key: false });
  await until(async () => answers.length === 2 &&
    await metric(server, 'weir_guests_joined_total') === 49, 'all to wait');
  for (const answer of answers) answer.writeHead(204).end();
  for (const answer of await Promise.all([...all, other])) assert.equal(answer.status, 200);
  assert.equal(app.asked.length, 2);
});

test('questions at once are bounded, and those that wait', async (t) => {
  const answers = [];
  const { app, server } = await between(t, (question, answer) => answers.push(answer),
    'auth.subscribe_asks_max=4', 'auth.subscribe_waiting_max=6');
  const all = Array.from({ length: 30 }, (_, i) =>
    server.get(poll('a'), { key: false, headers: { cookie: `one=${i}` } }));
  let busy = 0;
  for (const one of all) one.then((answer) => {
    if (answer.status !== 503) return;
    assert.match(answer.json().detail, /too many wait/);
    assert.equal(answer.headers['retry-after'], '3');
    busy += 1;
  });
  await until(() => busy === 20 && answers.length === 4, 'the rest to be turned away');
  let at = 0;
  await until(() => {
    while (at < answers.length) answers[at++].writeHead(204).end();
    return at === 10;
  }, 'all questions');
  assert.equal((await Promise.all(all)).filter((one) => one.status === 200).length, 10);
  assert.equal(app.most, 4);
  assert.equal(await metric(server, 'weir_guests_total{result="busy"}'), 20);
});

test('who leaves while he waits is forgotten', async (t) => {
  const answers = [];
  const { app, server } = await between(t, (question, answer) => answers.push(answer),
    'auth.subscribe_asks_max=1', 'net.loops=1');
  const leaving = await server.connect();
  leaving.send(`GET ${poll('a')} HTTP/1.1\r\nHost: x\r\n\r\n`);
  await until(() => answers.length === 1, 'the question');
  const second = await server.connect(); // waits for the one connection
  second.send(`GET ${poll('b', '&mode=sse')} HTTP/1.1\r\nHost: x\r\n\r\n`);
  const socket = await server.connect();
  socket.send(`GET ${base}/subscribe?channel=c HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\n` +
    'Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
    'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n');
  await until(async () => await metric(server, 'weir_guests_asked_total') === 3, 'all of them');
  leaving.close(); // that is seen when he is answered
  for (const one of [second, socket]) one.socket.resetAndDestroy();
  await until(async () => await metric(server, 'weir_connections_open') === 2, 'their end');
  answers[0].writeHead(204).end();
  app.decide = status(204);
  assert.equal((await server.get(poll('a'), guest)).status, 200);
  assert.deepEqual(app.asked.map((one) => one.channels[0]), ['a', 'a']); // not for those who left
});

test('the server stops while it asks', async (t) => {
  const answers = [];
  const { app, server } = await between(t, (question, answer) => answers.push(answer),
    'net.drain_ms=500ms', 'auth.subscribe_asks_max=1', 'auth.subscribe_timeout_ms=60s');
  const sent = [];
  for (const mode of ['poll', 'sse', 'longpoll']) {
    const line = await server.connect();
    line.send(`GET ${poll(mode, `&mode=${mode}`)} HTTP/1.1\r\nHost: x\r\n\r\n`);
    sent.push(line);
  }
  const socket = await open(t, server, `${base}/subscribe`, { headers: cookie });
  socket.send(JSON.stringify({ subscribe: ['w'], ref: 1 }));
  await until(() => answers.length === 1, 'a question');
  await server.stop();
  for (const line of sent) await line.ended();
  assert.equal(app.asked.length, 1);
});

test('an answer during the drain is given', async (t) => {
  const answers = [];
  const { server } = await between(t, (question, answer) => answers.push(answer));
  const held = server.get(poll('a'), guest);
  await until(() => answers.length === 1, 'the question');
  const stopped = server.stop();
  await until(() => /event=stopping/.test(server.log), 'the stop');
  answers[0].writeHead(204).end();
  assert.equal((await held).status, 200);
  await stopped;
});

// ── documentation ──

test('the application of docs/proxies.md', async (t) => {
  const text = readFileSync(new URL('../../../docs/proxies.md', import.meta.url), 'utf8');
  const example = /```js\n(.*?)```/s.exec(text)[1];
  const port = await freePort();
  assert.ok(example.includes('3000'));
  const file = join(tempDir(), 'application.mjs');
  writeFileSync(file, example.replace('3000', port));
  const child = spawn(process.execPath, [file], { stdio: 'inherit' });
  t.after(() => child.kill('SIGKILL'));
  const server = await serve(t, { args: [
    '--set', `auth.subscribe_url=http://127.0.0.1:${port}/weir/auth`,
    '--set', 'auth.subscribe_cache_s=0',
  ] });
  const alice = { key: false, headers: { cookie: 'a=b; session=5f2c' } };
  await until(async () => (await server.get(poll('room/1'), alice)).status === 200, 'alice');
  assert.equal((await server.get(poll('news/+'), alice)).status, 200);
  assertProblem(await server.get(poll('room/3'), alice), 403);
  const nobody = assertProblem(await server.get(poll('news/a'), { key: false }), 401);
  assert.equal(nobody.detail, 'log in first');
});

// ── settings ──

test('bad settings are refused', async (t) => {
  for (const [set, says] of [
    ['auth.subscribe_url=127.0.0.1/x', 'address'],
    ['auth.subscribe_url=ftp://127.0.0.1/', 'address'],
    ['auth.subscribe_url=http://me:secret@127.0.0.1/', 'address'],
    ['auth.subscribe_headers=Cookie Host', 'names of headers'],
    ['auth.subscribe_headers=Cookie:', 'names of headers'],
  ]) {
    const run = await weir(['serve', '--data', join(tempDir(), 'x'), '--check-config', '--set',
      set]);
    assert.notEqual(run.code, 0, set);
    assert.match(run.stderr, new RegExp(says));
  }
});

test('guests belong to the tenant of the settings', async (t) => {
  const { app, server } = await between(t, status(204), 'auth.subscribe_tenant=other');
  await publish(server, 'a', 'of main');
  const answer = await server.get(poll('a'), guest);
  assert.equal(answer.status, 200, answer.text);
  assert.deepEqual(answer.json().messages, []);
  assert.equal(app.asked[0].tenant, 'other');
});

test('loops with tables of descriptors of their own ask, too', async (t) => {
  const { app, server } = await between(t, status(204), 'net.loops=4');
  assert.match(server.log, /descriptor_tables=per_loop/);
  const all = await Promise.all(Array.from({ length: 40 }, (_, i) =>
    server.get(poll(`a/${i}`), guest)));
  assert.deepEqual(all.map((one) => one.status), Array(40).fill(200));
  assert.equal(app.asked.length, 40);
});

test('idle, nothing wakes up', async (t) => {
  const { server } = await between(t, status(204));
  assert.equal((await server.get(poll('a'), guest)).status, 200);
  const dir = `/proc/${server.pid}/task`;
  const out = readdirSync(dir).find((id) =>
    readFileSync(`${dir}/${id}/comm`, 'utf8').trim() === 'out');
  assert.ok(out, 'a thread called out');
  const switches = () =>
    Number(/voluntary_ctxt_switches:\s+(\d+)/.exec(readFileSync(`${dir}/${out}/status`, 'utf8'))[1]);
  let before = -1;
  await until(() => before === (before = switches()), 'the thread to sleep');
  before = switches();
  await new Promise((wake) => setTimeout(wake, 1500));
  assert.ok(switches() - before <= 1, `${switches() - before} wake-ups`);
});
