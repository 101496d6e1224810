// Planted secrets: good and wrong ones are brought to every door, in right and in wrong places;
// afterwards they stand nowhere: not in the log at its most talkative, the metrics, problems, the
// audit, raw messages, the database, or the journal.
//
// What somebody stores as data is kept as data: names, configurations, readings, lines of line
// protocol (which has no credentials in its body), published messages, floor plans. A problem tells its sender, and nobody else, which member or value of his was wrong.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { settle } from '../15-rights/inhabitants.mjs';
import { local } from '../60-admin/local.mjs';
import { Server, request, until } from '../harness.mjs';
import { doors } from './doors.mjs';

const planted = [];
const mark = 'plantedZQ';
/** A secret that nobody else would write, and where it goes. */
function plant(where) {
  const text = `${mark}${randomBytes(9).toString('hex')}`;
  planted.push({ text, where });
  return text;
}
/** One that the server made. */
function made(text, where) {
  assert.ok(text.length >= 16, `${where}: ${text}`);
  planted.push({ text, where });
  return text;
}

let server, world;
const problems = [];

before(async () => {
  server = await Server.start({
    args: ['--set', 'log.level=debug', '--set', 'rate.failures_per_s=100000'] });
  world = await settle(server);
});
after(() => server.stop());

const basic = (name, word) => ({ authorization: `Basic ${Buffer.from(`${name}:${word}`).toString('base64')}` });

/** With the given headers only; what went wrong is kept. */
async function send(method, path, body, headers = {}) {
  const answer = await request(server.port, method, path, { headers, body });
  assert.ok(answer.status < 500, `${method} ${path}: ${answer.text}`);
  if (answer.status >= 400) problems.push({ at: `${method} ${path.replace(new RegExp(`${mark}\\w+`, 'g'), '…')}`, text: answer.text, headers: answer.headers });
  return answer;
}
const admin = (method, path, body, headers) => send(method, path, body, { ...world.headers.admin, ...headers });
const ok = async (call, status) => {
  const answer = await call;
  assert.equal(answer.status, status, answer.text);
  return answer.text && answer.json();
};

test('good ones, where they belong', async () => {
  const word = plant('a password');
  const next = plant('a password changed to');
  await ok(admin('POST', '/api/v1/admin/users', { username: 'pia', password: word, permission: 'user' }), 201);
  const token = made((await ok(send('POST', '/api/v1/admin/token', undefined, basic('pia', word)), 200)).token, 'a person\'s token');
  made(token.split('.')[2], 'its signature');
  await ok(send('PUT', '/api/v1/me', { password: { old: word, new: next } }, { authorization: `Bearer ${token}` }), 200);
  await ok(admin('PUT', '/api/v1/admin/users/pia', { password: plant('a password that an administrator sets') }), 200);
  const device = plant('a device\'s token that was brought');
  await ok(admin('POST', '/api/v1/admin/devices', { id: 'planted', auth: device }), 201);
  await ok(admin('PUT', '/api/v1/admin/devices/planted/config', { state: true }), 200);
  made((await ok(admin('POST', '/api/v1/admin/devices', { id: 'dealt' }), 201)).auth, 'a device\'s token');
  await ok(admin('POST', '/api/v1/admin/devices/planted/login', { auth: device }), 200);
  const gateway = plant('a gateway\'s token that was brought');
  const { id } = await ok(admin('POST', '/api/v1/admin/gateways', { auth: gateway, may_enrol: true }), 201);
  made((await ok(admin('POST', '/api/v1/admin/gateways', {}), 201)).auth, 'a gateway\'s token');
  await ok(admin('POST', `/api/v1/admin/gateways/${id}/login`, { auth: gateway }), 200);
  const { key } = await ok(admin('POST', '/api/v1/admin/keys', { name: 'planted', rights: 'read,write,publish,subscribe'.split(',') }), 201);
  made(key, 'a key');
  const secret = await ok(admin('POST', '/api/v1/admin/secrets', { name: 'planted' }), 201);
  made(secret.secret, 'an application\'s secret');
  made((await ok(send('POST', '/api/v1/enrol/device', { id: 'heard' }, basic(`gateway-${id}`, gateway)), 201)).auth, 'an enrolled device\'s token');
  await ok(send('POST', '/api/v1/enrol/device', { id: 'heard2', auth: plant('a token brought to enrol') }, basic(`gateway-${id}`, gateway)), 201);

  const item = (auth, more) => ({ device: { id: 'planted', auth }, readings: [{ temp: 1 }], ...more });
  const accepted = async (call) => assert.equal((await ok(call, 202)).accepted, 1);
  await accepted(send('POST', '/api/v1/readings', item(device), basic(`gateway-${id}`, gateway)));
  await accepted(send('POST', '/api/v1/readings', item(device), basic('device-planted', device)));
  await accepted(send('POST', '/api/v1/readings', item(device, { gateway: { id, auth: gateway } })));
  await accepted(send('POST', '/api/v1/readings', item(device), { authorization: `Token ${key}` }));
  await accepted(send('POST', `/api/v1/readings?token=${key}`, `{"device":{"\\u0061uth":"${device}","id":"planted"},"readings":[{"temp":2}]}`));
  await ok(send('POST', `/write?u=x&p=${key}`, 'm,device=planted v=1'), 204);
  await ok(send('POST', `/api/v2/write?token=${key}`, 'm,device=planted v=2'), 204);
  await ok(send('POST', `/api/v1/publish?channel=a&token=${key}`, 'x'), 201);
  await ok(admin('DELETE', '/api/v1/admin/keys/planted'), 204);
  await ok(admin('DELETE', '/api/v1/admin/secrets/planted'), 204);
});

test('wrong ones, and good ones in wrong places', async () => {
  const s = plant;
  // Logins: mistyped words, a word as a name, both in the URL.
  await send('POST', '/api/v1/admin/token', undefined, basic('pia', s('a wrong password')));
  await send('POST', '/api/v1/admin/token', undefined, basic(s('a password as a name'), 'x'));
  await send('POST', '/api/v1/admin/token', undefined, basic(`pia@${s('a password as a tenant')}`, 'x'));
  await send('POST', '/api/v1/admin/token', undefined, { authorization: `Basic pia:${s('Basic that is not encoded')}` });
  await send('POST', '/api/v1/admin/token', { username: 'pia', password: s('a login by body') });
  await send('POST', `/api/v1/admin/token?username=pia&password=${s('a login by URL')}`);
  for (const name of ['token', 'p', 'password', 'auth', 'key', 'api_key', 'access_token', 'u', 'channel', 'metric', 'device', 'cursor', 'from'])
    for (const path of ['/api/v1/series', '/write', '/api/v1/admin/users', '/healthz', '/metrics', '/nothing', '/api/v1/subscribe'])
      await send(path === '/write' ? 'POST' : 'GET', `${path}?${name}=${s(`${path}?${name}`)}`, path === '/write' ? 'm v=1' : undefined);
  for (const name of ['Authorization', 'Cookie', 'X-Api-Key', 'X-Auth-Token', 'User-Agent', 'Referer', 'Origin', 'X-Forwarded-For',
    'Proxy-Authorization', 'Host', 'Content-Type', 'Content-Encoding', 'Accept', 'If-Match', 'If-None-Match', 'Last-Event-ID',
    'Sec-WebSocket-Protocol', 'X-Request-Id'])
    for (const form of [(text) => text, (text) => `Bearer ${text}`, (text) => `Token ${text}`, (text) => `Basic ${text}`,
      (text) => `https://x/?token=${text}`, (text) => basic('gateway-1', text).authorization, (text) => basic('device-own', text).authorization]) {
      await send('GET', '/api/v1/series', undefined, { [name]: form(s(`header ${name}`)) });
      await send('POST', '/api/v1/readings', [{ device: { id: 'own' }, readings: [{ temp: 1 }] }],
        { ...world.headers.application, ...(name === 'Authorization' ? {} : { [name]: form(s(`header ${name}`)) }) });
    }
  // As a part of a path; as a method.
  for (const path of ['/', '/api/v1/', '/api/v1/admin/users/', '/api/v1/admin/devices/', '/api/v1/admin/keys/', '/api/v1/admin/token/'])
    for (const method of ['GET', 'DELETE'])
      await admin(method, `${path}${s(`path ${path}`)}`);
  await send(s('a method'), '/api/v1/series');
});

test('in bodies: of the wrong form, broken off, refused', async () => {
  const s = plant;
  for (const door of (await doors(server)).filter(({ body }) => body)) {
    const at = (what) => `${door.name}: ${what}`;
    const call = (body) => admin(door.method, door.target, body);
    // Broken off behind it, within it, before it; as a member that is not there; beside a fault.
    await call(`{"password":"${s(at('broken off'))}"`);
    await call(`{"auth":"${s(at('broken off within'))}`);
    await call(`{"secret":"${s(at('an unknown member'))}","x":{}}`);
    // A configuration is a free map.
    if (!door.path.endsWith('/config')) await call(`{"token":"${s(at('a token in the body'))}"}`);
    await call(`password=${s(at('a form'))}&auth=${s(at('a form'))}`);
    await call(`{"username":[],"name":[],"id":[],"password":"${s(at('beside a fault'))}","auth":"${s(at('beside a fault'))}"}`);
    await call(`["${s(at('a list'))}"]`);
    await call(`"${s(at('a string'))}"`);
  }
  await admin('POST', '/api/v1/admin/users', { username: 'BAD NAME', password: s('of an account that is refused'), permission: 'user' });
  await admin('POST', '/api/v1/admin/users', { username: 'pia', password: s('of an account that is there'), permission: 'user' });
  await admin('POST', '/api/v1/admin/devices', { id: 'planted', auth: s('of a device that is there') });
  await admin('PUT', '/api/v1/me', { password: { old: s('a wrong old password'), new: s('a new one not taken') } });
  await admin('POST', '/api/v1/admin/devices/own/login', { auth: s('a device\'s wrong login') });
  await admin('POST', `/api/v1/admin/gateways/${world.gateways.own}/login`, { auth: s('a gateway\'s wrong login') });
  const rows = [`{"id":"i1","auth":"${s('an import')}"}`, `{"id":"i2","auth":"${s('a line cut off')}`,
    `{"id":"i3","auth":"${s('a line refused')}","users":["nobody"]}`, `{"id":[],"auth":"${s('a line of wrong types')}"}`,
    `{"id":"own","password":"${s('a wrong member')}"}`];
  assert.equal((await ok(admin('POST', '/api/v1/admin/devices/import', rows.join('\n'), { 'content-type': 'application/x-ndjson' }), 200)).added, 1);
  await admin('POST', '/api/v1/admin/devices/import', `id,auth\ni4,${s('CSV')}\ni5,"${s('CSV cut off')}`, { 'content-type': 'text/csv' });
  await admin('POST', '/api/v1/admin/devices/import', `id,auth,nothing\ni6,${s('CSV refused')},1\n`, { 'content-type': 'text/csv' });
});

test('in readings: beside good ones, so that the body is kept', async () => {
  const s = plant;
  const good = '{"device":{"id":"own"},"readings":[{"temp":3}]}';
  const post = async (body, headers = {}) => send('POST', '/api/v1/readings', body, { ...world.headers.application, ...headers });
  const items = [
    (t) => `{"device":{"id":"own","auth":"${t}"},"readings":[{"temp":1}]}`,
    (t) => `{"device":{"auth":"${t}","id":"own","auth":"${s('a second auth')}"},"readings":[{"temp":1}]}`,
    (t) => `{"device":{"id":"own","auth":["${t}",{"a":"${s('auth as a list')}"}]},"readings":[{"temp":1}]}`,
    (t) => `{"device":{"id":"own","auth":{"auth":"${t}"}},"readings":[{"temp":1}]}`,
    (t) => `{"auth":"${t}","device":{"id":"own"},"readings":[{"temp":1,"auth":"${s('auth of a reading')}"}]}`,
    (t) => `{"device":{"id":"own"},"x":[[{"auth":"${t}"}]],"readings":[{"temp":1,"y":{"auth":"${s('a deep auth')}"}}]}`,
    (t) => `{"gateway":{"id":1,"auth":"${t}"},"device":{"id":"own"},"readings":[{"temp":1}]}`,
    (t) => `{"device":{"id":"own","\\u0061u\\u0074h":"${t}"},"readings":[{"temp":1}]}`,
    (t) => `{"device":{"id":"own","auth":"${t}\\n\\"${'x'.repeat(3000)}"},"readings":[{"temp":1}]}`,
  ];
  for (const item of items) {
    await post(`[${item(s('an item of an array'))},${good}]`);
    await post(`${item(s('a line'))}\n${good}\n`, { 'content-type': 'application/x-ndjson' });
    await post(`${good}\n${item(s('a line cut off')).slice(0, -12)}\n${good}\n`, { 'content-type': 'application/x-ndjson' });
    await post(`${good}\n${item(s('a line with rubbish before')).replace('{', '{!')}\n${good}\n`, { 'content-type': 'application/x-ndjson' });
    await post(item(s('with a gateway\'s credentials')), world.headers.gateway);
    await post(`[${item(s('an array cut off'))},${good}`);
  }
  await post(`${good}\n{"device":{"id":"own","auth":"${s('a string cut off')}\n${good}\n`, { 'content-type': 'application/x-ndjson' });
  await post(`${good}\nauth=${s('no JSON at all')}\n${good}\n`, { 'content-type': 'application/x-ndjson' });
});

test('over WebSockets', async () => {
  for (const text of [`{"token":"${plant('a first frame')}"}`, `{"token":"${plant('a first frame cut off')}`,
    plant('a bare first frame'), `{"publish":["a"],"data":1,"token":"${plant('a frame with more')}"}`]) {
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}/api/v1/subscribe`);
    let closed = false;
    socket.on('close', () => (closed = true));
    socket.on('message', (data) => problems.push({ at: 'a frame', text: String(data), headers: {} }));
    await new Promise((done) => socket.on('open', done));
    socket.send(text);
    await until(() => closed, 'the close');
  }
});

/** The secret as it might stand in a file: itself, in base64 at each offset, in hex. */
function forms(text) {
  const bytes = Buffer.from(text);
  const shifted = [0, 1, 2].map((n) => Buffer.concat([Buffer.alloc(n), bytes]).toString('base64').slice(n ? 4 : 0, -4));
  return [text, ...shifted, bytes.toString('hex')];
}
const patterns = () => planted.map(({ text, where }) =>
  ({ where, forms: forms(text), ours: text.startsWith(mark) }));
const marks = forms(mark);

/** Where those that the haystack holds were planted; all of ours have the mark in common. */
function found(haystack, needles) {
  const marked = marks.some((form) => haystack.includes(form));
  return needles.filter(({ forms, ours }) =>
    (marked || !ours) && forms.some((form) => haystack.includes(form))).map(({ where }) => where);
}

/** A file without the room behind what was written. */
function written(path) {
  const bytes = readFileSync(path);
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  return bytes.toString('latin1', 0, end);
}

const files = (path) => readdirSync(path).flatMap((name) => {
  const full = join(path, name);
  const stat = statSync(full);
  return stat.isDirectory() ? files(full) : stat.isFile() ? [full] : [];
});

test('are told to nobody', async () => {
  const needles = patterns();
  assert.ok(needles.length > 500);
  const get = async (path) => (await local(server, 'GET', path)).text;
  assert.match(server.log, /event=request/, 'the log is at debug');
  assert.deepEqual(found(server.log, needles), [], 'log');
  assert.deepEqual(found(await get('/metrics'), needles), [], 'metrics');
  assert.deepEqual(found(await get('/api/v1/admin/logs?level=debug'), needles), [], 'logs');
  let cursor = '';
  do {
    const page = JSON.parse(await get(`/api/v1/admin/audit?limit=1000${cursor}`));
    assert.deepEqual(found(JSON.stringify(page), needles), [], 'audit');
    cursor = page.next && `&cursor=${page.next}`;
  } while (cursor);
  const raw = await get('/api/v1/raw?from=0');
  assert.match(raw, /"temp": ?3/);
  assert.deepEqual(found(raw, needles), [], 'raw');
  for (const list of ['users', 'devices', 'gateways', 'keys', 'secrets', 'tenants', 'devices?limit=1000'])
    assert.deepEqual(found(await get(`/api/v1/admin/${list}`), needles), [], list);
  for (const path of ['/api/v1/series', '/api/v1/latest', '/api/v1/venues'])
    assert.deepEqual(found(await get(path), needles), [], path);
});

test('are quoted in problems to their sender only where a value or a member is named', () => {
  const needles = patterns();
  for (const { at, text, headers } of problems) {
    const quoted = found(`${text}${JSON.stringify(headers)}`, needles);
    const allowed = /^(path |header Content-Type|\/\S+\?|a method)|an unknown member|a wrong member|CSV|import: a (string|form)/;
    assert.deepEqual(quoted.filter((where) => !allowed.test(where)), [], `${at}: ${text}`);
  }
});

test('stand in no file, neither of a running server nor of one that stopped', async () => {
  // What is data is found, or the search would prove nothing.
  const name = 'stored-as-data';
  await ok(admin('POST', '/api/v1/admin/devices', { id: 'named', name }), 201);
  await ok(send('POST', '/write', `m,device=own,place=${name} v=1`, world.headers.application), 204);
  const needles = patterns();
  const look = () => {
    const data = new Set();
    for (const path of files(server.data)) {
      const bytes = written(path);
      assert.deepEqual(found(bytes, needles), [], path);
      if (bytes.includes(name)) data.add(path.slice(server.data.length + 1).split('/')[0].replace(/-wal$/, ''));
    }
    return data;
  };
  assert.ok(look().size >= 2, 'the name is in the database and in the journal');
  await server.stop();
  const left = look();
  assert.ok(left.has('weir.db') && left.size >= 2, [...left].join());
  await server.again();
});
