// Who is subscribed: listed and told, over every transport, however a subscriber goes.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { assertProblem, serve, Server, until, weir } from '../harness.mjs';
import { Between } from './between.mjs';

const base = '/api/v1';
let server;
let secret;

before(async () => {
  server = await Server.start({
    args: ['--set', 'channels.presence_linger_s=1'],
  });
  const made = await weir(
    ['admin', 'secret', 'create', '--data', server.data, '--name', 'pages']);
  assert.equal(made.code, 0, made.stderr);
  secret = made.stdout.trim().split(/\s+/);
});
after(() => server.stop());

function jwt(sub, { subscribe = ['#'], seconds = 600, info } = {}) {
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const [id, key] = secret;
  const exp = Math.floor(Date.now() / 1000) + seconds;
  const text = `${encode({ alg: 'HS256', typ: 'JWT', kid: id })}.` +
    encode({ aud: 'weir', sub, exp, weir: { subscribe, info } });
  return `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`;
}

async function make(name, more = {}) {
  const made = await server.post(`${base}/channels`, { name, presence: true, ...more });
  assert.equal(made.status, 201, made.text);
  return made.json();
}

async function present(name, query = '', options = {}) {
  const answer = await server.get(
    `${base}/channels/${encodeURIComponent(name)}/presence?${query}`, options);
  assert.equal(answer.status, 200, answer.text);
  return answer.json();
}

const names = async (name) => (await present(name)).items.map((item) => item.sub ?? item.name);

/** Waits until exactly these are there. */
const areThere = (name, list) => until(async () => {
  const found = (await names(name)).sort();
  return JSON.stringify(found) === JSON.stringify([...list].sort());
}, `${list.join(' and ') || 'nobody'} at ${name}`);

/** What was told of a channel: "+alice" and "-alice", in order. */
async function told(name) {
  const feed = encodeURIComponent(`$presence/${name}`);
  const answer = await server.get(`${base}/subscribe?channel=${feed}&since=0`);
  assert.equal(answer.status, 200, answer.text);
  return answer.json().messages.flatMap(({ data }) => [
    ...data.joined.map((one) => `+${one.sub ?? one.name}`),
    ...data.left.map((one) => `-${one.sub ?? one.name}`),
  ]);
}

function socket(token, channels, url = server.url) {
  const made = new WebSocket(
    `${url.replace('http', 'ws')}${base}/subscribe?token=${token}${
      channels.map((name) => `&channel=${encodeURIComponent(name)}`).join('')}`);
  made.on('error', () => {});
  return made;
}

/** An event stream, or a poll that is held; end() leaves. */
function request(token, query) {
  const control = new AbortController();
  const done = fetch(`${server.url}${base}/subscribe?${query}`, {
    headers: { authorization: `Bearer ${token}` }, signal: control.signal,
  }).then((answer) => (query.includes('mode=sse') ? answer.body.getReader().read() : answer.json()),
    () => null).catch(() => null);
  return { done, end: () => control.abort() };
}

const transports = {
  websocket(token, name) {
    const made = socket(token, [name]);
    return () => made.close();
  },
  cut(token, name) {
    const made = socket(token, [name]);
    return () => made.terminate();
  },
  sse(token, name) {
    const made = request(token, `mode=sse&channel=${encodeURIComponent(name)}`);
    return () => made.end();
  },
  longpoll(token, name) {
    const made = request(token,
      `mode=longpoll&timeout=60&since=now&channel=${encodeURIComponent(name)}`);
    return () => made.end();
  },
};

for (const [transport, come] of Object.entries(transports)) {
  test(`who comes and leaves over ${transport} is listed and told`, async () => {
    const name = `room/${transport}`;
    await make(name);
    assert.deepEqual(await present(name), { items: [], members: 0, unlisted: 0, next: null });
    const before = Date.now();
    const leave = come(jwt('alice', { info: { nick: 'Al "x"', n: 1 } }), name);
    await areThere(name, ['alice']);
    const [alice] = (await present(name)).items;
    assert.ok(alice.since >= before - 1000 && alice.since <= Date.now() + 1000);
    delete alice.since;
    assert.deepEqual(alice,
      { name: 'sub-alice', sub: 'alice', info: { nick: 'Al "x"', n: 1 }, connections: 1 });
    const second = come(jwt('alice'), name);
    const other = come(jwt('bob'), name);
    await areThere(name, ['alice', 'bob']);
    await until(async () => (await present(name)).items[0].connections === 2, 'both connections');
    second();
    await until(async () => (await present(name)).items[0].connections === 1, 'one connection');
    leave();
    await areThere(name, ['bob']);
    other();
    await areThere(name, []);
    assert.deepEqual(await told(name), ['+alice', '+bob', '-alice', '-bob']);
  });
}

test('a channel without presence says so, and is told of nowhere', async () => {
  await server.post(`${base}/channels`, { name: 'plain' });
  const made = socket(jwt('alice'), ['plain']);
  await until(async () => (await server.get(`${base}/channels/plain`)).json().subscribers === 1,
    'the subscriber');
  const problem = assertProblem(await server.get(`${base}/channels/plain/presence`), 404);
  assert.match(problem.detail, /presence/);
  assertProblem(await server.get(`${base}/channels/unknown/presence`), 404);
  assert.equal((await server.get(`${base}/channels/plain`)).json().presence, false);
  made.close();
});

test('a poll that comes back and a connection made anew are no departures', async () => {
  await make('again');
  const token = jwt('carol');
  let { next } = (await server.get(`${base}/subscribe?channel=again`)).json();
  for (let i = 0; i < 5; i++) {
    const held = request(token, `mode=longpoll&channel=again&since=${next}`);
    await until(async () => (await present('again')).items[0]?.connections === 1, 'the poll');
    await server.post(`${base}/publish`, { channels: ['again'], data: i });
    ({ next } = await held.done);
  }
  for (let i = 0; i < 3; i++) {
    const made = socket(token, ['again']);
    await until(async () => (await present('again')).items[0].connections === 1, 'the socket');
    made.terminate();
    await until(async () => (await present('again')).items[0].connections === 0, 'its end');
  }
  assert.deepEqual(await told('again'), ['+carol']);
  await areThere('again', []);
  assert.deepEqual(await told('again'), ['+carol', '-carol']);
});

test('who is cut off without a word is found out', async (t) => {
  const own = await serve(t,
    { args: ['--set', 'channels.presence_linger_s=1', '--set', 'ws.ping_s=1'] });
  await own.post(`${base}/channels`, { name: 'silent', presence: true });
  const members = async (count) => until(async () => (await own.get(
    `${base}/channels/silent/presence`)).json().members === count, `${count} of them`);
  const between = await Between.start(own.port);
  t.after(() => between.close());
  const made = socket(own.key, ['silent'], between.url);
  await members(1);
  made._socket.pause(); // answers no ping, says no good-bye
  await members(0);
  made.terminate();
});

test('whose token ends leaves; whose new one is in time does not', async () => {
  await make('tokens');
  const made = socket(jwt('erin', { seconds: 2 }), ['tokens']);
  const code = new Promise((done) => made.on('close', done));
  await areThere('tokens', ['erin']);
  assert.equal(await code, 4401);
  const next = socket(jwt('erin', { seconds: 600 }), ['tokens']);
  await until(async () => (await present('tokens')).items[0]?.connections === 1, 'the new one');
  assert.deepEqual(await told('tokens'), ['+erin']);
  next.close();
  await areThere('tokens', []);
});

test('who may not listen is told nothing of who is there', async () => {
  await make('team/a');
  const made = socket(jwt('frank'), ['team/a']);
  await areThere('team/a', ['frank']);
  const inside = jwt('x', { subscribe: ['team/+'] });
  const outside = jwt('y', { subscribe: ['other/#'] });
  assert.equal((await present('team/a', '', { key: inside })).members, 1);
  assertProblem(await server.get(`${base}/channels/team%2Fa/presence`, { key: outside }), 404);
  const feed = (name, key) => server.get(
    `${base}/subscribe?channel=${encodeURIComponent(name)}`, { key });
  assert.equal((await feed('$presence/team/a', inside)).status, 200);
  assert.equal((await feed('$presence/team/+', inside)).status, 200);
  assertProblem(await feed('$presence/team/a', outside), 403);
  assertProblem(await feed('$presence/#', inside), 403);
  made.close();
});

test('its feed is the server’s: nobody publishes to it, makes it, or ends it', async () => {
  await make('feed');
  const name = '$presence/feed';
  assertProblem(await server.post(`${base}/publish`, { channels: [name], data: 1 }), 403);
  assertProblem(await server.post(`${base}/channels`, { name }), 422);
  const { id } = (await server.get(`${base}/channels/${encodeURIComponent(name)}`)).json();
  for (const path of [id, encodeURIComponent(name)]) {
    assertProblem(await server.request('DELETE', `${base}/channels/${path}`), 403);
    assertProblem(await server.post(`${base}/channels/${path}/renew`, { ttl_s: 1 }), 403);
  }
  assertProblem(await server.post(`${base}/publish`, { channels: [id], data: 1 }), 403);
  const list = (await server.get(`${base}/channels?limit=1000`)).json().items;
  assert.ok(list.some((item) => item.name === 'feed' && item.presence));
  assert.ok(!list.some((item) => item.name.startsWith('$')));
  assertProblem(await server.post(`${base}/channels`,
    { name: 'x'.repeat(246), presence: true }), 422);
});

test('patterns that begin with a wild card do not hear the feed, those below $presence do', async () => {
  await make('wild/1');
  const heard = { '#': [], '+/wild/1': [], '$presence/wild/+': [], '$presence/wild/1': [] };
  const sockets = Object.entries(heard).map(([pattern, list]) => {
    const made = socket(server.key, [pattern]);
    made.on('message', (text) => list.push(JSON.parse(text)));
    return new Promise((done) => made.on('open', () => done(made)));
  });
  const open = await Promise.all(sockets);
  const made = socket(jwt('gina'), ['wild/1']);
  await until(() => heard['$presence/wild/1'].length, 'the feed');
  await server.post(`${base}/publish`, { channels: ['wild/1'], data: 'after' });
  await until(() => heard['#'].length, 'the message');
  assert.deepEqual(heard['#'].map(({ data }) => data), ['after']);
  assert.deepEqual(heard['+/wild/1'], []);
  const [message] = heard['$presence/wild/+'];
  assert.deepEqual(message, heard['$presence/wild/1'][0]);
  assert.deepEqual(message.channels, ['$presence/wild/1']);
  assert.deepEqual(message.data, {
    joined: [{ name: 'sub-gina', sub: 'gina' }], left: [], members: 1,
  });
  for (const one of [...open, made]) one.close();
});

test('the feed has a cursor without a seam', async () => {
  await make('seam');
  const first = socket(jwt('h1'), ['seam']);
  await areThere('seam', ['h1']);
  const feed = encodeURIComponent('$presence/seam');
  const { next, messages } = (await server.get(`${base}/subscribe?channel=${feed}`)).json();
  assert.equal(messages.length, 1);
  const second = socket(jwt('h2'), ['seam']);
  const held = (await server.get(
    `${base}/subscribe?mode=longpoll&channel=${feed}&since=${next}`)).json();
  assert.equal(held.gap, undefined);
  assert.deepEqual(held.messages[0].data.joined.map(({ sub }) => sub), ['h2']);
  first.close();
  second.close();
});

test('who was there before the channel is there, too; its end ends all', async () => {
  const early = socket(jwt('ivan'), ['later']);
  await until(async () => (await server.get('/metrics')).text.match(/^weir_subscriptions [1-9]/m),
    'the subscription');
  await make('later');
  await areThere('later', ['ivan']);
  const feed = socket(server.key, ['$presence/later']);
  const said = [];
  feed.on('message', (text) => said.push(JSON.parse(text)));
  await new Promise((done) => feed.on('open', done));
  const { id } = (await server.get(`${base}/channels/later`)).json();
  assert.equal((await server.request('DELETE', `${base}/channels/later`)).status, 204);
  await until(() => said.some((one) => one.closed), 'the end of the feed');
  assertProblem(await server.get(`${base}/channels/later/presence`), 404);
  const { id: other } = await make('later');
  assert.ok(other > id);
  assert.deepEqual((await present('later')).items, []);
  early.close();
  feed.close();
});

test('unsubscribing and subscribing on one connection count', async () => {
  await make('frames');
  const made = socket(jwt('judy'), []);
  await new Promise((done) => made.on('open', done));
  made.send(JSON.stringify({ subscribe: ['frames'] }));
  await areThere('frames', ['judy']);
  made.send(JSON.stringify({ unsubscribe: ['frames'] }));
  await areThere('frames', []);
  made.send(JSON.stringify({ subscribe: ['frames'], since: 0 }));
  await areThere('frames', ['judy']);
  made.close();
  await areThere('frames', []);
});

test('information of a token that is too long is not shown; keys are members, too', async () => {
  await make('info');
  const long = socket(jwt('kim', { info: 'x'.repeat(300) }), ['info']);
  const key = socket(server.key, ['info']);
  await until(async () => (await present('info')).members === 2, 'both');
  const { items } = await present('info');
  assert.deepEqual(items.map(({ info }) => info), [undefined, undefined]);
  assert.ok(items.some(({ name, sub }) => name.startsWith('app-') && sub === undefined));
  long.close();
  key.close();
});

test('thousands come at once, are listed in pages, told in few messages, and leave', async () => {
  const count = 2000;
  await make('crowd', { history: { seconds: 600 } });
  const sockets = [];
  while (sockets.length < count) {
    const some = Array.from({ length: 100 }, (_, i) =>
      socket(jwt(`m${sockets.length + i}`), ['crowd']));
    await Promise.all(some.map((one) => new Promise((done) => one.on('open', done))));
    sockets.push(...some);
  }
  await until(async () => (await present('crowd', 'limit=1')).members === count, 'all', 60_000);
  const found = new Set();
  let next = '';
  let pages = 0;
  do {
    const page = await present('crowd', `limit=300${next && `&cursor=${next}`}`);
    for (const { sub, connections } of page.items) {
      assert.equal(connections, 1);
      assert.ok(!found.has(sub));
      found.add(sub);
    }
    next = page.next;
    pages++;
  } while (next);
  assert.deepEqual([found.size, pages], [count, 7]);
  for (const one of sockets) one.terminate();
  await areThere('crowd', []);
  const all = await told('crowd');
  assert.equal(all.filter((one) => one[0] === '+').length, count);
  assert.equal(all.filter((one) => one[0] === '-').length, count);
});

test('a durable one shows who is there after a restart: those who come anew', async () => {
  await make('kept', { durable: true });
  const before = socket(jwt('lea'), ['kept']);
  await areThere('kept', ['lea']);
  before.terminate();
  await server.kill9();
  await server.again();
  assert.deepEqual((await present('kept')).items, []);
  assert.equal((await server.get(`${base}/channels/kept`)).json().presence, true);
  const again = socket(jwt('lea'), ['kept']);
  await areThere('kept', ['lea']);
  assert.deepEqual(await told('kept'), ['+lea']);
  again.close();
  assert.equal((await server.request('DELETE', `${base}/channels/kept`)).status, 204);
});

test('channels.presence says it for those that do not; the list is bounded', async (t) => {
  const bounded = await Server.start({ args: ['--set', 'channels.presence=yes',
    '--set', 'channels.presence_members_max=1', '--set', 'channels.presence_linger_s=0'] });
  t.after(() => bounded.stop());
  await bounded.post(`${base}/channels`, { name: 'one' });
  await bounded.post(`${base}/channels`, { name: 'off', presence: false });
  const list = async () => (await bounded.get(`${base}/channels/one/presence`)).json();
  const first = socket(bounded.key, ['one'], bounded.url);
  await until(async () => (await list()).members === 1, 'the first');
  const local = await weir(['admin', 'key', 'create', '--data', bounded.data, '--name', 'second',
    '--rights', 'subscribe']);
  const second = socket(local.stdout.trim(), ['one'], bounded.url);
  await until(async () => (await list()).unlisted === 1, 'the second');
  second.close();
  await until(async () => (await list()).unlisted === 0, 'its end');
  first.close();
  await until(async () => (await list()).members === 0, 'the end of the first');
  assertProblem(await bounded.get(`${base}/channels/off/presence`), 404);
});
