// Tenants: each sees only its own; who governs the node acts in any with ?tenant=NAME.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertProblem, Server } from '../harness.mjs';
import { local } from './local.mjs';

const tenants = '/api/v1/admin/tenants';
let server;
const call = (method, path, body, headers) => local(server, method, path, body, headers);
const make = async (name) => {
  const answer = await call('POST', tenants, { name });
  assert.equal(answer.status, 201, answer.text);
  return answer;
};

before(async () => (server = await Server.start()));
after(() => server.stop());

test('a tenant is made, shown, removed', async () => {
  const made = await make('acme');
  assert.equal(made.json().name, 'acme');
  const path = `${tenants}/acme`;
  const shown = await call('GET', path);
  assert.deepEqual(shown.json(), made.json());
  assert.equal(shown.headers.etag, made.headers.etag);
  const list = (await call('GET', tenants)).json();
  assert.deepEqual(list.items.map(({ name }) => name), ['acme', 'main']);
  assert.equal(list.next, null);
  assert.equal(assertProblem(await call('POST', tenants, { name: 'acme' }), 409).pointer, '/name');
  assertProblem(await call('DELETE', path, undefined, { 'if-match': '"0"' }), 412);
  assert.equal((await call('DELETE', path)).status, 204);
  assertProblem(await call('GET', path), 404);
  assertProblem(await call('DELETE', path), 404);
  assertProblem(await call('DELETE', `${tenants}/main`), 409);
});

test('the list comes in pages', async () => {
  for (const name of ['p1', 'p2', 'p3']) await make(name);
  const first = (await call('GET', `${tenants}?limit=2`)).json();
  const second = (await call('GET', `${tenants}?limit=2&cursor=${first.next}`)).json();
  const names = [...first.items, ...second.items].map(({ name }) => name);
  assert.deepEqual(names, ['main', 'p1', 'p2', 'p3']);
  for (const bad of ['limit=0', 'limit=1001', 'limit=x'])
    assertProblem(await call('GET', `${tenants}?${bad}`), 400);
});

test('what is made in a tenant is seen only there', async () => {
  await make('blue');
  const things = {
    devices: { id: 77, name: 'blue one' }, gateways: { name: 'blue' },
    users: { username: 'ana', password: 'long-enough', permission: 'admin' },
    keys: { name: 'blue', rights: 'read' },
  };
  for (const [kind, body] of Object.entries(things)) {
    const path = `/api/v1/admin/${kind}`;
    const before = (await call('GET', path)).text;
    const answer = await call('POST', `${path}?tenant=blue`, body);
    assert.equal(answer.status, 201, answer.text);
    assert.equal((await call('GET', path)).text, before, kind);
    assert.notEqual((await call('GET', `${path}?tenant=blue`)).text, before, kind);
  }
  const venue = await call('POST', '/api/v1/venues?tenant=blue', { name: 'x', users: ['ana'] });
  assert.equal(venue.status, 201, venue.text);
  assertProblem(await call('GET', '/api/v1/admin/devices/77'), 404);
  assertProblem(await call('DELETE', '/api/v1/admin/devices/77'), 404);
  assert.equal((await call('GET', '/api/v1/admin/devices/77?tenant=blue')).json().name, 'blue one');
  const audit = (await call('GET', '/api/v1/admin/audit?tenant=blue')).json();
  assert.equal(audit.items.length, 5);
  const busy = assertProblem(await call('DELETE', `${tenants}/blue`), 409);
  assert.match(busy.detail, /devices/);
});

test('the same id may be in two tenants, each with its own token', async () => {
  await make('twin');
  const one = (await call('POST', '/api/v1/admin/devices', { id: 5 })).json();
  const two = (await call('POST', '/api/v1/admin/devices?tenant=twin', { id: 5 })).json();
  const login = (auth, query) => call('POST', `/api/v1/admin/devices/5/login${query}`, { auth });
  assert.equal((await login(one.auth, '')).status, 200);
  assert.equal((await login(two.auth, '?tenant=twin')).status, 200);
  assertProblem(await login(two.auth, ''), 401);
  assertProblem(await login(one.auth, '?tenant=twin'), 401);
});

test('an unknown tenant has nothing, and nothing is made in it', async () => {
  for (const path of ['devices', 'gateways', 'users', 'keys', 'audit'])
    assertProblem(await call('GET', `/api/v1/admin/${path}?tenant=nobody`), 404);
  assertProblem(await call('POST', '/api/v1/admin/devices?tenant=nobody', {}), 404);
  assertProblem(await call('GET', '/api/v1/venues?tenant=nobody'), 404);
  for (const name of ['', 'A', 'a%0d%0ab', "a';drop table tenant;--", '../main', 'x'.repeat(65)])
    assertProblem(await call('GET', `/api/v1/admin/devices?tenant=${encodeURIComponent(name)}`), 400);
});

test('only who is an admin of main governs the node', async () => {
  const users = '/api/v1/admin/users';
  const user = { username: 'root', password: 'long-enough', permission: 'admin', node: true };
  const made = await call('POST', users, user);
  assert.equal(made.status, 201, made.text);
  assert.equal(made.json().node, true);
  assert.equal((await call('PUT', `${users}/root`, { language: 'de' })).json().node, true);
  const less = await call('PUT', `${users}/root`, { permission: 'user' });
  assert.ok(!('node' in less.json()), 'who is no admin does not govern');
  for (const [query, change] of [
    ['', { permission: 'user' }], ['', { permission: 'developer' }], ['?tenant=twin', {}],
    ['', { node: 1 }], ['', { node: 'true' }],
  ]) {
    const answer = await call('POST', `${users}${query}`, { ...user, username: 'more', ...change });
    assert.equal(assertProblem(answer, 422).pointer, '/node');
  }
});

for (const [body, status, pointer] of [
  [{}, 422, '/name'], [{ name: '' }, 422, '/name'], [{ name: 'A' }, 422, '/name'],
  [{ name: 7 }, 422, '/name'], [{ name: null }, 422, '/name'], [{ name: 'a\r\nb' }, 422, '/name'],
  [{ name: "x'; DROP TABLE tenant; --" }, 422, '/name'], [{ name: 'x'.repeat(65) }, 422, '/name'],
  [{ name: 'x', created: 1 }, 422, '/created'], [{ name: 'x', version: 1 }, 422, '/version'],
  ['[]', 422], ['{', 400], ['', 400], [`${'['.repeat(65)}${']'.repeat(65)}`, 400],
]) {
  test(`a tenant cannot be ${JSON.stringify(body).slice(0, 60)}`, async () => {
    const before = (await call('GET', tenants)).text;
    const problem = assertProblem(await call('POST', tenants, body), status);
    assert.equal(problem.pointer, pointer);
    assert.equal((await call('GET', tenants)).text, before);
  });
}
