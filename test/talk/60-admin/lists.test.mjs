// Devices in pages and by name; thresholds.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertProblem, Server } from '../harness.mjs';
import { local } from './local.mjs';

const devices = '/api/v1/admin/devices';
let server;
const call = (method, path, body, headers) => local(server, method, path, body, headers);
const names = ['Kitchen', 'kitchen 2', 'Cellar', 'KITCHENETTE', '%', "'; --", 'Küche', ''];

before(async () => {
  server = await Server.start();
  for (const [i, name] of names.entries())
    assert.equal((await call('POST', devices, { id: i + 1, name })).status, 201);
});
after(() => server.stop());

async function walk(query, limit) {
  const items = [];
  for (let cursor = null; ;) {
    const more = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`;
    const answer = await call('GET', `${devices}?limit=${limit}${query}${more}`);
    assert.equal(answer.status, 200, answer.text);
    const page = answer.json();
    assert.ok(page.items.length <= limit);
    items.push(...page.items);
    if (page.next === null) return items;
    assert.equal(page.items.length, limit);
    cursor = page.next;
  }
}

test('without limit, cursor and q the list is Qold’s', async () => {
  const list = (await call('GET', devices)).json();
  assert.deepEqual(list, names.map((_, i) => ({ id: i + 1, state: false })));
});

test('pages together are the list', async () => {
  for (const limit of [1, 3, names.length, 1000])
    assert.deepEqual((await walk('', limit)).map(({ id }) => id), names.map((_, i) => i + 1));
  const [first] = await walk('', 1);
  assert.deepEqual(first, { id: 1, state: false, name: 'Kitchen', group: '', place: '' });
});

test('a search finds names that begin so', async () => {
  const found = async (q, limit = 1) => (await walk(`&q=${encodeURIComponent(q)}`, limit))
    .map(({ id }) => id).sort();
  assert.deepEqual(await found('kitchen'), [1, 2, 4]);
  assert.deepEqual(await found('KITCHEN', 100), [1, 2, 4]);
  assert.deepEqual(await found('kitchene'), [4]);
  assert.deepEqual(await found('%'), [5]);
  assert.deepEqual(await found("'"), [6]);
  assert.deepEqual(await found('_'), []);
  assert.deepEqual(await found('Kü'), [7]);
  assert.deepEqual(await found('', 3), names.map((_, i) => i + 1));
});

test('a bad limit or cursor is said', async () => {
  for (const query of ['limit=0', 'limit=1001', 'limit=-1', 'limit=', 'q=k&cursor=x', 'q=k&cursor=9:a'])
    assertProblem(await call('GET', `${devices}?${query}`), 400);
});

const thresholds = (id, body, headers) =>
  call('PUT', `/api/v1/devices/${id}/thresholds`, body, headers);

test('thresholds are kept in the configuration', async () => {
  const put = async (body) => {
    const answer = await thresholds(1, body);
    assert.equal(answer.status, 200, answer.text);
    return answer.json().config;
  };
  assert.deepEqual(await put({ min: -1.5, max: '8' }), { minTemperature: '-1.5', maxTemperature: '8' });
  assert.deepEqual(await put({ maxTemperature: 9, minBattery: 20 }),
    { minTemperature: '-1.5', maxTemperature: '9', minBattery: '20' });
  assert.deepEqual(await put({ min: null, minBattery: null }), { maxTemperature: '9' });
  await call('PUT', `${devices}/1/config`, { other: 'x' });
  const now = await thresholds(1, { max: 7 });
  assert.deepEqual(now.json().config, { maxTemperature: '7', other: 'x' });
  const { items } = (await call('GET', '/api/v1/admin/audit?limit=1')).json();
  assert.equal(items[0].what, 'device.thresholds');
  assert.equal(items[0].before.config.maxTemperature, '9');
  assert.equal(items[0].after.config.maxTemperature, '7');
  assertProblem(await thresholds(1, { max: 1 }, { 'if-match': '"1"' }), 412);
  assert.equal((await thresholds(1, { max: 1 }, { 'if-match': now.headers.etag })).status, 200);
});

for (const [body, status, pointer] of [
  [{ max: 'warm' }, 422, '/max'], [{ max: true }, 422, '/max'], [{ max: [] }, 422, '/max'],
  [{ min: 'NaN' }, 422, '/min'], [{ min: 'Infinity' }, 422, '/min'], [{ min: '' }, 422, '/min'],
  [{ min: ' 1' }, 422, '/min'], [{ min: '1\r\n' }, 422, '/min'], [{ min: "1' OR '1" }, 422, '/min'],
  ['{"min":1e999}', 422, '/min'], [{ min: '1'.repeat(33) }, 422, '/min'],
  [{ min: 5, max: 4 }, 422, undefined], [{ state: true }, 422, '/state'],
  [{ auth: 'x' }, 422, '/auth'], [{ users: [] }, 422, '/users'],
  [{ max: 1, maxTemperature: 2 }, 422, '/maxTemperature'],
  ['{"max":1,"max":2}', 422, '/max'], ['', 400], ['{', 400], ['[]', 422], ['7', 422],
  [`{"max":${'['.repeat(65)}${']'.repeat(65)}}`, 400],
]) {
  test(`thresholds cannot be ${JSON.stringify(body).slice(0, 60)}`, async () => {
    const before = (await call('GET', `${devices}/2`)).text;
    assert.equal(assertProblem(await thresholds(2, body), status).pointer, pointer);
    assert.equal((await call('GET', `${devices}/2`)).text, before);
  });
}

test('thresholds of what is not there', async () => {
  assertProblem(await thresholds('nobody', { max: 1 }), 404);
  assertProblem(await thresholds('1%27%20OR%201=1%20--', { max: 1 }), 404);
});

test('gateways in pages and by name; without a question Qold’s list', async () => {
  const gateways = '/api/v1/admin/gateways';
  for (const name of ['Hall', 'hallway', 'Roof', "'; --"])
    assert.equal((await call('POST', gateways, { name })).status, 201);
  assert.deepEqual((await call('GET', gateways)).json(), [{ id: 1 }, { id: 2 }, { id: 3 }, { id: 4 }]);
  const first = (await call('GET', `${gateways}?limit=3`)).json();
  assert.deepEqual(first.items.map(({ name }) => name), ['Hall', 'hallway', 'Roof']);
  const second = (await call('GET', `${gateways}?limit=3&cursor=${first.next}`)).json();
  assert.deepEqual(second, { items: [{ id: 4, name: "'; --" }], next: null });
  const found = (await call('GET', `${gateways}?q=hall&limit=1`)).json();
  assert.deepEqual([found.items.map(({ id }) => id), found.next], [[1], '1']);
  const more = (await call('GET', `${gateways}?q=hall&limit=1&cursor=1`)).json();
  assert.deepEqual([more.items.map(({ id }) => id), more.next], [[2], null]);
  for (const query of ['limit=0', 'limit=1001', 'cursor=x', 'cursor=-1'])
    assertProblem(await call('GET', `${gateways}?${query}`), 400);
});

test('users whose name begins so', async () => {
  for (const username of ['ana', 'andy', 'bob', 'a_b', 'an.na'])
    assert.equal((await call('POST', '/api/v1/admin/users',
      { username, password: 'long-enough', permission: 'user' })).status, 201);
  const found = async (q) => (await call('GET', `/api/v1/admin/users?q=${encodeURIComponent(q)}`)).json()
    .items.map(({ username }) => username);
  assert.deepEqual(await found('an'), ['an.na', 'ana', 'andy']);
  assert.deepEqual(await found('a_'), ['a_b']);
  assert.deepEqual(await found('%'), []);
  assert.deepEqual(await found("' OR 1=1 --"), []);
});
