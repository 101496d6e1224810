// Venues: places, what stands where, who may see them.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertProblem, Server } from '../harness.mjs';
import { local } from './local.mjs';

const venues = '/api/v1/venues';
let server;
const call = (method, path, body, headers) => local(server, method, path, body, headers);
const items = [{ device: 7, x: 1.5, y: -2, rotation: 90 }, { device: 'a"b', x: 0, y: 0 }];

before(async () => (server = await Server.start()));
after(() => server.stop());

test('a venue is made, shown, changed, removed', async () => {
  const made = await call('POST', venues, { name: 'Haus', items });
  assert.equal(made.status, 201, made.text);
  const { id } = made.json();
  const path = `${venues}/${id}`;
  assert.deepEqual(made.json(), { id, name: 'Haus', items, users: [] });
  assert.deepEqual((await call('GET', path)).json(), made.json());
  assert.deepEqual((await call('GET', venues)).json(), { items: [made.json()], next: null });
  const user = { username: 'ana', password: 'long-enough', permission: 'user' };
  assert.equal((await call('POST', '/api/v1/admin/users', user)).status, 201);
  const put = await call('PUT', path, { users: ['ana'], items: [] });
  assert.deepEqual(put.json(), { id, name: 'Haus', items: [], users: ['ana'] });
  const whose = `${path}/users`;
  assert.deepEqual((await call('GET', whose)).json(), { items: ['ana'], next: null });
  assert.deepEqual((await call('PUT', whose, { users: [] })).json().users, []);
  assert.deepEqual((await call('GET', whose)).json(), { items: [], next: null });
  assertProblem(await call('PUT', whose, { users: ['nobody'] }), 422);
  assertProblem(await call('PUT', whose, { name: 'x' }), 422);
  const old = { 'if-match': made.headers.etag };
  assertProblem(await call('PUT', path, { name: 'b' }, old), 412);
  assertProblem(await call('DELETE', path, undefined, old), 412);
  assert.equal((await call('DELETE', path)).status, 204);
  for (const at of [path, `${path}/users`, `${venues}/0`, `${venues}/x`, `${venues}/-1`])
    assertProblem(await call('GET', at), 404);
  assertProblem(await call('PUT', path, {}), 404);
  assertProblem(await call('DELETE', path), 404);
});

test('the list comes in pages', async () => {
  for (let i = 0; i < 3; i++) await call('POST', venues, { name: `${i}` });
  const first = (await call('GET', `${venues}?limit=2`)).json();
  assert.deepEqual(first.items.map(({ name }) => name), ['0', '1']);
  const second = (await call('GET', `${venues}?limit=2&cursor=${first.next}`)).json();
  assert.deepEqual([second.items.map(({ name }) => name), second.next], [['2'], null]);
  assertProblem(await call('GET', `${venues}?limit=0`), 400);
});

for (const [body, pointer] of [
  [{}, '/name'], [{ name: '' }, '/name'], [{ name: null, items }, '/name'],
  [{ id: 4 }, '/id'], [{ tenant: 'x' }, '/tenant'], [{ name: 4 }, '/name'],
  [{ name: 'a\r\nb' }, '/name'], [{ users: ["' OR 1=1 --"] }, '/users/0'], [{ items: {} }, '/items'],
  [{ items: [7] }, '/items/0'], [{ items: [{ x: 1, y: 1 }] }, '/items/0'],
  [{ items: [items[0], { ...items[0], x: '1' }] }, '/items/1'],
  [{ items: [{ ...items[0], z: 1 }] }, '/items/0'],
  [{ items: [{ ...items[0], device: { id: 1 } }] }, '/items/0'],
  [{ items: Array(4097).fill(items[1]) }, '/items/4096'],
]) {
  test(`a venue may not have ${JSON.stringify(body).slice(0, 60)}`, async () => {
    const before = (await call('GET', venues)).text;
    assert.equal(assertProblem(await call('POST', venues, body), 422).pointer, pointer);
    assert.equal((await call('GET', venues)).text, before);
  });
}
