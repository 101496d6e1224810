// The audit: every change of administration leaves an entry, refused ones leave none.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertProblem, Server } from '../harness.mjs';
import { local } from './local.mjs';

const audit = '/api/v1/admin/audit';
let server;
const call = (method, path, body) => local(server, method, `/api/v1/admin/${path}`, body);
const entries = async (query = '') => {
  const answer = await local(server, 'GET', `${audit}${query}`);
  assert.equal(answer.status, 200, answer.text);
  return answer.json();
};

before(async () => (server = await Server.start()));
after(() => server.stop());

test('each change is told with who, when, what, before and after', async () => {
  const secrets = [];
  const { id, auth } = (await call('POST', 'devices', { name: 'a' })).json();
  await call('PUT', `devices/${id}`, { name: 'b' });
  await call('PUT', `devices/${id}/config`, { state: true, x: 1 });
  await call('DELETE', `devices/${id}`);
  const gateway = (await call('POST', 'gateways')).json();
  await call('PUT', `gateways/${gateway.id}/config`, { State: 'Active' });
  await call('DELETE', `gateways/${gateway.id}`);
  await call('POST', 'users', { username: 'ana', password: 'planted-0815', permission: 'user' });
  await call('PUT', 'users/ana', { password: 'planted-0816' });
  await call('DELETE', 'users/ana');
  const { key } = (await call('POST', 'keys', { name: 'k', rights: 'read' })).json();
  await call('DELETE', 'keys/k');
  secrets.push(auth, gateway.auth, 'planted-081', key);
  const { items } = await entries('?limit=12');
  const told = items.reverse();
  assert.deepEqual(told.map(({ what, object }) => `${what} ${object}`), [
    `device.add ${id}`, `device.put ${id}`, `device.config ${id}`, `device.remove ${id}`,
    `gateway.add ${gateway.id}`, `gateway.config ${gateway.id}`, `gateway.remove ${gateway.id}`,
    'user.add ana', 'user.password ana', 'user.remove ana', 'key.add k', 'key.remove k',
  ]);
  for (const { time, who, from } of told) {
    assert.ok(Math.abs(time - Date.now()) < 60_000);
    assert.equal(who, 'local');
    assert.ok(from.length > 0);
  }
  assert.deepEqual([told[0].before, told[0].after.name], [null, 'a']);
  assert.deepEqual([told[1].before.name, told[1].after.name], ['a', 'b']);
  assert.deepEqual([told[2].after.state, told[2].after.config], [true, { x: '1' }]);
  assert.deepEqual([told[3].before.name, told[3].after], ['b', null]);
  for (const secret of secrets) assert.ok(!JSON.stringify(told).includes(secret));
  assert.doesNotMatch(JSON.stringify(told), /argon2/);
});

test('what is refused or only read leaves no entry', async () => {
  const { id } = (await call('POST', 'devices')).json();
  const [{ time, ...last }] = (await entries('?limit=1')).items;
  assertProblem(await call('POST', 'devices', { id: String(id) }), 409);
  assertProblem(await call('PUT', `devices/${id}/config`, { a: {} }), 422);
  assertProblem(await call('DELETE', 'devices/nothing'), 404);
  assert.equal((await call('GET', `devices/${id}`)).status, 200);
  assert.deepEqual((await entries('?limit=1')).items, [{ time, ...last }]);
});

test('pages and times', async () => {
  for (let i = 0; i < 5; i++) await call('POST', 'gateways');
  const all = (await entries('?limit=1000')).items;
  const found = [];
  for (let query = '?limit=3'; query;) {
    const { items, next } = await entries(query);
    assert.ok(items.length <= 3);
    found.push(...items);
    query = next && `?limit=3&cursor=${next}`;
  }
  assert.deepEqual(found, all);
  assert.deepEqual((await entries('?to=-1h')).items, []);
  assert.equal((await entries('?from=-1h&limit=1000')).items.length, all.length);
  for (const query of ['?limit=0', '?limit=x', '?cursor=x', '?cursor=0', '?from=never', '?to=%00'])
    assertProblem(await local(server, 'GET', `${audit}${query}`), 400);
  assertProblem(await server.get(audit), 403);
});
