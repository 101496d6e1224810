// Who may what: every role at every route of administration, own things and others'.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertProblem, createKey, Server } from '../harness.mjs';
import { local } from './local.mjs';
import { roles, table } from './table.mjs';

const password = 'correct-horse-battery';
const admin = '/api/v1/admin';
let server, gateway;
const credentials = {};
const root = (method, path, body) => local(server, method, path, body);

async function tokenOf(name) {
  const basic = Buffer.from(`${name}:${password}`).toString('base64');
  const answer = await server.request('POST', `${admin}/token`,
    { key: false, headers: { authorization: `Basic ${basic}` } });
  assert.equal(answer.status, 200, answer.text);
  return answer.json().token;
}

const as = (who, method, path, body, headers = {}) => server.request(method, path, {
  key: false,
  headers: { ...(credentials[who] ? { authorization: `Bearer ${credentials[who]}` } : {}), ...headers },
  body: body === undefined || typeof body === 'string' ? body : JSON.stringify(body),
});

async function make(path, body) {
  const answer = await root('POST', path, body);
  assert.equal(answer.status, 201, answer.text);
  return answer.json();
}

before(async () => {
  server = await Server.start();
  await make(`${admin}/tenants`, { name: 'acme' });
  for (const [name, permission, node, tenant] of [
    ['gov', 'admin', true], ['adm', 'admin', false], ['dev', 'developer'], ['uwe', 'user'], ['eva', 'user'], ['kim', 'user'],
    ['boss', 'admin', false, 'acme'], ['joe', 'user', false, 'acme'],
  ]) {
    await make(`${admin}/users${tenant ? `?tenant=${tenant}` : ''}`,
      { username: name, password, permission, ...(node === undefined ? {} : { node }) });
    credentials[name] = await tokenOf(tenant ? `${name}@${tenant}` : name);
  }
  await make(`${admin}/devices`, { id: 1, name: 'uwe’s', users: ['uwe', 'eva'] });
  await make(`${admin}/devices`, { id: 2, name: 'eva’s', users: ['eva'] });
  await make(`${admin}/devices?tenant=acme`, { id: 3, name: 'acme’s', users: ['joe'] });
  const { auth } = await make(`${admin}/gateways`);
  gateway = { authorization: `Basic ${Buffer.from(`gateway-1:${auth}`).toString('base64')}` };
  await make('/api/v1/venues', { name: 'uwe’s', users: ['uwe', 'eva'] });
  await make('/api/v1/venues', { name: 'eva’s', users: ['eva'] });
  for (const venue of [1, 2])
    assert.equal((await root('PUT', `/api/v1/venues/${venue}/plan`, '<svg></svg>')).status, 204);
  credentials.reader = await createKey(server.data, 'read');
  credentials.writer = await createKey(server.data, 'write,publish,subscribe');
});
after(() => server.stop());

for (const [method, path, wanted, body] of table) {
  test(`${method} ${path}`, async () => {
    for (const [i, who] of roles.entries()) {
      const answer = await as(who, method, path, body);
      assert.equal(answer.status, wanted[i], `${who}: ${answer.text}`);
      if (wanted[i] >= 400) assertProblem(answer, wanted[i]);
    }
  });
}

test('a gateway administers nothing, not even itself', async () => {
  // Where a person's token is wanted a key and a gateway are told so alike.
  for (const [method, path, wanted, body] of table)
    assertProblem(await as('nobody', method, path, body, gateway), wanted[roles.indexOf('reader')] === 401 ? 401 : 403);
});

test('only who governs the node acts in another tenant', async () => {
  for (const path of [`${admin}/devices`, `${admin}/devices/3`, `${admin}/users`, `${admin}/audit`, '/api/v1/venues']) {
    assert.equal((await as('gov', 'GET', `${path}?tenant=acme`)).status, 200);
    assert.equal((await as('boss', 'GET', `${path}?tenant=acme`)).status, 200);
    for (const who of ['adm', 'dev', 'uwe', 'reader', 'writer'])
      for (const tenant of ['acme', 'nobody'])
        assertProblem(await as(who, 'GET', `${path}?tenant=${tenant}`), 403);
    assertProblem(await as('boss', 'GET', `${path}?tenant=main`), 403);
  }
  assertProblem(await as('gov', 'GET', `${admin}/devices?tenant=nobody`), 404);
  assertProblem(await as('boss', 'PUT', `${admin}/devices/1?tenant=main`, {}), 403);
});

test('a user sees what is his, and not that others exist', async () => {
  assert.deepEqual((await as('uwe', 'GET', `${admin}/devices`)).json().map(({ id }) => id), [1]);
  const pages = (await as('uwe', 'GET', `${admin}/devices?q=e`)).json();
  assert.deepEqual(pages, { items: [], next: null });
  assert.deepEqual((await as('eva', 'GET', `${admin}/devices?limit=1`)).json().next, '1');
  assert.deepEqual((await as('eva', 'GET', `${admin}/devices?q=eva&limit=1`)).json().items[0].id, 2);
  assert.deepEqual((await as('uwe', 'GET', `${admin}/devices/1`)).json().users, ['uwe']);
  const venues = (await as('uwe', 'GET', '/api/v1/venues')).json();
  assert.deepEqual(venues.items.map(({ id, users }) => [id, users]), [[1, ['uwe']]]);
  const shown = async (path) => (await as('uwe', 'GET', path)).text;
  assert.equal(await shown(`${admin}/devices/2`), await shown(`${admin}/devices/99`));
  assert.equal(await shown('/api/v1/venues/2'), await shown('/api/v1/venues/99'));
  assert.equal(await shown('/api/v1/venues/2/plan'), await shown('/api/v1/venues/99/plan'));
});

test('what is given and taken away counts at once', async () => {
  assert.equal((await as('adm', 'PUT', `${admin}/devices/2`, { users: ['eva', 'uwe'] })).status, 200);
  assert.equal((await as('uwe', 'GET', `${admin}/devices/2`)).status, 200);
  assert.equal((await as('adm', 'PUT', `${admin}/devices/2`, { users: ['eva'] })).status, 200);
  assertProblem(await as('uwe', 'GET', `${admin}/devices/2`), 404);
});

test('nobody raises himself', async () => {
  for (const body of [{ permission: 'admin' }, { node: true }, { username: 'x' }, { tenant: 'acme' },
    { generation: 9 }, { hash: 'x' }, { id: 1 }, { created: 1 }])
    for (const who of ['uwe', 'dev', 'adm'])
      assert.equal(assertProblem(await as(who, 'PUT', '/api/v1/me', body), 422).pointer,
        `/${Object.keys(body)[0]}`);
  for (const who of ['adm', 'dev']) {
    assertProblem(await as(who, 'PUT', `${admin}/users/${who}`, { permission: 'admin', node: true }), 403);
    assertProblem(await as(who, 'POST', `${admin}/users`,
      { username: 'evil', password, permission: 'admin', node: true }), 403);
    // Nor does anybody take over an account that governs.
    assertProblem(await as(who, 'PUT', `${admin}/users/gov`, { password }), 403);
    assertProblem(await as(who, 'PUT', `${admin}/users/gov`, { node: false }), 403);
    assertProblem(await as(who, 'DELETE', `${admin}/users/gov`), 403);
  }
  assert.equal((await as('gov', 'GET', `${admin}/users/gov`)).json().node, true);
  assert.equal((await as('gov', 'GET', `${admin}/users/adm`)).json().node, undefined);
  assertProblem(await as('adm', 'GET', `${admin}/users/evil`), 404);
});

test('one’s own account', async () => {
  const me = await as('joe', 'GET', '/api/v1/me');
  const { created, ...rest } = me.json();
  assert.ok(created > 0);
  assert.deepEqual(rest, { username: 'joe', permission: 'user', tenant: 'acme' });
  const body = { contacts: { mail: 'joe@example.org', phone: 5 }, language: 'de', tz: 'Europe/Berlin' };
  const put = await as('joe', 'PUT', '/api/v1/me', body);
  assert.equal(put.status, 200, put.text);
  assert.deepEqual(put.json().contacts, { mail: 'joe@example.org', phone: '5' });
  assert.deepEqual([put.json().language, put.json().tz], ['de', 'Europe/Berlin']);
  assertProblem(await as('joe', 'PUT', '/api/v1/me', {}, { 'if-match': me.headers.etag }), 412);
  const less = await as('joe', 'PUT', '/api/v1/me', { contacts: { phone: null } },
    { 'if-match': put.headers.etag });
  assert.deepEqual(less.json().contacts, { mail: 'joe@example.org' });
  for (const [bad, pointer] of [
    [{ language: 'a\r\nb' }, '/language'], [{ tz: 7 }, '/tz'], [{ contacts: 7 }, '/contacts'],
    [{ contacts: { a: [] } }, '/contacts/a'], [{ contacts: { 'a\u0000': '' } }, undefined],
    [{ password: 'x' }, '/password'], [{ password: { new: 'long-enough' } }, '/password/old'],
    [{ password: { old: password } }, '/password/new'],
    [{ password: { old: password, new: 'short' } }, '/password/new'],
    [{ password: { old: password, new: 'long-enough', user: 'gov' } }, '/password/user'],
  ]) {
    const problem = assertProblem(await as('joe', 'PUT', '/api/v1/me', bad), 422);
    if (pointer) assert.equal(problem.pointer, pointer);
  }
  assertProblem(await as('joe', 'PUT', '/api/v1/me', '{'), 400);
});

test('another password needs the old one, and ends all tokens', async () => {
  const change = (old) => as('joe', 'PUT', '/api/v1/me', { password: { old, new: 'another-password' } });
  assert.equal(assertProblem(await change('wrong'), 403).pointer, '/password/old');
  assert.equal((await as('joe', 'GET', '/api/v1/me')).status, 200);
  const done = await change(password);
  assert.equal(done.status, 200, done.text);
  assertProblem(await as('joe', 'GET', '/api/v1/me'), 401);
  const told = (await root('GET', `${admin}/audit?tenant=acme`)).text + server.log + done.text;
  for (const secret of [password, 'another-password', 'argon2']) assert.ok(!told.includes(secret));
});

test('a removed account is nobody at once', async () => {
  assert.equal((await as('adm', 'DELETE', `${admin}/users/eva`)).status, 204);
  assertProblem(await as('eva', 'GET', '/api/v1/me'), 401);
  assertProblem(await as('eva', 'GET', `${admin}/devices`), 401);
});

test('developers without accounts: access.developer_manages_users = no', async () => {
  const other = await Server.start({ args: ['--set', 'access.developer_manages_users=no'] });
  try {
    for (const [username, permission] of [['dev', 'developer'], ['ana', 'user']]) {
      const made = await local(other, 'POST', `${admin}/users`, { username, password, permission });
      assert.equal(made.status, 201, made.text);
    }
    const basic = Buffer.from(`dev:${password}`).toString('base64');
    const { token } = (await other.request('POST', `${admin}/token`,
      { key: false, headers: { authorization: `Basic ${basic}` } })).json();
    const call = (method, path, body) => other.request(method, path,
      { key: token, body: body && JSON.stringify(body) });
    for (const [method, path, body] of [
      ['GET', `${admin}/users`], ['GET', `${admin}/users/ana`], ['PUT', `${admin}/users/ana`, {}],
      ['PUT', `${admin}/users/dev`, { permission: 'admin' }], ['DELETE', `${admin}/users/ana`],
      ['POST', `${admin}/users`, { username: 'x', password, permission: 'user' }],
      ['GET', `${admin}/keys`], ['POST', `${admin}/keys`, { name: 'x', rights: 'read' }],
      ['DELETE', `${admin}/keys/x`], ['PUT', `${admin}/devices`, { user: { name: 'somebody' } }],
    ]) assertProblem(await call(method, path, body), 403);
    assert.equal((await call('GET', `${admin}/users/dev`)).status, 200);
    assert.equal((await call('PUT', '/api/v1/me', { language: 'de' })).status, 200);
    assert.equal((await call('POST', `${admin}/devices`, { users: ['ana'] })).status, 201);
    assert.equal((await call('PUT', `${admin}/devices`, { user: { name: 'ana' } })).status, 200);
    assert.equal((await call('GET', `${admin}/audit`)).status, 200);
  } finally {
    await other.stop();
  }
});
