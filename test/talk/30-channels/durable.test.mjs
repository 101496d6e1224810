// Durable channels over restarts: what was said of them holds after SIGTERM and after kill -9.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertProblem, serve } from '../harness.mjs';

const base = '/api/v1';

async function publish(server, channels, data, more = {}) {
  const answer = await server.post(`${base}/publish`, { channels, data, ...more });
  assert.equal(answer.status, 201, answer.text);
  return answer.json();
}

async function poll(server, query) {
  const answer = await server.get(`${base}/subscribe?${query}`);
  assert.equal(answer.status, 200, answer.text);
  const { messages, gap = false } = answer.json();
  return [messages.map(({ data }) => data), gap];
}

test('a durable channel is the same after an end and after a kill', async (t) => {
  const server = await serve(t);
  const meta = { title: 'Küche', list: [1, null], deep: { a: '}' } };
  const kept = { name: 'kept', durable: true, slow: 'drop_newest', meta };
  const made = await server.post(`${base}/channels`, kept);
  assert.equal(made.status, 201, made.text);
  const { id } = made.json();
  const { id: other } = (await server.post(`${base}/channels`, { durable: true })).json();
  await server.post(`${base}/channels`, { name: 'gone' });
  const first = await publish(server, ['kept', 'gone'], 0);
  for (let i = 1; i < 8; i++) {
    await publish(server, [i % 2 ? 'kept' : id, 'gone'], i, i === 5 ? { key: 'once' } : {});
    if (i === 2) {
      await server.stop();
      await server.again();
    } else if (i % 2) {
      await server.kill9();
      await server.again();
    }
    const expected = Array.from({ length: i }, (_, n) => n + 1);
    assert.deepEqual(await poll(server, `channel=kept&since=${first.id}`), [expected, false]);
    assert.deepEqual(await poll(server, `channel=${id}&since=0`), [[0, ...expected], false]);
    assert.equal((await poll(server, `channel=gone&since=${first.id}`))[1], true);
  }
  const shown = (await server.get(`${base}/channels/${id}`)).json();
  assert.deepEqual([shown.id, shown.name, shown.durable, shown.slow, shown.messages, shown.meta],
    [id, 'kept', true, 'drop_newest', 8, meta]);
  assertProblem(await server.post(`${base}/channels`, { name: 'kept' }), 409);
  const again = await publish(server, ['kept'], 'not heard', { key: 'once' });
  const { messages } = (await server.get(`${base}/subscribe?channel=kept`)).json();
  assert.equal(again.id, messages[5].id);
  assert.equal(messages.length, 8);
  assert.equal((await server.get(`${base}/channels/${other}`)).json().name, `${other}`);
});

test('a removed one stays away, an ended one too, a renewed one has its new time', async (t) => {
  const server = await serve(t);
  for (const name of ['removed', 'short', 'renewed'])
    await server.post(`${base}/channels`, { name, durable: true, ttl_s: name === 'short' ? 1 : 60 });
  assert.equal((await server.request('DELETE', `${base}/channels/removed`)).status, 204);
  assertProblem(await server.request('DELETE', `${base}/channels/removed`), 404);
  const answer = await server.post(`${base}/channels/renewed/renew`, { ttl_s: 7200 });
  assert.ok(answer.json().expires_at > Date.now() + 7000_000, answer.text);
  const { messages } = (await server.get(
    `${base}/subscribe?channel=short&mode=longpoll&since=now&timeout=20`)).json();
  assert.deepEqual(messages, []); // answered by its end
  await server.kill9();
  await server.again();
  assertProblem(await server.get(`${base}/channels/removed`), 404);
  assertProblem(await server.get(`${base}/channels/short`), 404);
  const renewed = (await server.get(`${base}/channels/renewed`)).json();
  assert.ok(renewed.expires_at > Date.now() + 7000_000);
});

test('meta data is any JSON of at most 4 KiB', async (t) => {
  const server = await serve(t);
  for (const [name, meta] of [['s', ' a "b" '], ['n', -1.5e3], ['t', true], ['f', false], ['l', []]]) {
    assert.equal((await server.post(`${base}/channels`, { meta, name })).status, 201);
    assert.deepEqual((await server.get(`${base}/channels/${name}`)).json().meta, meta);
  }
  const problem = assertProblem(
    await server.post(`${base}/channels`, { meta: 'x'.repeat(4095) }), 422);
  assert.equal(problem.pointer, '/meta');
  assert.equal((await server.post(`${base}/channels`, { meta: 'x'.repeat(4094) })).status, 201);
});
