// Channels over HTTP: made, published to, polled, held, streamed, closed; one cursor for all.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { assertProblem, Events, Server, until, within } from '../harness.mjs';
import { local } from '../60-admin/local.mjs';

const base = '/api/v1';
let server;
before(async () => (server = await Server.start()));
after(() => server.stop());

async function publish(channels, data, more = {}) {
  const answer = await server.post(`${base}/publish`, { channels, data, ...more });
  assert.equal(answer.status, 201, answer.text);
  return answer.json();
}

async function poll(query) {
  const answer = await server.get(`${base}/subscribe?${query}`);
  assert.equal(answer.status, 200, answer.text);
  return answer.json();
}

const datas = (polled) => polled.messages.map((message) => message.data);

test('a channel is made, shown, renewed, listed, removed', async () => {
  const made = await server.post(`${base}/channels`, { name: 'blog/7', ttl_s: 60 });
  assert.equal(made.status, 201, made.text);
  const { id, expires_at: ends } = made.json();
  assert.ok(Math.abs(ends - Date.now() - 60_000) < 10_000);
  const again = await server.post(`${base}/channels`, { name: 'blog/7' });
  assertProblem(again, 409);
  assert.equal(again.json().id, id);
  const sent = await publish(['blog/7'], { a: 1 });
  for (const path of [`${base}/channels/${id}`, `${base}/channels/blog%2F7`]) {
    const shown = (await server.get(path)).json();
    assert.deepEqual([shown.id, shown.name, shown.messages, shown.last_id, shown.subscribers],
      [id, 'blog/7', 1, sent.id, 0]);
  }
  const renewed = await server.post(`${base}/channels/${id}/renew`, { ttl_s: 3600 });
  assert.ok(renewed.json().expires_at - Date.now() > 3_000_000, renewed.text);
  const list = (await server.get(`${base}/channels?limit=1000`)).json();
  assert.ok(list.items.some((item) => item.id === id));
  assert.equal((await server.request('DELETE', `${base}/channels/${id}`)).status, 204);
  assertProblem(await server.get(`${base}/channels/${id}`), 404);
  assertProblem(await server.get(`${base}/channels/blog%2F7`), 404);
  assertProblem(await server.post(`${base}/publish`, { channels: [id], data: 1 }), 404);
  assertProblem(await server.get(`${base}/subscribe?channel=${id}`), 404);
});

test('a renewal without a time begins the one it had anew; what stays for ever stays', async () => {
  for (const durable of [false, true]) {
    const end = async (name, body) => (await server.post(
      `${base}/channels/${name}/renew`, body)).json().expires_at;
    const about = (time, ms) => Math.abs(time - Date.now() - ms) < 20_000;
    await server.post(`${base}/channels`, { name: `for-ever-${durable}`, durable });
    assert.equal(await end(`for-ever-${durable}`), null);
    const { expires_at: ends } = (await server.post(`${base}/channels`,
      { name: `hour-${durable}`, ttl_s: 7200, durable })).json();
    assert.ok(await end(`hour-${durable}`) >= ends);
    assert.ok(about(await end(`hour-${durable}`, { ttl_s: 60 }), 60_000));
    assert.ok(about(await end(`hour-${durable}`, {}), 60_000));
    assert.equal(await end(`hour-${durable}`, { ttl_s: null }), null);
  }
});

test('a channel without a name is called by its id', async () => {
  const { id, name } = (await server.post(`${base}/channels`)).json();
  assert.equal(name, `${id}`);
  await publish([id], 'by number');
  await publish([`${id}`], 'by text');
  const polled = await poll(`channel=${id}`);
  assert.deepEqual(datas(polled), ['by number', 'by text']);
  assert.deepEqual(polled.messages[0].channels, [`${id}`]);
});

test('a channel says what becomes of subscribers that are too slow', async () => {
  const said = async (name) => (await server.get(`${base}/channels/${name}`)).json().slow;
  await server.post(`${base}/channels`, { name: 'slow1', slow: 'drop_oldest' });
  await server.post(`${base}/channels`, { name: 'slow2' });
  assert.deepEqual([await said('slow1'), await said('slow2')], ['drop_oldest', 'disconnect']);
});

test('what is no channel, no member, no number is refused with its place', async () => {
  for (const [body, pointer] of [
    [{ name: 'a/+/b' }, '/name'], [{ name: '17' }, '/name'], [{ name: '' }, '/name'],
    [{ name: 'readings/1/x' }, '/name'], [{ name: 7 }, '/name'], [{ ttl_s: -1 }, '/ttl_s'],
    [{ ttl_s: 'x' }, '/ttl_s'], [{ history: 5 }, '/history'], [{ durable: 1 }, '/durable'],
    [{ history: { messages: 1e9 } }, '/history/messages'], [{ owner: 'me' }, '/owner'],
    [{ 'a/b~': 1 }, '/a~1b~0'],
    [{ slow: 'now' }, '/slow'], [{ slow: 1 }, '/slow'],
  ]) {
    const problem = assertProblem(await server.post(`${base}/channels`, body), 422);
    assert.equal(problem.pointer, pointer, JSON.stringify(body));
  }
  for (const query of ['since=x', 'since=m', 'since=m1x', 'since=mx', 'timeout=0&mode=longpoll',
    'timeout=301&mode=longpoll', 'mode=push', 'until=1&mode=sse'])
    assertProblem(await server.get(`${base}/subscribe?channel=a&${query}`), 400);
});

test('polls go on where the cursor says, each message once, over several channels', async () => {
  await publish(['p/a'], 1);
  await publish(['p/b', 'p/a'], 2);
  await publish(['p/b'], 3);
  const both = await poll('channel=p/a&channel=p/b');
  assert.deepEqual(datas(both), [1, 2, 3]);
  assert.deepEqual(both.messages[1].channels.sort(), ['p/a', 'p/b']);
  const one = await poll('channel=p/a');
  assert.deepEqual(datas(one), [1, 2]);
  assert.deepEqual(one.messages[1].channels, ['p/a']);
  assert.deepEqual(datas(await poll('channel=p/%2B')), [1, 2, 3]);
  const empty = await poll(`channel=p/a&channel=p/b&since=${both.next}`);
  assert.deepEqual([empty.messages, empty.gap], [[], undefined]);
  await publish(['p/a'], 4);
  assert.deepEqual(datas(await poll(`channel=p/a&channel=p/b&since=${empty.next}`)), [4]);
  const { id } = both.messages[1];
  assert.deepEqual(datas(await poll(`channel=p/b&since=${id}`)), [3]);
  assert.deepEqual(datas(await poll(`channel=p/b&since=now`)), []);
  const { time } = both.messages[0];
  assert.deepEqual(datas(await poll(`channel=p/a&since=${time}&until=${time}`))[0], 1);
});

test('behind the end of a poll in time its cursor goes on, nothing lost, nothing twice', async () => {
  const first = await publish(['ends/a'], 1);
  await until(() => Date.now() > first.time + 1, 'another time');
  await publish(['ends/b', 'ends/c'], 2);
  for (const names of ['channel=ends/a&channel=ends/b', 'channel=ends/%2B']) {
    for (const since of ['0', 'm0', `${first.time}`, '-1h']) {
      const early = await poll(`${names}&since=${since}&until=${first.time}`);
      assert.deepEqual(datas(early), [1]);
      assert.deepEqual(datas(await poll(`${names}&since=${early.next}`)), [2]);
      const none = await poll(`${names}&since=${since}&until=${first.time - 1}`);
      assert.deepEqual(datas(none), []);
      assert.deepEqual(datas(await poll(`${names}&since=${none.next}`)), [1, 2]);
    }
  }
});

test('a long poll may end at a time, over or to come, with what there is', async () => {
  const held = (ends, since) => poll(`channel=bound&mode=longpoll&since=${since}&until=${ends}`);
  const { time } = await publish(['bound'], 1);
  assert.deepEqual(datas(await held(time - 1, 0)), []);
  assert.deepEqual(datas(await held(time, 0)), [1]);
  assert.deepEqual(datas(await held(Date.now() + 60_000, 0)), [1]);
  const none = await held(Date.now() + 200, 'now');
  assert.deepEqual(datas(none), []);
  await publish(['bound'], 2);
  assert.deepEqual(datas(await poll(`channel=bound&since=${none.next}`)), [2]);
  assertProblem(await server.get(`${base}/subscribe?channel=bound&mode=sse&until=-1h`), 400);
});

test('a channel that is said twice, by its name and its id, is one', async () => {
  const { id } = (await server.post(`${base}/channels`, { name: 'twice' })).json();
  await publish(['twice', id], 'once');
  for (const names of ['channel=twice&channel=twice', `channel=twice&channel=${id}`,
    `channel=${id}&channel=twice&channel=${id}`]) {
    for (const mode of ['poll', 'longpoll'])
      assert.deepEqual(datas(await poll(`${names}&mode=${mode}`)), ['once'], names + mode);
    const events = await Events.open(server, `${base}/subscribe?${names}&since=0`);
    assert.equal((await events.next(1))[0].json.data, 'once');
    events.close();
  }
  const socket = new WebSocket(
    `ws://127.0.0.1:${server.port}${base}/subscribe?channel=twice&channel=${id}&since=0`,
    { headers: { authorization: `Bearer ${server.key}` } });
  const [past] = await within(once(socket, 'message'), 'the message');
  assert.equal(JSON.parse(past).data, 'once');
  socket.send(JSON.stringify({ subscribe: [id, 'twice', 'more', 'more'], since: 'now', ref: 1 }));
  const [ack] = await within(once(socket, 'message'), 'the answer');
  assert.deepEqual(JSON.parse(ack), { ack: 1, ok: true });
  const told = once(socket, 'message'); /* it may come before the answer does */
  assert.equal((await server.request('DELETE', `${base}/channels/${id}`)).status, 204);
  const [end] = await within(told, 'its end');
  assert.deepEqual(JSON.parse(end), { closed: [id] });
  socket.close();
});

test('a client that would upgrade to what is not spoken is answered as if it had not said so', async () => {
  await publish(['upgrade'], 1);
  const ask = (headers, key) => server.get(`${base}/subscribe?channel=upgrade`,
    { key, headers: { connection: 'Upgrade, HTTP2-Settings', 'http2-settings': 'AAMAAABk', ...headers } });
  const answer = await ask({ upgrade: 'h2c' });
  assert.equal(answer.status, 200, answer.text);
  assert.deepEqual(datas(answer.json()), [1]);
  assertProblem(await ask({ upgrade: 'h2c' }, ''), 401);
  assertProblem(await ask({ upgrade: 'websocket, h2c' }), 426);
});

test('a poll has an ETag until something comes', async () => {
  await publish(['tag'], 1);
  const first = await server.get(`${base}/subscribe?channel=tag`);
  const { etag } = first.headers;
  const ask = (tag = etag) => server.get(`${base}/subscribe?channel=tag`,
    { headers: { 'if-none-match': tag } });
  assert.equal((await ask()).status, 304);
  assert.equal((await ask(`"m1-1", W/${etag}`)).status, 304); // as proxies that compress say it
  assert.equal((await ask('"m1-1"')).status, 200);
  await publish(['tag'], 2);
  assert.equal((await ask()).status, 200);
});

test('what a history no longer holds is told as a gap', async () => {
  await server.post(`${base}/channels`, { name: 'short', history: { messages: 2 } });
  const first = await publish(['short'], 1);
  await publish(['short'], 2);
  assert.equal((await poll(`channel=short&since=${first.id}`)).gap, undefined);
  await publish(['short'], 3);
  await publish(['short'], 4);
  const late = await poll(`channel=short&since=${first.id}`);
  assert.deepEqual([datas(late), late.gap], [[3, 4], true]);
  const alien = await poll('channel=short&since=m99999999999999');
  assert.equal(alien.gap, true);
});

test('a long poll is answered by what comes, by the timeout, by the end of its channel', async () => {
  await server.post(`${base}/channels`, { name: 'held' });
  const isHeld = () => until(async () =>
    (await server.get(`${base}/channels/held`)).json().subscribers === 1, 'the poll to be held');
  const { next } = await poll('channel=held');
  const held = poll(`channel=held&mode=longpoll&since=${next}`);
  await isHeld();
  assert.equal((await publish(['held'], 'now')).delivered, 1);
  assert.deepEqual(datas(await held), ['now']);
  const none = await poll(`channel=held&mode=longpoll&timeout=1&since=now`);
  assert.deepEqual(none.messages, []);
  const { id } = (await server.get(`${base}/channels/held`)).json();
  const closing = poll(`channel=${id}&mode=longpoll&since=now`);
  await isHeld();
  assert.equal((await server.request('DELETE', `${base}/channels/${id}`)).status, 204);
  assert.deepEqual((await closing).closed, [id]);
});

test('a channel may be called by its id on every connection, the past and what comes', async () => {
  const { id } = (await server.post(`${base}/channels`, { name: 'ids/1' })).json();
  await publish(['ids/1'], 'early');
  const streamed = async (since) => {
    const events = await Events.open(server, `${base}/subscribe?channel=${id}&since=${since}`);
    const [first] = await events.next(1);
    events.close();
    return { messages: [first.json] };
  };
  const ask = (since) => Array.from({ length: 20 }, (_, i) => (i % 2 ?
    poll(`channel=${id}&mode=longpoll&since=${since}`) : streamed(since)));
  for (let round = 0; round < 5; round++) {
    for (const one of await Promise.all(ask('0'))) assert.equal(datas(one)[0], 'early');
    const waiting = Promise.all(ask('now'));
    await until(async () => (await server.get(`${base}/channels/${id}`)).json().subscribers === 20,
      'twenty to wait');
    await publish(['ids/1'], round);
    for (const one of await waiting) assert.deepEqual(datas(one), [round]);
  }
});

// Whoever asks by an id while the channel goes is told, by 404 or as closed.
test('a channel that goes while it is asked for by its id leaves nobody waiting', async () => {
  const polled = async (id) => {
    const answer = await server.get(`${base}/subscribe?channel=${id}&mode=longpoll&since=now`);
    return answer.status === 404 || answer.json().closed?.[0] === id;
  };
  const streamed = async (id, since) => {
    const events = await Events.open(server, `${base}/subscribe?channel=${id}&since=${since}`);
    if (events.status === 404) return true;
    const [first] = await events.next(1);
    events.close();
    return first.event === 'closed' && first.json.closed[0] === id;
  };
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}${base}/subscribe`,
    { headers: { authorization: `Bearer ${server.key}` } });
  const frames = [];
  socket.on('message', (data) => frames.push(JSON.parse(data)));
  await once(socket, 'open');
  const told = (id) => until(() => frames.some((frame) => frame.closed?.[0] === id ||
    (frame.ack === id && frame.error?.status === 404)), 'the WebSocket to be told');
  for (let round = 0; round < 12; round++) {
    const { id } = (await server.post(`${base}/channels`, { name: `brief/${round}` })).json();
    const all = Array.from({ length: 8 }, (_, i) => (
      i % 2 ? polled(id) : streamed(id, i % 4 ? 0 : 'now')));
    await new Promise((wake) => setTimeout(wake, round));
    socket.send(JSON.stringify({ subscribe: [id], ref: id }));
    const gone = server.request('DELETE', `${base}/channels/${id}`);
    all.push(polled(id), streamed(id, 'now'));
    assert.equal((await gone).status, 204);
    assert.ok((await within(Promise.all(all), 'all to hear of it')).every(Boolean));
    await told(id);
  }
  socket.close();
});

test('a stream begins in the past and goes on without a seam', async () => {
  const first = await publish(['s/1'], 0);
  for (let i = 1; i <= 600; i++) await publish(['s/1'], i);
  const events = await Events.open(server, `${base}/subscribe?channel=s/1`,
    { headers: { 'last-event-id': first.id } });
  await publish(['s/1'], 601);
  const got = await events.next(601);
  assert.deepEqual(got.map((event) => event.json.data), Array.from({ length: 601 }, (_, i) => i + 1));
  events.close();
});

test('a WebSocket asks for the past of what it subscribes to', async () => {
  await publish(['w/1'], 'a');
  await publish(['w/1'], 'b');
  const socket = new WebSocket(
    `ws://127.0.0.1:${server.port}${base}/subscribe?channel=w/1&since=0`,
    { headers: { authorization: `Bearer ${server.key}` } });
  const frames = [];
  socket.on('message', (data) => frames.push(JSON.parse(data)));
  const two = async () => {
    await until(() => frames.length >= 2, 'two frames');
    return frames.splice(0, 2);
  };
  await within(new Promise((done, fail) => socket.on('open', done).on('error', fail)), 'to open');
  const [a, b] = await two();
  assert.deepEqual([a.data, b.data], ['a', 'b']);
  await publish(['w/2'], 'c');
  socket.send(JSON.stringify({ subscribe: ['w/2'], since: 0, ref: 1 }));
  const [c, ack] = await two();
  assert.equal(c.data, 'c');
  assert.deepEqual(ack, { ack: 1, ok: true });
  socket.close();
});

test('who unsubscribes, or asks anew, hears no more of the past that he asked for before', async () => {
  const count = 6000;
  for (const name of ['past/a', 'past/b']) {
    await server.post(`${base}/channels`, { name, history: { messages: count, bytes: 32_000_000 } });
    const all = Array.from({ length: count }, (_, i) => ({ channels: [name], data: `${i} ${'x'.repeat(100)}` }));
    assert.equal((await server.post(`${base}/publish`, all)).status, 201);
  }
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}${base}/subscribe`,
    { headers: { authorization: `Bearer ${server.key}` } });
  let heard = [];
  socket.on('message', (text) => heard.push(JSON.parse(text)));
  await within(once(socket, 'open'), 'the WebSocket');
  const say = (what) => socket.send(JSON.stringify(what));
  const behind = (ref) => {
    const at = heard.findIndex(({ ack }) => ack === ref);
    return at < 0 ? null : heard.slice(at).filter(({ id }) => id);
  };
  const whole = (name) => heard.filter(({ channels }) => channels?.[0] === name).length === count;

  for (const wait of [0, 1, 20]) { // the first question is under way, or others are
    heard = [];
    say({ subscribe: ['past/a', 'past/b'], since: 0, ref: 'both' });
    if (wait) await until(() => heard.length >= wait, 'some of the past');
    say({ unsubscribe: ['past/a'], ref: 'one' });
    await until(() => whole('past/b'), 'all of the other');
    assert.ok(behind('one').every(({ channels }) => channels[0] === 'past/b'));
    say({ subscribe: ['past/a'], since: 0, ref: 'again' });
    await until(() => whole('past/a') || behind('again'), 'the past');
    say({ unsubscribe: ['past/a', 'past/b'], ref: 'none' });
    await until(() => behind('none'), 'the answer');
    assert.equal(heard.filter(({ channels }) => channels?.[0] === 'past/b').length, count);
  }

  heard = [];
  say({ subscribe: ['past/a'], since: 0 });
  say({ subscribe: ['past/a'], since: 0, ref: 'anew' });
  await until(() => behind('anew'), 'the past');
  const numbers = heard.filter(({ id }) => id).map(({ id }) => Number(id.slice(1)));
  const start = numbers.lastIndexOf(Math.min(...numbers));
  assert.equal(numbers.length - start, count);
  assert.ok(numbers.every((number, i) => i <= start || number > numbers[i - 1]));
  socket.close();
});

test('a batch tells what became of each message', async () => {
  const answer = await server.post(`${base}/publish`, [
    { channels: ['batch'], data: 1 }, { channels: [], data: 2 }, { channels: ['readings/1/x'], data: 3 },
    { channels: ['batch', 424242], data: 4 }, 5, { channels: ['batch'], data: 6 },
  ]);
  assert.equal(answer.status, 201, answer.text);
  const { results } = answer.json();
  assert.deepEqual(results.map((result) => result.status ?? 201), [201, 422, 403, 404, 422, 201]);
  const lines = await server.post(`${base}/publish`,
    '{"channels":["batch"],"data":7}\nno\n{"channels":["batch"],"data":8}\n');
  assert.deepEqual(lines.json().results.map((result) => result.status ?? 201), [201, 422, 201]);
  const [, refused] = lines.json().results;
  assert.deepEqual([refused.index, results[3].index, results[3].pointer], [1, 3, '/channels']);
  assert.deepEqual(datas(await poll('channel=batch')), [1, 6, 7, 8]);
  const behind = await server.post(`${base}/publish`,
    '{"channels":["batch2"],"data":1} {"channels":["batch2"],"data":2}');
  assert.equal(behind.json().results.length, 2, behind.text);
  assertProblem(await server.post(`${base}/publish`, '{"channels":["batch2"],"data":3} no'), 400);
  assert.deepEqual(datas(await poll('channel=batch2')), [1, 2]);
});

test('who may not is told so before what is wrong with his words, and what is not there, too', async () => {
  const made = await local(server, 'POST', '/api/v1/admin/keys',
    { name: 'few', rights: ['publish', 'subscribe'], channels: ['few/#'] });
  const { key } = made.json();
  const big = 'x'.repeat((1 << 20) + 1);
  for (const message of [{ channels: ['other'] }, { channels: ['few/1', 'other'], data: 1, key: '' },
    { channels: ['other', 'a//b'], data: 1 }, { channels: ['other'], data: big, more: 1 }])
    assertProblem(await server.post(`${base}/publish`, message, { key }), 403);
  assertProblem(await server.post(`${base}/publish`, { channels: ['few/1'], data: big, more: 1 },
    { key }), 413);
  assertProblem(await server.post(`${base}/channels`, { name: 'other', ttl_s: 'x' }, { key }), 403);
  assertProblem(await server.post(`${base}/channels`, { name: 'a//b' }, { key }), 422);
  for (const body of ['{', '{"ttl_s":"x"}', '{"more":1}'])
    assertProblem(await server.post(`${base}/channels/nobody/renew`, body), 404);
  await server.post(`${base}/channels`, { name: 'few/2' });
  assertProblem(await server.post(`${base}/channels/few%2F2/renew`, '{'), 400);
  const more = await server.post(`${base}/channels/few%2F2/renew`, { more: 1 });
  assert.equal(assertProblem(more, 422).pointer, '/more');
});

test('the same key publishes once', async () => {
  const first = await publish(['keyed'], 1, { key: 'k' });
  const second = await publish(['keyed'], 1, { key: 'k' });
  assert.equal(second.id, first.id);
  await publish(['keyed'], 2, { key: 'other' });
  assert.deepEqual(datas(await poll('channel=keyed')), [1, 2]);
  for (const key of ['', 7, null, 'x'.repeat(256)]) {
    const answer = await server.post(`${base}/publish`, { channels: ['keyed'], data: 3, key });
    assert.equal(assertProblem(answer, 422).pointer, '/key');
  }
});

test('bytes keep their type, and are text or base64', async () => {
  const send = (body, type) => server.post(`${base}/publish?channel=raw&channel=raw2`, body,
    { headers: { 'content-type': type } });
  assert.equal((await send('grüß', 'text/plain')).status, 201);
  assert.equal((await send(Buffer.from([0xff, 0]), 'image/x')).status, 201);
  const { messages } = await poll('channel=raw');
  assert.deepEqual(messages.map(({ type, data }) => [type, data]),
    [['text/plain', 'grüß'], ['image/x', { base64: '/wA=' }]]);
});

test('1 MiB is the bound of data as they are sent, JSON, text or bytes', async () => {
  const send = (path, body) => server.post(`${base}/publish${path}`, body);
  for (const fill of ['"', 0xff]) {
    const bytes = Buffer.alloc(1 << 20, fill);
    const sent = await send('?channel=big', bytes);
    assert.equal(sent.status, 201, sent.text);
    const problem = assertProblem(await send('?channel=big', Buffer.concat([bytes, bytes])), 413);
    assert.equal(problem.pointer, undefined);
  }
  const json = { channels: ['big'], data: 'x'.repeat((1 << 20) - 2) };
  assert.equal((await send('', json)).status, 201);
  assert.deepEqual(datas(await poll('channel=big')), [json.data]); // the last one stays, however long
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}${base}/subscribe`,
    { headers: { authorization: `Bearer ${server.key}` } });
  await within(once(socket, 'open'), 'the WebSocket');
  const say = async (data) => {
    socket.send(JSON.stringify({ publish: ['big'], data, ref: 1 }));
    return JSON.parse((await within(once(socket, 'message'), 'the answer'))[0]);
  };
  assert.equal((await say(json.data)).ok, true);
  json.data += 'x';
  assert.equal(assertProblem(await send('', json), 413).pointer, '/data');
  assert.equal((await say(json.data)).error.status, 413);
  socket.close();
});

test('what is wrong in the URL of raw bytes is 400, but for rights and what is not there', async () => {
  const send = (query) => server.post(`${base}/publish?${query}`, 'x');
  for (const query of ['channel=a//b', 'channel=', 'channel=a%2B', 'channel=%FF',
    `channel=a&key=${'x'.repeat(256)}`])
    assert.equal(assertProblem(await send(query), 400).pointer, undefined);
  assertProblem(await send('channel=424242'), 404);
  assertProblem(await send('channel=readings/1/x'), 403);
});

test('a key for some channels makes, sees and polls only those, by id too', async () => {
  const made = await local(server, 'POST', '/api/v1/admin/keys',
    { name: 'some', rights: ['publish', 'subscribe'], channels: ['mine/#'] });
  const { key } = made.json();
  const { id } = (await server.post(`${base}/channels`, { name: 'others/1' })).json();
  const own = await server.post(`${base}/channels`, { name: 'mine/1' }, { key });
  assert.equal(own.status, 201, own.text);
  assertProblem(await server.post(`${base}/channels`, { name: 'others/2' }, { key }), 403);
  assertProblem(await server.get(`${base}/channels/${id}`, { key }), 404);
  assertProblem(await server.request('DELETE', `${base}/channels/${id}`, { key }), 404);
  // An id tells nothing of a channel that is hidden, not even that it is there.
  assertProblem(await server.post(`${base}/publish`, { channels: [id], data: 1 }, { key }), 404);
  for (const mode of ['poll', 'longpoll', 'sse'])
    assertProblem(await server.get(`${base}/subscribe?channel=${id}&mode=${mode}`, { key }), 404);
  assertProblem(await server.get(`${base}/subscribe?channel=others/1`, { key }), 403);
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}${base}/subscribe`,
    { headers: { authorization: `Bearer ${key}` } });
  await within(once(socket, 'open'), 'the WebSocket');
  socket.send(JSON.stringify({ subscribe: [id], ref: 1 }));
  const [ack] = await within(once(socket, 'message'), 'the answer');
  assert.equal(JSON.parse(ack).error.status, 404, `${ack}`);
  socket.close();
  const list = (await server.get(`${base}/channels`, { key })).json();
  assert.deepEqual(list.items.map((item) => item.name), ['mine/1']);
});

test('a held poll ends with its client; what was sent behind it is answered after it', async () => {
  await server.post(`${base}/channels`, { name: 'behind' });
  const head = (path) => `GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${server.key}\r\n\r\n`;
  const subscribers = async (count) => until(async () =>
    (await server.get(`${base}/channels/behind`)).json().subscribers === count, `${count} of them`);
  const raw = await server.connect();
  raw.send(head(`${base}/subscribe?channel=behind&mode=longpoll&since=now`) + head('/version'));
  await subscribers(1);
  await publish(['behind'], 'first');
  assert.deepEqual(datas(JSON.parse((await raw.answer()).body)), ['first']);
  assert.equal(JSON.parse((await raw.answer()).body).name, 'weir');
  raw.send(head(`${base}/subscribe?channel=behind&mode=longpoll&since=now`) + head('/version'));
  await subscribers(1);
  raw.socket.end();
  await subscribers(0);
  assert.equal((await publish(['behind'], 'nobody')).delivered, 0);
});
