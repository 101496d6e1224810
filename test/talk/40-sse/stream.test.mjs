// Live readings as server-sent events.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import EventSource from 'eventsource';
import { createKey, Events, Server, until } from '../harness.mjs';

let server;
before(async () => (server = await Server.start({ args: ['--set', 'sse.comment_s=1'] })));
after(() => server.stop());

const t0 = 1_700_000_000_000;
const path = (...channels) =>
  `/api/v1/subscribe?${channels.map((c) => `channel=${encodeURIComponent(c)}`).join('&')}`;
const write = (device, value, time = t0) =>
  server.post('/write?precision=ms', `sse,device=${device} v=${value} ${time}`);

test('every accepted reading is an event with its id', async () => {
  const events = await Events.open(server, path('readings/+/+'));
  assert.equal(events.status, 200);
  assert.match(events.headers['content-type'], /^text\/event-stream/);
  assert.match(events.headers['cache-control'] ?? '', /no-(cache|store)/);
  const body = { device: { id: 1 }, readings: [{ time: t0, temp: 4.2, batt: 75 }] };
  assert.equal((await server.post('/api/v1/readings', body)).status, 202);
  const found = await events.next(2);
  const byMetric = Object.fromEntries(found.map((one) => [one.json.data.metric, one]));
  assert.deepEqual(Object.keys(byMetric).sort(), ['batt', 'temp']);
  const { id, json } = byMetric.temp;
  assert.equal(json.id, id);
  assert.match(id, /^m/);
  assert.deepEqual(json.channels, ['readings/1/temp']);
  assert.deepEqual(json.data,
    { metric: 'temp', device: '1', tags: { device: '1' }, time: t0, value: 4.2 });
  events.close();
});

test('who has the answer to a write has it on the stream at once', async () => {
  const events = await Events.open(server, path('readings/s1/#'));
  for (let i = 0; i < 20; i++) {
    assert.equal((await write('s1', i, t0 + i)).status, 204);
    assert.equal((await events.next(1))[0].json.data.value, i);
  }
  events.close();
});

test('nothing of other channels, nothing twice over several', async () => {
  const events = await Events.open(server,
    path('readings/s2/sse.v', 'readings/s2/+', 'readings/#'));
  await write('s3', 1);
  await write('s2', 2);
  const [other, mine] = await events.next(2);
  assert.deepEqual(other.json.channels, ['readings/s3/sse.v']);
  assert.equal(mine.json.data.value, 2);
  assert.equal(events.list.length, 0);
  events.close();
});

test('names in channels are percent-encoded, a series without device is "-"', async () => {
  const events = await Events.open(server, path('readings/#'));
  const text = 'a\\ b,device=x/y+z#% v=1\nbare v=2';
  assert.equal((await server.post('/write', text)).status, 204);
  const names = (await events.next(2)).map((one) => one.json.channels[0]).sort();
  assert.deepEqual(names, ['readings/-/bare.v', 'readings/x%2Fy%2Bz%23%25/a b.v']);
  events.close();
});

test('what is rejected is not published', async () => {
  const events = await Events.open(server, path('readings/s4/#'));
  await server.post('/write', 'sse,device=s4 v=\nsse,device=s4 v=5');
  assert.equal((await events.next(1))[0].json.data.value, 5);
  events.close();
});

test('EventSource with ?token= receives, and ids rise', async () => {
  const source = new EventSource(
    `${server.url}${path('readings/s5/#')}&token=${server.key}`);
  const heard = [];
  source.onmessage = (event) => heard.push(event);
  let open = false;
  source.onopen = () => (open = true);
  await until(() => open, 'the stream to open');
  for (let i = 0; i < 10; i++) await write('s5', i, t0 + i);
  await until(() => heard.length === 10, 'ten events');
  const ids = heard.map((event) => BigInt(event.lastEventId.slice(1)));
  for (let i = 1; i < ids.length; i++) assert.ok(ids[i] > ids[i - 1]);
  source.close();
});

test('a silent stream gets comments', async () => {
  const events = await Events.open(server, path('readings/silent/#'));
  await until(() => events.comments.length > 0, 'a comment');
  events.close();
});

test('coming back after the last id: what was missed, or a gap, never silence', async () => {
  const first = await Events.open(server, path('readings/s6/#'));
  await write('s6', 1);
  const [{ id }] = await first.next(1);
  first.close();
  await write('s6', 2, t0 + 1);
  const again = await Events.open(server, path('readings/s6/#'), {
    headers: { 'last-event-id': id },
  });
  await write('s6', 3, t0 + 2);
  const [next, then] = await again.next(2);
  if (next.event === 'gap') assert.equal(then.json.data.value, 3);
  else assert.deepEqual([next.json.data.value, then.json.data.value], [2, 3]);
  again.close();
});

test('no credentials 401, wrong right 403, bad pattern 400, no channel 400', async () => {
  const status = async (where, key) => {
    const events = await Events.open(server, where, { key });
    events.close();
    return events.status;
  };
  assert.equal(await status(path('a'), false), 401);
  assert.equal(await status(path('a'), await createKey(server.data, 'read')), 403);
  assert.ok([400, 422].includes(await status(path('a//b'), server.key)));
  assert.equal(await status('/api/v1/subscribe', server.key), 400);
});

test('a key for some channels hears only those', async () => {
  const key = await createKey(server.data, 'subscribe', ['--channels', 'readings/s7/#']);
  const mine = await Events.open(server, path('readings/s7/sse.v'), { key });
  assert.equal(mine.status, 200);
  mine.close();
  const other = await Events.open(server, path('readings/s8/sse.v'), { key });
  assert.equal(other.status, 403);
  other.close();
});

test('a draining server ends its streams', async () => {
  const other = await Server.start();
  const events = await Events.open(other, path('readings/#'));
  await other.stop();
  await until(() => events.over, 'the end of the stream');
});
