// The past of views: what was shown of readings and gateways, out of the journal, over every
// transport, then live without a seam.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { local } from '../60-admin/local.mjs';
import { settle } from '../15-rights/inhabitants.mjs';
import { Events, Server, serve, until } from '../harness.mjs';

const base = '/api/v1';
const t0 = 1_700_000_000_000;
let server;
before(async () => (server = await Server.start({ args: ['--set', 'net.loops=2'] })));
after(() => server.stop());

let clock = t0;
async function write(device, count, at = server) {
  const readings = Array.from({ length: count }, () => ({ time: clock++, temp: clock - t0 }));
  const answer = await at.post(`${base}/readings`, { device: { id: device }, readings });
  assert.equal(answer.status, 202, answer.text);
  assert.equal(answer.json().accepted, count);
  return readings.map(({ temp }) => temp);
}

async function poll(query, options = {}, at = server) {
  const answer = await at.get(`${base}/subscribe?${query}`, options);
  assert.equal(answer.status, 200, answer.text);
  return answer.json();
}
const values = ({ messages }) => messages.map(({ data }) => data.value);
const numbers = (id) => Number(id.slice(1));

test('a poll finds what was shown, also to nobody; its cursor goes on behind it', async () => {
  const first = await write('p/1', 3);
  const channel = `channel=${encodeURIComponent('readings/p%2F1/temp')}`;
  const polled = await poll(channel);
  assert.deepEqual([values(polled), polled.gap], [first, undefined]);
  const [message] = polled.messages;
  assert.deepEqual(message.channels, ['readings/p%2F1/temp']);
  assert.deepEqual(message.data,
    { metric: 'temp', device: 'p/1', tags: { device: 'p/1' }, time: t0, value: first[0] });
  assert.ok(Math.abs(message.time - Date.now()) < 60_000);
  assert.deepEqual((await poll(`${channel}&since=${polled.next}`)).messages, []);
  const second = await write('p/1', 2);
  assert.deepEqual(values(await poll(`${channel}&since=${polled.next}`)), second);
  assert.deepEqual(values(await poll(`${channel}&since=${message.id}`)),
    [...first.slice(1), ...second]);
  assert.deepEqual(values(await poll(`${channel}&since=-1h`)), [...first, ...second]);
  assert.deepEqual(values(await poll(`${channel}&since=now`)), []);
});

test('what a stream heard and what a poll finds is the same', async () => {
  const live = await Events.open(server, `${base}/subscribe?channel=readings/same/%2B`);
  await write('same', 50);
  const heard = (await live.next(50)).map(({ json }) => json);
  assert.deepEqual((await poll('channel=readings/same/%2B')).messages, heard);
  live.close();
});

test('an event stream resumes within a report, a WebSocket too', async () => {
  const wrote = await write('resume', 400);
  const { messages } = await poll('channel=readings/resume/temp');
  assert.equal(messages.length, 400);
  const stream = await Events.open(server, `${base}/subscribe?channel=readings/resume/temp`,
    { headers: { 'last-event-id': messages[99].id } });
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}${base}/subscribe?token=${
    server.key}&channel=readings/resume/temp&since=${messages[99].id}`);
  const frames = [];
  socket.on('message', (text) => frames.push(JSON.parse(text)));
  const more = await write('resume', 10);
  const expected = [...wrote.slice(100), ...more];
  const heard = (await stream.next(310)).map(({ json }) => json.data.value);
  assert.deepEqual(heard, expected);
  await until(() => frames.length >= 310, 'the frames');
  assert.deepEqual(frames.map(({ data }) => data.value), expected);
  assert.ok(!stream.list.some(({ event }) => event === 'gap'));
  stream.close();
  socket.close();
});

test('a long poll is answered by the past, or held for what comes', async () => {
  const channel = 'channel=readings/held/temp';
  const { next } = await poll(channel);
  const held = poll(`${channel}&mode=longpoll&since=${next}`);
  await write('elsewhere', 1);
  const [value] = await write('held', 1);
  const answer = await held;
  assert.deepEqual([values(answer), answer.gap], [[value], undefined]);
  assert.deepEqual(values(await poll(`${channel}&mode=longpoll&since=${next}`)), [value]);
});

test('channels and views of one pattern come in one order', async () => {
  const { next } = await poll('channel=%23');
  const sent = [];
  for (let i = 0; i < 20; i++) {
    if (i % 2) sent.push(...(await write('mixed', 2)));
    else {
      await server.post(`${base}/publish`, { channels: ['mixed'], data: { value: `p${i}` } });
      sent.push(`p${i}`);
    }
  }
  const { messages, gap } = await poll(`channel=%23&since=${next}`);
  assert.deepEqual([messages.map(({ data }) => data.value), gap], [sent, undefined]);
  const ids = messages.map(({ id }) => numbers(id));
  assert.ok(ids.every((id, i) => i === 0 || id > ids[i - 1]));
});

test('many come in pages of a thousand', async () => {
  const { next } = await poll('channel=readings/many/temp');
  const wrote = [];
  for (let i = 0; i < 6; i++) wrote.push(...(await write('many', 700)));
  const found = [];
  let since = next;
  for (;;) {
    const page = await poll(`channel=readings/many/temp&since=${since}`);
    assert.ok(page.messages.length <= 1000);
    if (!page.messages.length) break;
    found.push(...values(page));
    since = page.next;
  }
  assert.deepEqual(found, wrote);
});

test('who resumes while reports come hears each once, in order', async () => {
  const count = 60;
  const { next } = await poll('channel=readings/busy/temp');
  const streams = [];
  const wrote = [];
  for (let i = 0; i < count; i++) {
    const [stream, part] = await Promise.all([
      i % 6 ? null : Events.open(server,
        `${base}/subscribe?channel=readings/busy/temp&since=${next}`),
      write('busy', 20)]);
    if (stream) streams.push(stream);
    wrote.push(...part);
  }
  for (const stream of streams) {
    const heard = (await stream.next(wrote.length)).map(({ json }) => json.data.value);
    assert.deepEqual(heard, wrote);
    assert.ok(!stream.list.some(({ event }) => event === 'gap'));
    stream.close();
  }
});

test('messages of gateways have a past, too', async () => {
  const { id, auth } = (await local(server, 'POST', '/api/v1/admin/gateways', {})).json();
  const headers = {
    authorization: `Basic ${Buffer.from(`gateway-${id}:${auth}`).toString('base64')}`,
  };
  const live = await Events.open(server, `${base}/subscribe?channel=gateways/${id}/%23`);
  const body = [1, 2, 3].map((n) =>
    JSON.stringify({ topic: n === 2 ? 'a/b' : 'logs', time: t0 + n, data: { n, x: 1.5 } }));
  const sent = await server.post(`${base}/gateway/messages`, body.join('\n'), { headers, key: false });
  assert.equal(sent.status, 202, sent.text);
  const heard = (await live.next(3)).map(({ json }) => json);
  assert.deepEqual((await poll(`channel=gateways/${id}/%23`)).messages, heard);
  const own = await poll(`channel=gateways/${id}/logs&since=${heard[0].id}`,
    { headers, key: false });
  assert.deepEqual(own.messages, [heard[2]]);
  live.close();
});

test('the past is there after SIGTERM and after kill -9, exactly', async (t) => {
  const own = await serve(t);
  const wrote = await write('kept', 5, own);
  const before = await poll('channel=readings/kept/temp', {}, own);
  for (const end of ['stop', 'kill9']) {
    await own[end]();
    await own.again();
    const after = await poll('channel=readings/kept/temp', {}, own);
    assert.deepEqual(after.messages, before.messages);
    const rest = await poll(`channel=readings/kept/temp&since=${before.messages[1].id}`, {}, own);
    assert.deepEqual([values(rest), rest.gap], [wrote.slice(2), undefined]);
    const later = await poll(`channel=readings/kept/temp&since=${before.next}`, {}, own);
    assert.deepEqual([later.messages, later.gap], [[], undefined]);
  }
});

test('an erased device has no past; one that was trimmed away is a gap', async (t) => {
  const own = await serve(t);
  await write('gone', 3, own);
  const kept = await write('stays', 3, own);
  const removed = await local(own, 'DELETE', '/api/v1/admin/devices/gone?erase=1');
  assert.equal(removed.status, 202, removed.text);
  assert.deepEqual(values(await poll('channel=readings/%2B/temp', {}, own)), kept);
  assert.deepEqual((await poll('channel=readings/gone/temp', {}, own)).messages, []);
});

test('a person has the past of his own devices and of no others', async (t) => {
  const own = await Server.start();
  t.after(() => own.stop());
  const world = await settle(own);
  const list = (await local(own, 'GET', '/api/v1/admin/devices')).json();
  const items = Array.isArray(list) ? list : list.items;
  for (const { id } of items) {
    const answer = await world.ask('application', 'POST', `${base}/readings`,
      { device: { id }, readings: [{ time: clock++, temp: 1 }] });
    assert.equal(answer.status, 202, answer.text);
  }
  let allowed = 0;
  for (const { id } of items) {
    const answer = await world.ask('user', 'GET',
      `${base}/subscribe?channel=readings/${encodeURIComponent(encodeURIComponent(id))}/temp`);
    if (answer.status === 403) continue;
    assert.equal(answer.status, 200, answer.text);
    const { messages } = answer.json();
    assert.ok(messages.length > 0 && messages.every(({ data }) => data.device === `${id}`));
    allowed++;
  }
  assert.ok(allowed > 0 && allowed < items.length);
  assert.equal((await world.ask('user', 'GET', `${base}/subscribe?channel=readings/%23`)).status, 403);
});

test('who loses a device while its past is looked for is not told of it', async (t) => {
  const own = await Server.start();
  t.after(() => own.stop());
  const world = await settle(own);
  const give = (user) => world.call('PUT', '/api/v1/admin/devices/lent', { users: [user] });
  await world.call('POST', '/api/v1/admin/devices', { id: 'lent' });
  await world.call('PUT', '/api/v1/admin/devices/lent/config', { state: true });
  const many = Array.from({ length: 20_000 }, (_, i) => `other,device=o v=${i} ${t0 + i}`).join('\n');
  for (let i = 0; i < 3; i++)
    assert.equal((await own.post('/write?precision=ms', many)).status, 204);
  await world.ask('application', 'POST', `${base}/readings`,
    { device: { id: 'lent' }, readings: [{ time: clock++, temp: 1 }] });
  let conclusive = 0;
  for (let tries = 0; tries < 10 && conclusive < 2; tries++) {
    await give('uma');
    let lost = false;
    const polled = world.ask('user', 'GET', `${base}/subscribe?channel=readings/lent/temp`)
      .then((answer) => ({ answer, late: lost }));
    await give('olga');
    lost = true;
    const { answer, late } = await polled;
    if (late) assert.equal(answer.status, 403, answer.text);
    conclusive += answer.status === 403;
  }
  assert.ok(conclusive, 'the past was always found before');
});
