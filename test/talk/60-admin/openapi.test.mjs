// The OpenAPI document and the server agree: every path and method, every answer, every schema.
import assert from 'node:assert/strict';
import http from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { request, Server, within } from '../harness.mjs';

const methods = ['get', 'post', 'put', 'delete'];
let server;
let document;

before(async () => {
  server = await Server.start();
  const answer = await server.get('/api/v1/openapi.json', { key: false });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['content-type'], 'application/json');
  document = answer.json();
});

after(() => server.stop());

/** Every [path, method, operation] of the document. */
function* operations() {
  for (const [path, item] of Object.entries(document.paths))
    for (const [method, operation] of Object.entries(item)) yield [path, method, operation];
}

const resolve = (thing) => thing.$ref
  ? thing.$ref.slice(2).split('/').reduce((at, name) => at[name], document) : thing;

/** Why the value is not what the schema says (a member that it does not name counts), or null. */
function mismatch(value, schema, at = '') {
  const { type, anyOf, properties = {}, additionalProperties, ...rest } = resolve(schema);
  if (anyOf) {
    const reasons = anyOf.map((one) => mismatch(value, one, at));
    return reasons.includes(null) ? null : reasons.join('; or ');
  }
  if ('const' in rest) return value === rest.const ? null : `${at}: ${value} is not ${rest.const}`;
  const is = value === null ? 'null' : Array.isArray(value) ? 'array'
    : Number.isInteger(value) && type === 'integer' ? 'integer' : typeof value;
  if (type && is !== type) return `${at}: ${is}, not ${type}`;
  if (is === 'array')
    return value.map((one, i) => mismatch(one, rest.items, `${at}/${i}`)).find(Boolean) ?? null;
  if (type !== 'object') return null;
  const missing = (rest.required ?? []).filter((name) => !(name in value));
  if (missing.length) return `${at}: no ${missing}`;
  return Object.entries(value).map(([name, member]) => {
    const known = properties[name] ?? additionalProperties;
    return known ? mismatch(member, known, `${at}/${name}`) : `${at}/${name}: not in the schema`;
  }).find(Boolean) ?? null;
}

/** That the document knows this answer: its status, its type, and what it holds. */
function assertDocumented(path, method, answer) {
  const name = `${method} ${path} → ${answer.status} ${answer.text.slice(0, 300)}`;
  const known = document.paths[path][method].responses[answer.status];
  assert.ok(known, `not documented: ${name}`);
  const { content = {} } = resolve(known);
  const type = (answer.headers['content-type'] ?? '').replace(/;.*/, '');
  if (!answer.bytes.length) return;
  const { schema } = content[type] ?? content['*/*'] ?? assert.fail(`type ${type}: ${name}`);
  const texts = type === 'application/x-ndjson' ? answer.text.trimEnd().split('\n')
    : type.endsWith('json') ? [answer.text] : null;
  for (const text of texts ?? []) assert.equal(mismatch(JSON.parse(text), schema), null, name);
  if (!texts) assert.equal(mismatch(answer.text, schema), null, name);
}

/** The path with values for what it needs. */
function example(path, operation) {
  const query = operation.parameters.filter((one) => one.in === 'query' && one.required)
    .map((one) => `${one.name}=x`);
  return path.replace(/\{\w+\}/g, 'x') + (query.length ? `?${query.join('&')}` : '');
}

const call = async (path, method, options = {}) => {
  const { body, ...rest } = options;
  const target = rest.target ?? example(path, document.paths[path][method]);
  const answer = await server.request(method.toUpperCase(), target, { ...rest, body });
  assertDocumented(path, method, answer);
  return answer;
};

test('without credentials every documented call answers as documented', async () => {
  let refused = 0;
  for (const [path, method, { security }] of operations()) {
    const answer = await call(path, method, { key: false });
    assert.equal(answer.status === 401, security.length > 0 && path !== '/metrics', path);
    refused += answer.status === 401;
  }
  assert.ok(refused >= 8);
});

test('with a key, and with one that is none, too', async () => {
  for (const [path, method, { security }] of operations()) {
    const bad = await call(path, method, { key: 'no-such-key' });
    if (security.length && Object.keys(security[0]).length) assert.equal(bad.status, 401, path);
    // A token is a person's: no key is one.
    const status = (await call(path, method)).status;
    assert.equal(status === 401, path === '/api/v1/admin/token', path);
  }
});

test('a malformed escape in the query is 400 everywhere', async () => {
  for (const [path, method] of operations()) {
    const target = `${path.replace(/\{\w+\}/g, 'x')}?a=%zz`;
    const { status } = await call(path, method, { target });
    assert.ok(status === 400 || status === 403, `${method} ${path}: ${status}`);
  }
});

test('HEAD goes wherever GET does', async () => {
  for (const [path, method, operation] of operations()) {
    if (method !== 'get') continue;
    const target = example(path, operation);
    const get = await server.get(target, { key: false });
    const head = await server.request('HEAD', target, { key: false });
    assert.equal(head.status, get.status, path);
    assert.equal(head.bytes.length, 0);
  }
});

test('other methods are 405, and Allow lists those of the document', async () => {
  const unknown = await server.post('/x');
  assert.equal(unknown.status, 404, 'a path that only the files of pages would match');
  for (const [path, item] of Object.entries(document.paths)) {
    if (path === '/{path}') continue;
    const allowed = Object.keys(item).concat('get' in item ? 'head' : [], 'options');
    for (const method of methods.filter((one) => !(one in item))) {
      const answer = await server.request(method.toUpperCase(), path.replace(/\{\w+\}/g, 'x'));
      assert.equal(answer.status, 405, `${method} ${path}`);
      assert.deepEqual(answer.headers.allow.toLowerCase().split(', ').sort(), allowed.sort());
    }
  }
});

test('what is stored comes back as the schemas say', async () => {
  const time = Date.now() - 1000;
  const device = { id: 7 };
  const good = await call('/api/v1/readings', 'post', {
    body: [{ device, readings: [{ time, temp: 4.5, open: true }] },
      { device, reading: { time: Math.floor(time / 1000), hum: 60 } }],
  });
  assert.equal(good.json().accepted, 2);
  const bad = await call('/api/v1/readings', 'post', {
    body: { device, readings: [{ time, temp: 'warm' }] },
  });
  assert.equal(bad.json().rejected_count, 1);
  assert.equal((await call('/api/v1/readings', 'post', { body: '{' })).status, 400);
  const lines = `room,device=8 temp=1,light=2 ${time}\nnonsense\n`;
  for (const path of ['/write', '/api/v2/write']) {
    const target = `${path}?precision=ms`;
    assert.equal((await call(path, 'post', { target, body: lines })).status, 400);
    assert.equal((await call(path, 'post', { target, body: 'a b=1' })).status, 204);
    assert.equal((await call(path, 'post', { target: `${path}?precision=y` })).status, 400);
    const broken = { target, body: lines, headers: { 'content-encoding': 'br' } };
    assert.equal((await call(path, 'post', broken)).status, 415);
  }
  for (const [path, query] of [
    ['series', 'limit=2'], ['series', 'limit=0'], ['latest', 'device=7'], ['query', 'metric=temp'],
    ['query', 'metric=temp&step=1m&agg=avg,count&fill=null&from=-5m'], ['query', 'metric='],
    ['raw', 'device=7'], ['raw', ''], ['raw', 'from=never'],
  ]) {
    const target = `/api/v1/${path}?${query}`;
    const { status, text } = await call(`/api/v1/${path}`, 'get', { target });
    if (status === 200) assert.ok(text.length > 40, `${target}: ${text}`);
  }
  const csv = await call('/api/v1/query', 'get', {
    target: '/api/v1/query?metric=temp', headers: { accept: 'text/csv' },
  });
  assert.match(csv.headers['content-type'], /^text\/csv/);
  const target = '/api/v1/subscribe?channel=a';
  assert.equal((await call('/api/v1/subscribe', 'get', { target })).status, 200);
});

test('what is published is answered as the schema says', async () => {
  const path = '/api/v1/publish';
  const message = { channels: ['a'], data: { any: [1, null] } };
  assert.equal((await call(path, 'post', { body: message })).status, 201);
  const target = `${path}?channel=a`;
  assert.equal((await call(path, 'post', { target, body: Buffer.from([0xff]) })).status, 201);
  const view = { ...message, channels: ['readings/1/temp'] };
  assert.equal((await call(path, 'post', { body: view })).status, 403);
  for (const body of ['{"data":1}', '{"data":1} ', '{"channels":1}', '{"channels":[]}', '{"no":1}',
    '[]', '7', '{}', '{"channels":["a",["b"]],"data":1}', '{"channels":["+"],"data":1}'])
    assert.equal((await call(path, 'post', { body })).status, 422, body);
  for (const body of ['[', '{"channels":["a"],"data":1', '{"channels":["a",', '{"channels":', '{',
    '{"channels":["a"],"data":1} x', '{"data":x', '"', '{"channels":1,}', '[1', ''])
    assert.equal((await call(path, 'post', { body })).status, 400, body);
});

test('the administrator finds keys as the schemas say', async () => {
  const local = (method, path, body) => within(new Promise((done, fail) => {
    const out = http.request({ socketPath: join(server.data, 'admin.sock'), method, path },
      (answer) => {
        let text = '';
        answer.setEncoding('utf8');
        answer.on('data', (part) => (text += part));
        answer.on('end', () => done({
          status: answer.statusCode, headers: answer.headers, text, bytes: Buffer.from(text),
        }));
      });
    out.on('error', fail);
    out.end(typeof body === 'object' ? JSON.stringify(body) : body);
  }), `${method} ${path}`);
  const keys = '/api/v1/admin/keys';
  const expect = async (status, path, method, target, body) => {
    const answer = await local(method.toUpperCase(), target, body);
    assert.equal(answer.status, status, answer.text);
    assertDocumented(path, method, answer);
  };
  const made = { name: 'documented', rights: ['read'], channels: ['a/#'] };
  await expect(201, keys, 'post', keys, made);
  await expect(409, keys, 'post', keys, made);
  await expect(422, keys, 'post', keys, { ...made, rights: 'fly' });
  await expect(400, keys, 'post', keys);
  for (const body of ['{"rights":"read"}', '{"name":"x"}', '{}', '{"name":1}', '{"name":"A"}', '[]',
    '{"no":1}', '{"rights":[1]}', '{"channels":[""]}'])
    await expect(422, keys, 'post', keys, body);
  for (const body of ['{', '[', '{"name":"A",}', '{"name":', '{"name":"x"', '{"rights":["read",', '"', '{"name":"x"} x'])
    await expect(400, keys, 'post', keys, body);
  await expect(200, keys, 'get', keys);
  await expect(204, `${keys}/{name}`, 'delete', `${keys}/documented`);
  await expect(404, `${keys}/{name}`, 'delete', `${keys}/documented`);
  await expect(422, `${keys}/{name}`, 'delete', `${keys}/Not%20a%20name`);
});

test('who has the document is told so', async () => {
  const path = '/api/v1/openapi.json';
  const { headers } = await server.get(path, { key: false });
  assert.match(headers.etag, /^"[0-9a-f]{16}"$/);
  const again = (etag) => request(server.port, 'GET', path, { headers: { 'if-none-match': etag } });
  assert.equal((await again(headers.etag)).status, 304);
  assert.equal((await again(`"other", W/${headers.etag}`)).status, 304);
  assert.equal((await again('"other"')).status, 200);
});

test('the page that shows it is there, and its parts', async () => {
  const page = await call('/docs', 'get', { key: false });
  assert.match(page.headers['content-type'], /^text\/html/);
  assert.match(page.headers['content-security-policy'], /default-src 'self'/);
  const parts = [...page.text.matchAll(/(?:href|src)="(\/[\w.-]+\.\w+)"/g)].map(([, path]) => path);
  assert.ok(parts.length >= 3);
  for (const path of parts) {
    const part = await server.get(path, { key: false });
    assert.equal(part.status, 200, path);
    assert.notEqual(part.headers.etag, page.headers.etag);
  }
});
