// Paths that lead out, and values that break out of their line: at every route, over bare sockets,
// so that no client tidies them up.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { settle } from '../15-rights/inhabitants.mjs';
import { assertProblem, Raw, Server } from '../harness.mjs';
import { assertJson, Caller, doors } from './doors.mjs';

let server, world, all, caller;

before(async () => {
  server = await Server.start();
  world = await settle(server);
  all = await doors(server);
  caller = new Caller(server.port);
});
after(() => {
  caller?.close();
  return server.stop();
});

/** One request as it stands: { status, headers, body }. */
const ask = (method, target, { headers = [], body = '' } = {}) => caller.ask(
  [`${method} ${target} HTTP/1.1`, 'Host: x', `Content-Length: ${Buffer.byteLength(body)}`,
    `Authorization: ${world.headers.admin.authorization}`, ...headers, '', body].join('\r\n'));

function assertContained({ status, headers, body }, what) {
  assert.ok(status < 500, `${what}: ${status} ${body}`);
  for (const name of ['x-injected', 'set-cookie', 'location'])
    assert.ok(!(name in headers), `${what}: ${JSON.stringify(headers)}`);
  assertJson({ headers, body }, what);
  assert.doesNotMatch(body, /root:.*:0:0|SQLite format|\[boot|BEGIN [A-Z ]*KEY/, what);
}

const out = ['..', '.', '../..', '%2e%2e', '%2E%2e', '..%2f..%2f..%2fetc%2fpasswd', '%2e%2e%2fweir.db',
  '%2fetc%2fpasswd', '..%5c..%5cweir.db', '..\\..\\weir.db', '%252e%252e%252fweir.db', 'x%00', '%00', 'x%00.html',
  '%c0%ae%c0%ae%c0%afweir.db', '%e0%80%ae', '....//', '..;', '%2e%2e;', 'x%0d%0aX-Injected:%201',
  '%0d%0a%0d%0aHTTP/1.1%20200%20OK', '%u002e', '%', '%zz', '~root', '$(id)', '`id`', '|id', '%ff%fe',
  'a'.repeat(4000), '%2e'.repeat(1500), "'%20OR%20'1'='1", '1%20OR%201=1', '-1', '0', '0x1', '1e3', '01', '+1',
  '18446744073709551616', '9007199254740993', '1.0', '%31%00'];

test('no path parameter leads anywhere else', async () => {
  for (const { method, path } of all.filter((door) => door.path.includes('{')))
    for (const value of out) {
      const target = path.replace(/\{\w+\}/g, value);
      const answer = await ask(method, target, { body: method === 'GET' ? '' : '{}' });
      const what = `${method} ${target.slice(0, 200)}`;
      assertContained(answer, what);
      // '/x/.' and '/x/..' are names as any other, and no device, user or tenant is called so;
      // %31 is '1' and as good as that, but nothing is numbered 1 here except gateways.
      assert.ok(answer.status >= 400, `${what}: ${answer.status} ${answer.body}`);
    }
});

test('static files: nothing but those that are built in', async () => {
  const page = (await server.get('/')).text;
  const docs = (await server.get('/docs')).text;
  const targets = ['/../../../../etc/passwd', '//etc/passwd', '/%2e%2e/%2e%2e/etc/passwd', '/..%2f..%2fetc%2fpasswd',
    '/docs/../../etc/passwd', '/docs/..', '/docs/.', '/./docs', '//', '///', '/.git/config', '/weir.db', '/admin.sock',
    '/docs%00', '/docs%00.html', '/docs%2f..', '/%5c..%5cetc', '/..;/docs', '/proc/self/environ', '/index.html/..',
    '/file:///etc/passwd', 'http://x/../../etc/passwd', 'http://x/', '/docs?../../etc/passwd', '/%', '/%0', '/%2',
    `/${'../'.repeat(500)}etc/passwd`, `/${'a/'.repeat(500)}`, '/docs#x'];
  for (const target of targets) {
    const answer = await ask('GET', target);
    assertContained(answer, target);
    if (answer.status === 200) assert.ok([page, docs].includes(Buffer.from(answer.body, 'latin1').toString()), target);
  }
});

test('a value in the query stays in its line', async () => {
  const values = ['%0d%0aX-Injected:%201', '%0aX-Injected:%201', '%0dX-Injected:%201', '%00', '%ff%fe', '%c3',
    "'%3b%20DROP%20TABLE%20users%3b%20--", '..%2f..%2fetc%2fpasswd', '%25s%25n', '%3cscript%3e', 'a'.repeat(3000),
    `${'%e2%82%ac'.repeat(400)}`, `a${'%e2%82%ac'.repeat(400)}`, `ab${'%f0%9d%84%9e'.repeat(400)}`];
  for (const { method, path, parameters } of all) {
    const target = path.replace(/\{\w+\}/g, '77');
    const names = parameters.filter((one) => one.in === 'query').map(({ name }) => name);
    for (const name of new Set([...names, 'tenant', 'cursor', 'limit', 'callback']))
      for (const value of values) {
        // What does not end by itself is not asked for what it would hear.
        if (path.endsWith('/subscribe') && name === 'channel') continue;
        if (path === '/api/v1/admin/token' && method === 'DELETE') continue;
        const mode = path.endsWith('/subscribe') && name !== 'mode' ? '&mode=poll&channel=x' : '';
        const answer = await ask(method, `${target}?${name}=${value}${mode}`);
        assertContained(answer, `${method} ${target}?${name}=${value.slice(0, 100)}`);
      }
  }
});

test('header fields with CR, LF or NUL, folded or without a colon are refused', async () => {
  for (const field of ['X-A: b\rX-Injected: 1', 'X-A: b\nX-Injected: 1\x01', 'X-A: b\0c', 'X-A: b\r\n folded: 1',
    'X-A : b', 'X\rA: b', ': b', 'no colon', 'X-A\0: b']) {
    const own = await Raw.connect(server.port);
    own.send(Buffer.from(`GET /healthz HTTP/1.1\r\nHost: x\r\n${field}\r\nConnection: close\r\n\r\n`, 'latin1'));
    const answer = await own.answer();
    // A bare LF ends a line, as RFC 9112 lets it; then a control character stands in the next.
    assert.equal(answer.status, 400, JSON.stringify(field));
    assertContained(answer, field);
    own.close();
  }
});

// What a header says may be quoted in a problem, and in no head.
test('what headers say comes back in no head, and in bodies as JSON', async () => {
  await world.call('POST', '/api/v1/venues', { name: 'hall' });
  const texts = ['x\t\u00ff\u00c3', '"\\u000d\\u000aX-Injected: 1"', '%0d%0aX-Injected: 1', '<script>', 'a'.repeat(2000),
    `"${'\u00e2\u0082\u00ac'.repeat(300)}"`, `"a${'\u00e2\u0082\u00ac'.repeat(300)}"`, '*, "', 'W/"', '"a", "b', ''];
  for (const name of ['If-Match', 'If-None-Match', 'Content-Type', 'Accept', 'Accept-Encoding', 'Content-Encoding',
    'Origin', 'Referer', 'X-Forwarded-For', 'X-Forwarded-Host', 'Forwarded', 'User-Agent', 'Last-Event-ID', 'Range',
    'Cookie', 'X-Request-Id', 'Access-Control-Request-Headers', 'Access-Control-Request-Method', 'Upgrade'])
    for (const text of texts)
      for (const [method, target, body] of [['GET', '/api/v1/admin/devices/own', ''], ['PUT', '/api/v1/admin/devices/own', '{}'],
        ['PUT', '/api/v1/venues/1/plan', '<svg xmlns="http://www.w3.org/2000/svg"></svg>'], ['GET', '/api/v1/venues/1/plan', ''],
        ['GET', '/', ''], ['OPTIONS', '/api/v1/me', ''], ['POST', '/api/v1/readings', '[]'], ['GET', '/api/v1/nothing', '']]) {
        const answer = await ask(method, target, { headers: [`${name}: ${text}`], body });
        const what = `${method} ${target} ${name}: ${text.slice(0, 60)}`;
        assertContained(answer, what);
        assert.equal(answer.headers['access-control-allow-credentials'], undefined, what);
      }
});

test('a plan comes back as a picture only, whatever it was called', async () => {
  const svg = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>';
  for (const type of ['text/html', 'image/svg+xml, text/html', 'text/html;image/svg+xml', 'application/javascript', 'image/png']) {
    const put = await ask('PUT', '/api/v1/venues/1/plan', { headers: [`Content-Type: ${type}`], body: svg });
    assert.ok(put.status === 204 || put.status === 422, `${type}: ${put.status}`);
    const got = await ask('GET', '/api/v1/venues/1/plan');
    if (got.status === 404) continue;
    assert.equal(got.headers['content-type'], 'image/svg+xml', type);
    assert.match(got.headers['content-security-policy'], /default-src 'none'|sandbox/);
    assert.equal(got.headers['x-content-type-options'], 'nosniff');
    assert.equal(got.headers['content-disposition'], 'attachment');
  }
});

test('a configuration with lines in it is refused, and comes back in no head', async () => {
  for (const config of [{ a: 'b\r\nX-Injected: 1' }, { 'a\r\nX-Injected': '1' }, { 'a\u0000': '1' }]) {
    const body = JSON.stringify(config);
    for (const target of ['/api/v1/admin/devices/own/config', `/api/v1/admin/gateways/${world.gateways.own}/config`]) {
      const answer = await ask('PUT', target, { body });
      assert.equal(answer.status, 422, `${target} ${body}`);
      assertContained(answer, target);
    }
  }
  for (const [target, body] of [['/api/v1/admin/devices', { name: 'a\r\nb' }], ['/api/v1/venues', { name: 'a\nb' }],
    ['/api/v1/admin/users', { username: 'a\r\nb', password: 'long-enough-word', permission: 'user' }],
    ['/api/v1/admin/tenants', { name: 'a\r\nb' }], ['/api/v1/admin/keys', { name: 'a\nb', rights: 'read' }],
    ['/api/v1/admin/secrets', { name: 'a\nb' }], ['/api/v1/admin/gateways', { name: 'a\rb' }]])
    assertProblem(await world.ask('admin', 'POST', target, body), 422);
  assert.doesNotMatch(server.log, /^X-Injected/m);
});
