// Many devices at once: CSV and NDJSON, tokens brought along or made, lines that stand for
// themselves.
import assert from 'node:assert/strict';
import http from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { assertProblem, Server, until } from '../harness.mjs';
import { local } from './local.mjs';

const devices = '/api/v1/admin/devices';
let server;
const call = (method, path, body, headers) => local(server, method, path, body, headers);
const get = async (id) => (await call('GET', `${devices}/${encodeURIComponent(id)}`)).json();
const login = async (id, auth) => (await call('POST', `${devices}/${id}/login`, { auth })).status;
async function imports(body, query = '', headers = {}) {
  const answer = await call('POST', `${devices}/import${query}`, body, headers);
  assert.equal(answer.status, 200, answer.text);
  return answer.json();
}
const nothing = { devices: [], added: 0, updated: 0, rejected: [], rejected_count: 0 };

before(async () => (server = await Server.start()));
after(() => server.stop());

test('CSV with tokens of 17 digits, names in quotes, a configuration', async () => {
  const csv = '\ufeffid,auth,name,state,config.maxTemperature\r\n'
    + '101,12345678901234567,"Kitchen, ""big""\nroom",true,10.54\r\n'
    + '\r\n102,98765432109876543,,0,\r\n"103","abc",x,false,1';
  const answer = await imports(csv.replace('\nroom', ' room'));
  assert.deepEqual(answer, { ...nothing, added: 3 });
  assert.deepEqual(await get(101), {
    id: 101, state: true, config: { maxTemperature: '10.54' }, name: 'Kitchen, "big" room',
    group: '', place: '', users: [],
  });
  assert.equal(await login(101, '12345678901234567'), 200);
  assert.equal(await login(102, '98765432109876543'), 200);
  assert.equal(await login(102, '98765432109876544'), 401);
  assert.equal(await login(103, 'abc'), 200);
});

test('NDJSON; integers keep their digits', async () => {
  await call('POST', '/api/v1/admin/users', { username: 'ana', password: 'long-enough', permission: 'user' });
  const { id: gateway } = (await call('POST', '/api/v1/admin/gateways')).json();
  const answer = await imports(`{"id":201,"auth":12345678901234567,"users":["ana","ana"],"gateway":${gateway}}\n`
    + '{"id":"a/\\u0062","auth":"t","name":"n","group":"g","place":"p","state":true,"config":{"x":1.50,"y":"z"}}\n');
  assert.deepEqual(answer, { ...nothing, added: 2 });
  assert.equal(await login(201, 12345678901234567n.toString()), 200);
  const one = await get(201);
  assert.deepEqual([one.users, one.gateway], [['ana'], gateway]);
  assert.deepEqual(await get('a/b'), {
    id: 'a/b', state: true, config: { x: '1.50', y: 'z' }, name: 'n', group: 'g', place: 'p', users: [],
  });
  const csv = await imports('id;users\n202;ana\n203;ana bob\n204; ana');
  assert.deepEqual(csv.rejected.map(({ line, code }) => [line, code]), [[3, 'unknown_user']]);
  assert.deepEqual((await get(204)).users, ['ana']);
  const text = await imports('{"id":205,"users":"ana"}\n{"id":206,"users":"bob,"}\n{"id":207,"users":""}');
  assert.deepEqual(text.rejected.map(({ line, code }) => [line, code]), [[2, 'bad_value']]);
  assert.deepEqual([(await get(205)).users, (await get(207)).users], [['ana'], []]);
});

test('tokens that are not given are made, shown once, and right', async () => {
  const answer = await imports('{"id":301}\n{}\n{"auth":"mine"}');
  assert.equal(answer.added, 3);
  assert.equal(answer.devices.length, 2);
  for (const { id, auth } of answer.devices) {
    assert.match(auth, /^[0-9a-f]{40}$/);
    assert.equal(await login(id, auth), 200);
    assert.equal(await login(id, 'mine'), 401);
  }
  const csv = await call('POST', `${devices}/import`, 'id,name\n392,x\n"3,""0",y\n', { accept: 'text/csv' });
  assert.match(csv.headers['content-type'], /^text\/csv/);
  const lines = csv.text.split('\r\n');
  assert.match(lines[1], /^"392",[0-9a-f]{40}$/);
  assert.match(lines[2], /^"3,""0",[0-9a-f]{40}$/);
  assert.equal(JSON.parse(lines[3].slice(2)).added, 2);
  const told = (await call('GET', '/api/v1/admin/audit?limit=1000')).text + server.log;
  for (const { auth } of answer.devices) assert.ok(!told.includes(auth));
});

test('a device that is there is rejected, with update=1 changed', async () => {
  await imports('{"id":401,"auth":"first","name":"a","group":"g","config":{"x":"1"}}');
  const again = await imports('{"id":401,"auth":"second"}\n{"id":402,"auth":"x"}\n{"id":402,"auth":"y"}');
  assert.equal(again.added, 1);
  assert.deepEqual(again.rejected.map(({ line, code }) => [line, code]), [[1, 'exists'], [3, 'exists']]);
  assert.equal(await login(401, 'first'), 200);
  const update = await imports('{"id":401,"name":"b"}\n{"id":403,"auth":"z"}', '?update=1');
  assert.deepEqual(update, { ...nothing, added: 1, updated: 1 });
  const now = await get(401);
  assert.deepEqual([now.name, now.group, now.config], ['b', 'g', { x: '1' }]);
  assert.equal(await login(401, 'first'), 200);
  await imports('{"id":401,"auth":"second","config":{"y":"2"}}', '?update=1');
  assert.equal(await login(401, 'first'), 401);
  assert.equal(await login(401, 'second'), 200);
  assert.deepEqual((await get(401)).config, { y: '2' });
  assertProblem(await call('POST', `${devices}/import?update=yes`, '{}'), 400);
});

test('what is wrong with a line is said, and the others are taken', async () => {
  const lines = [
    ['{"id":501,"auth":"x"}'], ['{"id":502', 'bad_json'], ['7', 'bad_value'], ['[]', 'bad_value'],
    ['{"id":503,"hash":"x"}', 'bad_member'], ['{"id":503,"tenant":"main"}', 'bad_member'],
    ['{"id":503,"id":504}', 'bad_member'], ['{"id":""}', 'bad_value'], ['{"id":-1}', 'bad_value'],
    ['{"id":1.5}', 'bad_value'], ['{"id":{}}', 'bad_value'], ['{"id":503,"auth":""}', 'bad_value'],
    ['{"id":"a\\r\\nb"}', 'bad_value'], ['{"id":503,"name":"a\\u0000"}', 'bad_value'],
    ['{"id":503,"state":"true"}', 'bad_value'], ['{"id":503,"gateway":999}', 'unknown_gateway'],
    ['{"id":503,"users":["nobody"]}', 'unknown_user'], ['{"id":503,"users":["\' OR 1=1 --"]}', 'bad_value'],
    ['{"id":503,"config":{"a":"1","a":"2"}}', 'bad_value'], ['{"id":503,"config":{"a":[]}}', 'bad_value'],
    [`{"id":503,"config":${'{"a":'.repeat(64)}1${'}'.repeat(64)}}`, 'bad_json'],
    [`{"id":"${'x'.repeat(65)}"}`, 'bad_value'], [`{"id":503,"name":"${'x'.repeat(256)}"}`, 'bad_value'],
    [`{"id":503,"name":"${'x'.repeat(1 << 20)}"}`, 'too_long'],
    ['{"id":505,"auth":"y","name":"\'); DROP TABLE device; --"}'],
  ];
  const answer = await imports(lines.map(([line]) => line).join('\n'));
  assert.equal(answer.added, 2);
  const want = lines.flatMap(([, code], i) => (code ? [[i + 1, code]] : []));
  assert.deepEqual(answer.rejected.map(({ line, code }) => [line, code]), want);
  assert.equal((await get(505)).name, "'); DROP TABLE device; --");
  assertProblem(await call('GET', `${devices}/503`), 404);
});

test('CSV: wrong lines', async () => {
  const answer = await imports('id,auth,state\n601,a,true\n602,b\n603,c,true,4\n604,d,maybe\n'
    + '605,x"y,true\n"606"z,e,true\n607,f,false\n"608,unclosed,1\n');
  assert.equal(answer.added, 2);
  assert.deepEqual(answer.rejected.map(({ line, code }) => [line, code]), [
    [3, 'bad_csv'], [4, 'bad_csv'], [5, 'bad_value'], [6, 'bad_csv'], [7, 'bad_csv'], [9, 'bad_csv'],
  ]);
});

test('a body that is no import', async () => {
  for (const [body, status] of [
    ['', 400], ['[{"id":1}]', 400], ['id,hash\n1,2', 422], ['id,id\n1,2', 422], ['id,config.\n1,2', 422],
    [`id,${'x'.repeat(2 << 20)}`, 422], ['id,"a"b\n', 422], ['nonsense', 422],
  ]) assertProblem(await call('POST', `${devices}/import`, body), status);
  assert.deepEqual(await imports('id\n'), nothing);
  assertProblem(await call('POST', `${devices}/import?tenant=nobody`, '{"id":1}'), 404);
  assertProblem(await server.request('POST', `${devices}/import`, { body: '{"id":1}' }), 403);
});

test('only the first hundred rejected lines are listed', async () => {
  const answer = await imports('x\n'.repeat(250).replace(/^/, '{"id":701}\n'));
  assert.deepEqual([answer.added, answer.rejected.length, answer.rejected_count], [1, 100, 250]);
});

test('20,000 devices in pieces, tokens made; all are there and told', async () => {
  const lines = Array.from({ length: 20_000 }, (_, i) => `${1_000_001 + i},device ${i}`);
  const answer = await imports(`id,name\n${lines.join('\n')}\n`);
  assert.deepEqual([answer.added, answer.devices.length, answer.rejected_count], [20_000, 20_000, 0]);
  const last = answer.devices.at(-1);
  assert.equal(last.id, 1_020_000);
  assert.equal(await login(last.id, last.auth), 200);
  assert.equal(new Set(answer.devices.map(({ auth }) => auth)).size, 20_000);
  const { items } = (await call('GET', '/api/v1/admin/audit?limit=20')).json();
  const told = items.filter(({ what }) => what === 'devices.import').flatMap(({ after }) => after);
  assert.ok(told.includes(last.id));
});

test('what a client sent before it left is stored or not, by whole lines; the server goes on', async () => {
  const out = http.request({
    socketPath: join(server.data, 'admin.sock'), method: 'POST', path: `${devices}/import`,
    headers: { 'transfer-encoding': 'chunked' }, agent: false,
  });
  out.on('error', () => {});
  out.write('{"id":801,"auth":"a"}\n{"id":802,"auth":"b"}\n{"id":803');
  await until(async () => (await call('GET', `${devices}/802`)).status === 200, 'lines to be stored');
  out.destroy();
  assertProblem(await call('GET', `${devices}/803`), 404);
  assert.equal((await imports('{"id":804,"auth":"a"}')).added, 1);
});

test('what is exported is imported elsewhere as it was', async () => {
  const answer = await call('GET', `${devices}?format=ndjson&q=k`);
  assert.equal(answer.status, 200, answer.text);
  assert.match(answer.headers['content-type'], /^application\/x-ndjson/);
  assert.deepEqual(answer.text.trim().split('\n').map((line) => JSON.parse(line).id), [101]);
  const all = (await call('GET', `${devices}?format=ndjson`)).text;
  assert.equal((await call('POST', '/api/v1/admin/tenants', { name: 'copy' })).status, 201);
  await call('POST', '/api/v1/admin/users?tenant=copy', { username: 'ana', password: 'long-enough', permission: 'user' });
  assert.equal((await call('POST', '/api/v1/admin/gateways?tenant=copy')).status, 201);
  const { added, rejected } = await imports(all, '?tenant=copy');
  assert.deepEqual(rejected, []);
  assert.equal(added, all.trim().split('\n').length);
  assert.equal((await call('GET', `${devices}?format=ndjson&tenant=copy`)).text, all);
  for (const query of ['format=csv', 'format=', 'format=ndjson&limit=1', 'format=ndjson&cursor=1'])
    assertProblem(await call('GET', `${devices}?${query}`), 400);
});

test('the server stops in the middle of an import, and holds whole lines after', async () => {
  const other = await Server.start();
  const lines = Array.from({ length: 30_000 }, (_, i) => `{"id":${i + 1},"auth":"t${i}"}`).join('\n');
  const answer = local(other, 'POST', `${devices}/import`, lines).catch(() => null);
  await until(async () => (await local(other, 'GET', `${devices}/1`)).status === 200, 'the first part');
  await other.stop();
  await answer;
  const again = await Server.start({ data: other.data, key: false });
  const count = (await local(again, 'GET', devices)).json().length;
  assert.ok(count > 0 && count <= 30_000);
  assert.equal((await local(again, 'GET', `${devices}/${count}`)).status, 200);
  await again.stop();
});
