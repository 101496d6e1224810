// Guessing: passwords of one account from many addresses, of many accounts from one address,
// through every door that compares one; and what a guess costs does not tell who is known.
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import WebSocket from 'ws';
import { logIn, settle } from '../15-rights/inhabitants.mjs';
import { local } from '../60-admin/local.mjs';
import { assertProblem, serve, until, within } from '../harness.mjs';

const path = '/api/v1/admin/token';
const password = 'correct-horse-battery';
const basic = (name, word) => ({ authorization: `Basic ${Buffer.from(`${name}:${word}`).toString('base64')}` });

/** From an address of the loopback net. */
function login(server, name, word, localAddress = '127.0.0.1') {
  return within(new Promise((done, fail) => {
    const out = http.request({ host: '127.0.0.1', port: server.port, method: 'POST', path, agent: false,
      localAddress, headers: basic(name, word) }, (answer) => {
      answer.resume();
      answer.on('end', () => done(answer.statusCode));
    });
    out.on('error', fail);
    out.end();
  }), 'a login', 60_000);
}

async function make(server, username) {
  const made = await local(server, 'POST', '/api/v1/admin/users', { username, password, permission: 'user' });
  assert.equal(made.status, 201, made.text);
}

/** How many guesses, a few at a time, were looked at until one is 429. */
async function guesses(most, guess) {
  let looked = 0;
  for (let i = 0; i < most;) {
    const statuses = await Promise.all(Array.from({ length: 4 }, () => guess(i++)));
    looked += statuses.filter((status) => status === 401).length;
    assert.ok(statuses.every((status) => [401, 429, 503].includes(status)), statuses.join());
    if (statuses.includes(429)) return looked;
  }
  return looked;
}

test('many names from one address', async (t) => {
  const server = await serve(t);
  await make(server, 'ana');
  // Thirty, and those that were forgiven while so many hashes were computed.
  const looked = await guesses(100, (i) => login(server, `name-${i}`, 'guess'));
  assert.ok(looked >= 20 && looked < 90, `${looked} were looked at`);
  assert.equal(await login(server, 'ana', password), 429);
  assert.equal(await login(server, 'ana', password, '127.0.0.2'), 200);
});

test('one name from many addresses', async (t) => {
  const server = await serve(t);
  await make(server, 'ana');
  await make(server, 'eva');
  // Fifty; five of each address.
  const looked = await guesses(160, (i) => login(server, 'ana', 'guess', `127.0.1.${1 + Math.floor(i / 4)}`));
  assert.ok(looked >= 40 && looked < 150, `${looked} were looked at`);
  assert.equal(await login(server, 'ana', password, '127.0.2.1'), 429);
  assert.equal(await login(server, 'eva', password, '127.0.2.1'), 200);
  assert.match((await server.get('/metrics')).text, /weir_logins_total\{result="throttled"\} [1-9]/);
});

test('other ways to write a name are no other accounts', async (t) => {
  const server = await serve(t);
  await make(server, 'ana');
  const statuses = [];
  for (const name of ['ana', 'ana@main', 'ana', 'ana@main', 'ana', 'ana@main', 'ana'])
    statuses.push(await login(server, name, 'guess'));
  assert.equal(statuses.filter((status) => status === 401).length, 5);
  // These name nobody.
  for (const name of ['ANA', 'ana ', ' ana', 'ana\0', 'ana@MAIN', 'ana@main@main', '@main', 'ana@'])
    assert.notEqual(await login(server, name, password, '127.0.0.3'), 200, JSON.stringify(name));
});

test('an unknown name costs a hash as a known one does', async (t) => {
  const server = await serve(t, { args: ['--set', 'access.hashes_max=1'] });
  await make(server, 'ana');
  // One hasher, and little room before it: where hashes are computed some logins are 503.
  for (const name of ['ana', 'nobody']) {
    await until(async () => {
      const statuses = await Promise.all(Array.from({ length: 16 }, (_, i) =>
        login(server, name === 'ana' ? 'ana' : `nobody-${i % 4}`, 'guess', `127.0.3.${i + (name === 'ana' ? 1 : 101)}`)));
      assert.ok(statuses.every((status) => [401, 429, 503].includes(status)), statuses.join());
      return statuses.includes(503);
    }, `a login of ${name} to find no hasher`);
  }
});

test('a password asked for elsewhere is throttled as a login is', async (t) => {
  const server = await serve(t);
  const world = await settle(server);
  const token = await logIn(server, 'uma');
  const change = (old) => server.request('PUT', '/api/v1/me',
    { key: token, body: { password: { old, new: 'another-password' } } });
  for (let i = 0; i < 5; i++) assertProblem(await change('guess'), 403);
  const late = await change(password);
  assertProblem(late, 429);
  assert.ok(Number(late.headers['retry-after']) >= 1);
  const at = `/api/v1/admin/gateways/${world.gateways.own}/login`;
  for (let i = 0; i < 5; i++) assertProblem(await world.ask('admin', 'POST', at, { auth: `guess-${i}` }), 401);
  assertProblem(await world.ask('admin', 'POST', at, { auth: world.tokens['gateway own'] }), 429);
});

test('credentials of all kinds and doors count for the address together', async (t) => {
  const server = await serve(t, { args: ['--set', 'rate.failures_per_s=1'] });
  const world = await settle(server);
  const frame = (text) => within(new Promise((done, fail) => {
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}/api/v1/subscribe`);
    socket.on('open', () => socket.send(JSON.stringify({ token: text })));
    socket.on('close', () => done(401));
    socket.on('error', fail);
  }), 'a WebSocket to be closed');
  const ask = async (where, headers = {}) =>
    (await server.get(`/api/v1/series${where}`, { key: false, headers })).status;
  const ways = [
    (i) => ask('', { authorization: `Bearer guess-${i}` }),
    (i) => ask('', basic('device-own', `guess-${i}`)),
    (i) => ask('', basic(`gateway-${world.gateways.own}`, `guess-${i}`)),
    (i) => ask(`?token=guess-${i}`),
    (i) => frame(`guess-${i}`),
    async (i) => (await server.request('POST', `/write?u=x&p=guess-${i}`, { key: false, body: 'm v=1' })).status,
    async (i) => (await server.request('POST', '/api/v1/readings', { key: false,
      body: { gateway: { id: world.gateways.own, auth: `guess-${i}` }, device: { id: 'own' }, readings: [{ temp: 1 }] } })).status,
  ];
  const statuses = [];
  for (let i = 0; i < 35; i++) statuses.push(await ways[i % ways.length](i));
  assert.ok(statuses.slice(0, 7).every((status) => status === 401), statuses.join());
  for (const [way, ask] of ways.entries())
    if (way !== 4) assert.equal(await ask(99), 429, `way ${way}`);
  // And the right one, too, where nobody knows the connection.
  assert.equal(await ask('', world.headers.application), 429);
});
